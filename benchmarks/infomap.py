"""How short are our partitions beside those of the infomap package, and how fast are they found?

    python benchmarks/infomap.py [--trials 20] [--networks NAME ...] [--speed] [--nodes 100000]

Quality: single trials of both on the same arrays, with two levels and with as many as pay. `best`
is the shortest of the first ten, `mean` that of all, and the ratio is ours by theirs: below one is
shorter. Networks: those of `graphs_gml` without weights (with them where a name ends in `-w`), one
of infomap's own examples with directions, character transitions of a novel, and made ones: groups
of power-law sizes with power-law degrees, `mu` of the links leading out of the group, with
directions where a name says so. Speed: process seconds of one trial on one thread, without loading;
ours include the flow, as theirs do. Both search once before, to load and compile. Real data comes
from the folder TAOLU_DATA; `--small` is for the tests.
"""

import argparse
import functools
import importlib
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from corpora import folder, heading, stored_lines, table

from taolu.graph import infomap, link_flow

GML = [
    *("karate", "dolphins", "moreno_lesmis", "football", "polbooks", "Information_Retrieval"),
    *("news_3cl1_0.1", "eu-core", "news_5cl1_0.1", "Databases", "arenas-email", "Networking"),
    *("eurosis", "dimacs10-netscience", "citeseer", "sp_school_day_1", "as"),
]
WEIGHTS = {"moreno_lesmis": "attr1", "eurosis": "value", "sp_school_day_1": "count"}
MUS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)

# Sources, targets, weights, nodes, and whether links have directions.
Network = tuple[np.ndarray, np.ndarray, np.ndarray, int, bool]


def gml(name: str, weight: str = "") -> Network:
    text = "\n".join(stored_lines(f"graphs_gml/{name}.gml.xz"))
    ids = {number: place for place, number in enumerate(re.findall(r"node \[\s*id (\d+)", text))}
    edges = re.findall(r"edge \[\s*source (\d+)\s+target (\d+)([^\]]*)\]", text)
    ends = np.array([(ids[a], ids[b]) for a, b, _ in edges]).T
    weights = np.ones(len(edges))
    if weight:
        found = [re.search(rf'\b{weight} "?([\d.]+)', rest) for _, _, rest in edges]
        weights = np.array([float(one[1]) if one else 1.0 for one in found])
    return ends[0], ends[1], weights, len(ids), False


def modular() -> Network:
    path = folder() / "graphs_infomap_examples" / "modular_wd.net"
    links = re.split(r"\*(?:Links|Arcs|Edges)[^\n]*\n", path.read_text(encoding="utf-8"))[1]
    rows = np.array([line.split() for line in links.splitlines() if line.strip()], dtype=float)
    return rows[:, 0].astype(int) - 1, rows[:, 1].astype(int) - 1, rows[:, 2], 25, True


def novel() -> Network:
    text = "\n".join(stored_lines("text_novels/红楼梦.txt.xz"))
    pairs = re.findall(r"(?=([\u4e00-\u9fff]{2}))", text)
    kinds, counts = np.unique(pairs, return_counts=True)
    letters = {letter: i for i, letter in enumerate(sorted(set("".join(kinds))))}
    ends = np.array([[letters[a], letters[b]] for a, b in kinds]).T
    return ends[0], ends[1], counts.astype(float), len(letters), True


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
    return sources, targets, np.ones(sources.size), nodes, directed


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
    found["modular_wd"], found["novel"] = modular, novel
    for nodes in (1000, 10_000):
        for mu in MUS:
            found[f"groups {nodes} {mu}"] = lambda n=nodes, m=mu: groups(n, m)
        for mu in (0.3, 0.5):
            name = f"groups {nodes} {mu} directed"
            found[name] = lambda n=nodes, m=mu: groups(n, m, True)
    return found


@functools.cache
def peer():
    """The class of the infomap package; this file has its name, so it is looked for elsewhere."""
    sys.path.append(sys.path.pop(0))
    return importlib.import_module("infomap").Infomap


def theirs(network: Network, two_level: bool, seed: int) -> tuple[float, float]:
    """Bits per step and process seconds of the infomap package."""
    sources, targets, weights, nodes, directed = network
    search = peer()(silent=True, two_level=two_level, seed=seed, directed=directed)
    search.add_nodes(range(nodes))
    search.add_links(np.column_stack([sources, targets, weights]))
    start = time.process_time()
    search.run()
    return search.codelength, time.process_time() - start


def ours(network: Network, two_level: bool, seed: int) -> tuple[float, float]:
    *links, nodes, directed = network
    start = time.process_time()
    flow = link_flow(tuple(links), nodes=nodes, directed=directed)
    found = infomap(flow, two_level=two_level, rng=seed)
    return found.codelength, time.process_time() - start


def quality(name: str, network: Network, trials: int) -> Iterator[tuple[str, ...]]:
    for two_level in (True, False):
        runs = [
            [one(network, two_level, seed)[0] for seed in range(1, trials + 1)]
            for one in (ours, theirs)
        ]
        best = [min(run[:10]) for run in runs]
        mean = [float(np.mean(run)) for run in runs]
        ends = [f"{x:.6f}" for x in (*best, best[0] / best[1], *mean, mean[0] / mean[1])]
        yield name, "two" if two_level else "many", f"{network[0].size:,}", *ends


def speed(name: str, network: Network) -> Iterator[tuple[str, ...]]:
    for two_level in (True, False):
        (short, fast), (peer, slow) = ours(network, two_level, 1), theirs(network, two_level, 1)
        cells = f"{fast:.2f}", f"{slow:.2f}", f"{slow / fast:.1f}", f"{short:.6f}", f"{peer:.6f}"
        yield name, "two" if two_level else "many", f"{network[0].size:,}", *cells


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
    parser.add_argument("--small", action="store_true", help="made networks; no data")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # infomap's interface is moving
    print(heading("infomap"), flush=True)
    if not arguments.speed:
        chosen = networks(arguments.small)
        if arguments.networks:
            chosen = {n: f for n, f in chosen.items() if n.startswith(tuple(arguments.networks))}
        head = (
            "network",
            "levels",
            "links",
            "best",
            "infomap",
            "ratio",
            "mean",
            "infomap",
            "ratio",
        )
        found = (row for n, f in chosen.items() for row in quality(n, f(), arguments.trials))
        print_rows(head, found)
    if arguments.speed or arguments.small:
        nodes = 500 if arguments.small else arguments.nodes
        for directed in (False, True):
            list(speed("", groups(300, 0.3, directed)))
        made = {
            f"groups {nodes} {mu}{' directed' if directed else ''}": (nodes, mu, directed)
            for directed in (False, True)
            for mu in (0.3, 0.5)
        }
        head = ("network", "levels", "links", "s", "infomap s", "times as fast", "bits", "infomap")
        print()
        print_rows(head, (row for n, made_of in made.items() for row in speed(n, groups(*made_of))))


if __name__ == "__main__":
    main()
