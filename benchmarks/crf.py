"""What do the sums and the best path of a CRF cost, beside pytorch-crf and beside a MEMM?

    python benchmarks/crf.py [--repeat 20] [--turns 7] [--peer PYTHON]

Batches of 64 sequences of 64 to 128 steps, 7 and 64 tags: loss and its gradients by scores and
weights, and the best paths, each compiled where the backend compiles; on one thread. The peer runs
in another Python, one that has torch and pytorch-crf, on the same numbers: both must give the same
loss and paths, which is checked first. They take turns, and of each turn the fastest of the repeats
counts; times, those of the processor, and ratios are medians over the turns, as machines are busy.

The loss of the bidirectional MEMM, which sums over no paths, takes turns with that of the CRF on
sequences of 128 to 256 steps.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

SIZES = {False: (64, 128, (7, 64)), True: (3, 6, (2, 5))}  # batch, time, states
TABLES = ("transitions", "start", "end")
WORK = ("loss and gradient", "best path")


def sample(states: int, batch: int, steps: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(states)
    lengths = rng.integers(steps // 2, steps + 1, size=batch)
    lengths[0] = steps
    shapes = {"transitions": (states, states), "start": (states,), "end": (states,)}
    return {
        "scores": rng.normal(size=(batch, steps, states)).astype("float32"),
        "labels": rng.integers(states, size=(batch, steps)).astype("int32"),
        "mask": np.arange(steps) < lengths[:, None],
        **{name: 0.1 * rng.normal(size=shapes[name]).astype("float32") for name in TABLES},
    }


def fastest(run, repeat: int) -> float:
    """Milliseconds of the processor: others that use it must not count."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return 1e3 * min(times)


def ours(data: dict[str, np.ndarray]):
    """Functions of no argument by name, each with an answer."""
    from taolu.nn.differentiate import override, value_and_grad, without_gradients
    from taolu.nn.layers import CRF, MEMM

    import keras  # isort: skip
    from keras import ops

    crf, memm = CRF(), MEMM(bidirectional=True)
    for head in (crf, memm):
        head.build(data["scores"].shape)
    crf.assign(*[data[name] for name in TABLES])
    scores, labels, mask = (ops.convert_to_tensor(data[x]) for x in ("scores", "labels", "mask"))

    def step(head):
        def loss(values):
            with override(list(zip(head.trainable_variables, values[1:], strict=True))):
                return ops.mean(head.loss(labels, values[0], mask))

        run = compiled(lambda values: value_and_grad(loss, values), keras.backend.backend())
        values = [scores, *[ops.convert_to_tensor(v) for v in head.trainable_variables]]

        def once():
            with without_gradients():
                return np.asarray(ops.convert_to_numpy(run(values)[0]))

        return once

    run = compiled(lambda scores: crf.decode(scores, mask), keras.backend.backend())

    def decode():
        with without_gradients():
            return np.asarray(ops.convert_to_numpy(run(scores)))

    return {"loss and gradient": step(crf), "best path": decode, "MEMM": step(memm)}


def compiled(function, backend: str):
    if backend == "jax":
        import jax

        return jax.jit(function)
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return function


def theirs(data: dict[str, np.ndarray]):
    import torch
    import torchcrf

    torch.set_num_threads(1)
    crf = torchcrf.CRF(data["scores"].shape[-1], batch_first=True)
    weights = crf.transitions, crf.start_transitions, crf.end_transitions
    with torch.no_grad():
        for weight, name in zip(weights, TABLES, strict=True):
            weight.copy_(torch.tensor(data[name]))
    scores = torch.tensor(data["scores"], requires_grad=True)
    labels, mask = torch.tensor(data["labels"]).long(), torch.tensor(data["mask"])

    def step():
        loss = -crf(scores, labels, mask=mask, reduction="mean")
        torch.autograd.grad(loss, [scores, *weights])
        return loss.detach().numpy()

    def decode():
        with torch.no_grad():
            paths = crf.decode(scores, mask=mask)
        return [path + [-1] * (mask.shape[1] - len(path)) for path in paths]

    return {"loss and gradient": step, "best path": decode}


class Runs(dict):
    """Functions of no argument by (states, name); each was called once."""

    def __init__(self, make, small: bool, longer: int = 1):
        batch, steps, numbers = SIZES[small]
        for states in numbers:
            found = make(sample(states, batch, longer * steps))
            self.update({(states, name): run for name, run in found.items()})
        self.answers = {key: np.asarray(run()).tolist() for key, run in self.items()}

    def times(self, repeat: int) -> dict[tuple[int, str], float]:
        return {key: fastest(run, repeat) for key, run in self.items()}


def as_peer(repeat: int, small: bool) -> None:
    """Answers on standard output, a line of JSON; then the times, at each line of the input."""
    runs = Runs(theirs, small)
    print(json.dumps(list(runs.answers.values())), flush=True)
    for _ in sys.stdin:
        print(json.dumps(list(runs.times(repeat).values())), flush=True)


class Peer:
    """Another Python that waits for its turn."""

    def __init__(self, python: str, repeat: int, small: bool):
        command = [python, __file__, "--as-peer", "--repeat", str(repeat)]
        self.process = subprocess.Popen(
            command + ["--small"] * small, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> list:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the peer ended with code {self.process.wait()}")
        return json.loads(line)

    def times(self) -> list[float]:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.read()


def agree(one, other) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    return np.allclose(a, b, rtol=1e-5) if a.ndim == 0 else (a == b).mean() > 0.999


def beside_peer(options) -> list[list[object]]:
    """Rows of the table of `WORK`: states, name, and milliseconds and ratios as medians."""
    runs = Runs(lambda data: {name: ours(data)[name] for name in WORK}, options.small)
    peer = Peer(options.peer, options.repeat, options.small) if options.peer else None
    answers = peer.read() if peer else []
    for (key, answer), other in zip(runs.answers.items(), answers, strict=False):
        if not agree(answer, other):
            sys.exit(f"{key[1]}, {key[0]} tags: the answers differ")
    turns = [
        (list(runs.times(options.repeat).values()), peer.times() if peer else [])
        for _ in range(options.turns)
    ]
    rows = []
    for i, (states, name) in enumerate(runs):
        row = [states, name, f"{statistics.median(own[i] for own, _ in turns):.2f}"]
        if peer:
            row.append(f"{statistics.median(other[i] for _, other in turns):.1f}")
            row.append(f"{statistics.median(other[i] / own[i] for own, other in turns):.1f}")
        rows.append(row)
    return rows


def beside_memm(options) -> list[list[object]]:
    """Rows of states, milliseconds of both losses, and the ratio, as medians."""
    runs = Runs(ours, options.small, longer=2)
    turns = [runs.times(options.repeat) for _ in range(options.turns)]
    rows = []
    for states in SIZES[options.small][2]:
        pairs = [(turn[states, "loss and gradient"], turn[states, "MEMM"]) for turn in turns]
        crf, memm = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        rows.append([states, f"{crf:.2f}", f"{memm:.2f}", f"{ratio:.1f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--peer", help="a Python that has torch and pytorch-crf")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_peer:
        as_peer(options.repeat, options.small)
        return
    from corpora import heading, table  # here: the peer need not have what this imports

    print(heading())
    columns = ["tags", "work", "ours ms", "pytorch-crf ms", "times as fast"]
    print(table(columns if options.peer else columns[:3], beside_peer(options)))
    print()
    columns = ["tags", "CRF loss and gradient ms", "MEMM ms", "times as fast"]
    print(table(columns, beside_memm(options)))


if __name__ == "__main__":
    main()
