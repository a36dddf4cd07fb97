"""How short are our partitions beside those of the infomap package, and how fast are they found?

    python benchmarks/infomap.py [--trials 20] [--networks NAME ...] [--speed] [--nodes 100000]
    python benchmarks/infomap.py --more 100 | --costs

Quality: single trials of both on the same arrays, with two levels and with as many as pay. `best`
is the shortest of the first ten, `mean` that of all, and the ratio is ours by theirs: below one is
shorter. AMI is that of the best top modules with the groups that were planted or are known, where
each node has one. Networks: those of `graphs_gml` without weights (with them where a name ends in
`-w`), one of infomap's own examples with directions, character transitions of a novel, and made
ones: groups of power-law sizes with power-law degrees, `mu` of the links leading out of the group,
with directions where a name says so.

`--more` searches again where the package finds something shorter in so many trials than in ten.
`--costs` tells what ten trials on two threads take (the package has one), how far one search raises
the peak of memory of its process, and what compiling and loading take.

Speed, of large made networks and of transitions between the words of all modern text, cut by
jieba's dictionary: process seconds of single trials on one thread, medians of `--repeat`, taking
turns. Both times run from links in memory to the result, flow included; the package's exclude
copying the links into it. Both search once before, to load and compile. Real data comes from the
folder TAOLU_DATA; `--small` is for the tests.
"""

import argparse
import functools
import importlib
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from corpora import MODERN, NARROW, folder, heading, raw_lines, stored_lines, table

from taolu.graph import Links, compare, infomap
from taolu.mine.cut import Segmenter

GML = [
    *("karate", "dolphins", "moreno_lesmis", "football", "polbooks", "Information_Retrieval"),
    *("news_3cl1_0.1", "eu-core", "news_5cl1_0.1", "Databases", "arenas-email", "Networking"),
    *("eurosis", "dimacs10-netscience", "citeseer", "sp_school_day_1", "as"),
]
WEIGHTS = {"moreno_lesmis": "attr1", "eurosis": "value", "sp_school_day_1": "count"}
MUS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
TIMES = "s", "infomap s", "times as fast"


class Network(NamedTuple):
    """Links, whether they have directions, the group of each node where all are known, and where
    nodes are states, of what.
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    nodes: int
    directed: bool
    groups: np.ndarray | None = None
    physical: np.ndarray | None = None


class Found(NamedTuple):
    """Bits per step, process seconds, and the top module of each node."""

    bits: float
    seconds: float
    modules: np.ndarray


def gml(name: str, weight: str = "") -> Network:
    text = "\n".join(stored_lines(f"graphs_gml/{name}.gml.xz"))
    ids = {number: place for place, number in enumerate(re.findall(r"node \[\s*id (\d+)", text))}
    edges = re.findall(r"edge \[\s*source (\d+)\s+target (\d+)([^\]]*)\]", text)
    ends = np.array([(ids[a], ids[b]) for a, b, _ in edges]).T
    weights = np.ones(len(edges))
    if weight:
        found = [re.search(rf'\b{weight} "?([\d.]+)', rest) for _, _, rest in edges]
        weights = np.array([float(one[1]) if one else 1.0 for one in found])
    known = re.findall(r"\bgt ([^\s\]]+)", text)
    groups = np.unique(known, return_inverse=True)[1] if len(known) == len(ids) else None
    return Network(ends[0], ends[1], weights, len(ids), False, groups)


def modular() -> Network:
    path = folder() / "graphs_infomap_examples" / "modular_wd.net"
    links = re.split(r"\*(?:Links|Arcs|Edges)[^\n]*\n", path.read_text(encoding="utf-8"))[1]
    rows = np.array([line.split() for line in links.splitlines() if line.strip()], dtype=float)
    return Network(rows[:, 0].astype(int) - 1, rows[:, 1].astype(int) - 1, rows[:, 2], 25, True)


def novel() -> Network:
    text = "\n".join(stored_lines("text_novels/红楼梦.txt.xz"))
    return transitions(list(text))


def states(characters: int = 20_000) -> Network:
    """Steps between the characters of a novel, where each remembers the one before."""
    text = "".join(stored_lines("text_novels/红楼梦.txt.xz"))[:characters]
    ids = np.unique(list(text), return_inverse=True)[1]
    pairs, state = np.unique(ids[:-1] * len(text) + ids[1:], return_inverse=True)
    links, counts = np.unique(np.stack([state[:-1], state[1:]]), axis=1, return_counts=True)
    return Network(*links, counts.astype(float), pairs.size, True, physical=pairs % len(text))


def words() -> Network:
    rows = (line.split() for line in stored_lines("lexicons/jieba_dict_small.txt.xz"))
    uses = {row[0].translate(NARROW): max(1, int(row[1])) for row in rows if row}
    cut = Segmenter(uses).cut_lines(raw_lines(MODERN))
    return transitions([word for line in cut for word in (*line, "\n")])


def transitions(units: list[str]) -> Network:
    """How often one follows another, of those made of Chinese characters."""
    chinese = re.compile("[\u4e00-\u9fff]+")
    places: dict[str, int] = {}
    for unit in dict.fromkeys(units):
        if chinese.fullmatch(unit):
            places[unit] = len(places)
    ids = np.array([places.get(unit, -1) for unit in units])
    both = (ids[:-1] >= 0) & (ids[1:] >= 0)
    pairs, counts = np.unique(ids[:-1][both] * len(places) + ids[1:][both], return_counts=True)
    sources, targets = np.divmod(pairs, len(places))
    return Network(sources, targets, counts.astype(float), len(places), True)


def groups(nodes: int, mu: float, directed: bool = False, seed: int = 42) -> Network:
    """LFR-like: degrees and group sizes from power laws, ends of links paired at random."""
    rng = np.random.default_rng(seed)
    degrees = power_law(rng, nodes, 7, 50, 2.5)
    sizes = power_law(rng, nodes // 20, 20, 100, 1.5)
    sizes = sizes[: int(np.searchsorted(np.cumsum(sizes), nodes)) + 1]
    group = rng.permutation(np.repeat(np.arange(sizes.size), sizes)[:nodes])
    inner = np.minimum(np.rint((1 - mu) * degrees), sizes[group] - 1).astype(int)
    ends = np.repeat(np.arange(nodes), inner)
    ends = rng.permutation(ends)
    ends = ends[np.argsort(group[ends], kind="stable")]
    outer = rng.permutation(np.repeat(np.arange(nodes), degrees - inner))
    ends = np.concatenate([ends[: ends.size // 2 * 2], outer[: outer.size // 2 * 2]])
    sources, targets = ends[::2], ends[1::2]
    turn = rng.random(sources.size) < (0.5 if directed else 0.0)
    sources, targets = np.where(turn, targets, sources), np.where(turn, sources, targets)
    return Network(sources, targets, np.ones(sources.size), nodes, directed, group)


def power_law(rng, count, least, most, exponent) -> np.ndarray:
    values = np.arange(least, most + 1)
    shares = values**-exponent
    return rng.choice(values, size=count, p=shares / shares.sum())


def networks(small: bool) -> dict[str, Callable[[], Network]]:
    if small:
        return {
            "groups 200 0.3": lambda: groups(200, 0.3),
            "groups 200 0.3 directed": lambda: groups(200, 0.3, True),
        }
    found: dict[str, Callable[[], Network]] = {name: lambda name=name: gml(name) for name in GML}
    found |= {f"{name}-w": lambda n=name: gml(n, WEIGHTS[n]) for name in WEIGHTS}
    found["modular_wd"], found["novel"], found["states"] = modular, novel, states
    for nodes in (1000, 10_000):
        for directed in (False, True):
            for mu in MUS:
                name = f"groups {nodes} {mu}{' directed' if directed else ''}"
                found[name] = lambda n=nodes, m=mu, d=directed: groups(n, m, d)
    return found


def large_networks(nodes: int, small: bool) -> dict[str, Callable[[], Network]]:
    found: dict[str, Callable[[], Network]] = {
        f"groups {nodes} {mu}{' directed' if directed else ''}": functools.partial(
            groups, nodes, mu, directed
        )
        for directed in (False, True)
        for mu in (0.3, 0.5)
    }
    return found if small else found | {"words": words}


@functools.cache
def peer():
    """The class of the infomap package; this file has its name, so it is looked for elsewhere."""
    sys.path.append(sys.path.pop(0))
    return importlib.import_module("infomap").Infomap


def theirs(network: Network, two_level: bool, seed: int) -> Found:
    search = peer()(silent=True, two_level=two_level, seed=seed, directed=network.directed)
    if network.physical is None:
        search.add_nodes(range(network.nodes))
    else:
        for state, node in enumerate(network.physical.tolist()):
            search.add_state_node(state, node)
    search.add_links(np.column_stack([network.sources, network.targets, network.weights]))
    start = time.process_time()
    search.run()
    seconds = time.process_time() - start
    modules = search.get_modules(states=network.physical is not None)
    return Found(
        search.codelength, seconds, np.array([modules[node] for node in range(network.nodes)])
    )


def ours(network: Network, two_level: bool, seed: int) -> Found:
    links = links_of(network)
    start = time.process_time()
    found = infomap(links, directed=network.directed, two_level=two_level, rng=seed)
    return Found(found.codelength, time.process_time() - start, found.modules)


def links_of(network: Network) -> Links:
    ends = network.sources.astype(np.int32), network.targets.astype(np.int32)
    rest = network.weights, network.nodes, network.directed
    return Links(*ends, *rest, physical=network.physical)


def quality(name: str, network: Network, trials: int) -> Iterator[tuple[str, ...]]:
    for two_level in (True, False):
        runs = [
            [one(network, two_level, seed) for seed in range(1, trials + 1)]
            for one in (ours, theirs)
        ]
        best = [min(run[:10]) for run in runs]
        mean = [float(np.mean([found.bits for found in run])) for run in runs]
        bits = best[0].bits, best[1].bits, best[0].bits / best[1].bits
        ends = [f"{x:.6f}" for x in (*bits, *mean, mean[0] / mean[1])]
        times = [statistics.median(found.seconds for found in run) for run in runs]
        known = network.groups
        scores = ["" if known is None else f"{ami(one.modules, known):.3f}" for one in best]
        yield name, levels(two_level), f"{network.sources.size:,}", *ends, *spans(times), *scores


def ami(modules: np.ndarray, known: np.ndarray) -> float:
    return compare(modules, known).ami


def speed(name: str, network: Network, repeat: int) -> Iterator[tuple[str, ...]]:
    for two_level in (True, False):
        turns = [[one(network, two_level, i + 1) for one in (ours, theirs)] for i in range(repeat)]
        bits = [statistics.mean(turn[k].bits for turn in turns) for k in range(2)]
        times = [statistics.median(turn[k].seconds for turn in turns) for k in range(2)]
        ends = [f"{x:.6f}" for x in (*bits, bits[0] / bits[1])]
        yield name, levels(two_level), f"{network.sources.size:,}", *ends, *spans(times)


def room(name: str, network: Network, more: int) -> Iterator[tuple[str, ...]]:
    """Our best of ten beside the package's, where its best of more is shorter than that."""
    for two_level in (True, False):
        runs = [theirs(network, two_level, seed).bits for seed in range(1, more + 1)]
        best = min(ours(network, two_level, seed).bits for seed in range(1, 11))
        if min(runs) < min(runs[:10]) - 1e-9:
            ends = [f"{x:.6f}" for x in (best, min(runs[:10]), min(runs))]
            yield name, levels(two_level), *ends, "yes" if best < min(runs[:10]) - 1e-9 else "no"


def costs(nodes: int) -> Iterator[tuple[str, str, str]]:
    """Ten trials, memory and loading, each in processes of their own."""
    for task in ("ten trials, wall s", "one trial, MB added"):
        found = [_apart(("--task", task, who, str(nodes))) for who in ("ours", "theirs")]
        yield f"{task}, {nodes:,} nodes", *found
    with tempfile.TemporaryDirectory() as cache:
        for what in ("first search ever, s", "first search of a later process, s"):
            yield what, _apart(("--task", "first", "ours", "300"), NUMBA_CACHE_DIR=cache), ""


def _apart(arguments: tuple[str, ...], **environment: str) -> str:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return done.stdout.strip()


def one_task(task: str, who: str, nodes: int) -> None:
    network = groups(nodes, 0.3)
    if task == "first":
        start = time.perf_counter()
        ours(network, False, 1)
        ours(network._replace(directed=True), False, 1)
        print(f"{time.perf_counter() - start:.2f}")
        return
    one = ours if who == "ours" else theirs
    one(groups(300, 0.3), True, 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    if task.startswith("one"):
        one(network, True, 1)
        print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f}")
        return
    if who == "ours":
        infomap(links_of(network), two_level=True, trials=10, threads=2)
    else:
        search = peer()(silent=True, two_level=True, num_trials=10)
        search.add_links(np.column_stack([network.sources, network.targets, network.weights]))
        start = time.perf_counter()
        search.run()
    print(f"{time.perf_counter() - start:.1f}")


def levels(two_level: bool) -> str:
    return "two" if two_level else "many"


def spans(times: list[float]) -> tuple[str, ...]:
    return *(f"{seconds:.3g}" for seconds in times), f"{times[1] / times[0]:.1f}"


def print_rows(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    """Prints a row as soon as it is there."""
    first = True
    for row in rows:
        lines = table(head, [row]).splitlines()
        print("\n".join(lines if first else lines[2:]), flush=True)
        first = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=20, help="single trials (default 20)")
    parser.add_argument("--networks", nargs="*", help="names, or their beginnings; by default all")
    parser.add_argument("--speed", action="store_true", help="speed only")
    parser.add_argument("--nodes", type=int, default=100_000, help="for the speed (100000)")
    parser.add_argument("--repeat", type=int, default=3, help="turns, for the speed (3)")
    parser.add_argument("--more", type=int, help="is there room above ten trials? so many find it")
    parser.add_argument("--costs", action="store_true", help="ten trials, memory, loading only")
    parser.add_argument("--task", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help="made networks; no data")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # infomap's interface is moving
    if arguments.task:
        one_task(arguments.task[0], arguments.task[1], int(arguments.task[2]))
        return
    print(heading("infomap"), flush=True)
    for directed in (False, True):
        list(speed("", groups(300, 0.3, directed), 1))
    if arguments.costs:
        print_rows(("what", "taolu", "infomap"), costs(arguments.nodes))
        return
    if arguments.more:
        made = chosen(networks(arguments.small), arguments.networks)
        rows = (row for name, make in made for row in room(name, make(), arguments.more))
        head = "network", "levels", "our 10", "its 10", f"its {arguments.more}", "ours shorter"
        print_rows(head, rows)
        return
    if not arguments.speed:
        head = "network", "levels", "links", "best", "infomap", "ratio", "mean", "infomap", "ratio"
        made = chosen(networks(arguments.small), arguments.networks)
        rows = (row for name, make in made for row in quality(name, make(), arguments.trials))
        print_rows((*head, *TIMES, "AMI", "infomap"), rows)
    if arguments.speed or arguments.small:
        nodes = 500 if arguments.small else arguments.nodes
        made = chosen(large_networks(nodes, arguments.small), arguments.networks)
        rows = (row for name, make in made for row in speed(name, make(), arguments.repeat))
        print()
        print_rows(("network", "levels", "links", "mean", "infomap", "ratio", *TIMES), rows)


def chosen(made: dict[str, Callable[[], Network]], names: list[str] | None):
    """The networks whose names begin so, one after the other."""
    return [(n, make) for n, make in made.items() if not names or n.startswith(tuple(names))]


if __name__ == "__main__":
    main()
