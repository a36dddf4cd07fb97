"""How fast is HSIC, and in how much memory, beside hyppo?

    python benchmarks/hsic.py [--samples 5000] [--large 50000] [--repeat 5]

The normalised unbiased HSIC of the same samples, x normal and y = x^2 + noise, with hyppo's own
bandwidth for both, so that both return the same number (hyppo averages the two middle distances,
ours is the lower, which changes the last digits). Each method lives in a process of its own;
they take turns, after a first run to load and compile; times are medians. Memory is the peak of
the process less what it held before the first run. The large sample is for ours alone: hyppo would
need 20 GB for one matrix.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
import warnings

import numpy as np
from corpora import heading, table


def draw(n: int):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 1))
    return x, x**2 + rng.normal(size=(n, 1))


def ours(threads: int):
    from taolu.bits import Gaussian, cka, median_bandwidth

    def statistic(x, y):
        shared = Gaussian(2**0.5 * median_bandwidth(x, threads=threads))
        return cka(x, y, kernel_x=shared, kernel_y=shared, threads=threads)

    return statistic


def hyppo():
    warnings.simplefilter("ignore")  # it imports names that SciPy is about to drop
    from hyppo.independence import Hsic

    return Hsic(bias=False).statistic


METHODS = {
    "hyppo `Hsic(bias=False)`": hyppo,
    "taolu `cka`, 1 thread": lambda: ours(1),
    "taolu `cka`, 2 threads": lambda: ours(2),
}


def serve(name: str, n: int) -> None:
    """Runs a method once for each line read, and prints what it measured."""
    statistic = METHODS[name]()
    statistic(*draw(50))  # loads and compiles
    x, y = draw(n)
    before = peak()
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        value = float(statistic(x, y))
        seconds, cpu = time.perf_counter() - start, time.process_time() - busy
        result = {"value": value, "seconds": seconds, "cpu": cpu, "mb": peak() - before}
        print(json.dumps(result), flush=True)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def measured(names, n: int, repeat: int) -> dict[str, list[dict]]:
    results: dict[str, list[dict]] = {name: [] for name in names}
    workers = {}
    for name in names:
        command = [sys.executable, __file__, "--serve", name, "--samples", str(n)]
        pipe = subprocess.PIPE
        workers[name] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    for turn in range(repeat + 1):
        for name, worker in workers.items():
            worker.stdin.write("\n")
            worker.stdin.flush()
            result = json.loads(worker.stdout.readline())
            if turn:
                results[name].append(result)
    for worker in workers.values():
        worker.communicate()
    return results


def rows_of(results: dict[str, list[dict]]):
    seconds = {n: statistics.median(r["seconds"] for r in runs) for n, runs in results.items()}
    base = next(iter(seconds.values()))
    for name, runs in results.items():
        every = [run["seconds"] for run in runs]
        yield (
            name,
            seconds[name],
            min(every),
            max(every),
            f"{base / seconds[name]:.1f}",
            statistics.median(run["cpu"] for run in runs),
            f"{runs[-1]['mb']:.0f}",
            f"{runs[-1]['value']:.9f}",
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=5000, help="compared with hyppo")
    parser.add_argument("--large", type=int, default=50_000, help="for ours alone")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="few samples, to try the script")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    n, large = (200, 600) if arguments.small else (arguments.samples, arguments.large)
    if arguments.serve:
        serve(arguments.serve, arguments.samples)
        return
    print(heading("hyppo", "scipy"))
    head = ("seconds", "least", "most", "times faster", "cpu s", "peak MB", "statistic")
    results = measured(METHODS, n, arguments.repeat)
    print(f"{n:,} samples; medians of {arguments.repeat}.\n")
    print(table(("method", *head), rows_of(results)))
    if large:
        results = measured(list(METHODS)[1:], large, 1)
        print(f"\n{large:,} samples, one run.\n")
        print(table(("method", *head), rows_of(results)))


if __name__ == "__main__":
    main()
