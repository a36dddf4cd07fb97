"""Small networks, and the slow truth about them, for the tests of this room."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

BARBELL = ([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3])  # two triangles, one link between

MODELS = [
    {"directed": False, "recorded": False, "to_nodes": False},
    *(
        {"directed": True, "recorded": recorded, "to_nodes": to_nodes}
        for recorded in (False, True)
        for to_nodes in (False, True)
    ),
]


def random_links(rng, nodes, links, *, loops=True, weighted=True):
    """Links at random; some repeat, some lead from a node to itself, some nodes have none."""
    sources, targets = rng.integers(0, nodes, (2, links))
    if not loops:
        targets = np.where(sources == targets, (targets + 1) % nodes, targets)
    weights = rng.gamma(0.5, size=links) if weighted else np.ones(links)
    return sources, targets, weights


def naive_walk(sources, targets, weights, nodes, *, directed, tau=0.15, recorded, to_nodes):
    """Visit rates, dense link flow, teleports and landing, from an eigenvector."""
    matrix = np.zeros((nodes, nodes))
    np.add.at(matrix, (sources, targets), weights)
    nothing = np.zeros(nodes)
    if not directed:
        matrix = matrix + matrix.T - np.diag(np.diag(matrix))
        return matrix.sum(axis=1) / matrix.sum(), matrix / matrix.sum(), nothing, nothing
    out = matrix.sum(axis=1)
    stuck = out == 0
    follow = matrix / np.where(stuck, 1, out)[:, None]
    mass = matrix.sum(axis=0) if recorded else out
    landing = np.full(nodes, 1 / nodes) if to_nodes else mass / mass.sum()
    jump = np.where(stuck, 1, tau)
    values, vectors = np.linalg.eig(((1 - tau) * follow + np.outer(jump, landing)).T)
    rates = np.real(vectors[:, np.argmax(values.real)])
    rates /= rates.sum()
    flow = rates[:, None] * follow
    if recorded:
        return rates, (1 - tau) * flow, rates * jump, landing
    flow /= flow.sum()
    return flow.sum(axis=0), flow, nothing, nothing


def naive_bits(walk, paths, physical=None):
    """Bits per step under paths, tuples of modules from the top; codebooks in a dictionary.

    States of one physical node in one codebook share a code word.
    """
    rates, flow, teleports, landing = walk
    codebooks = {}
    modules = {path[:k] for path in paths for k in range(1, len(path) + 1)}
    for module in modules:
        inside = np.array([path[: len(module)] == module for path in paths])
        leave = flow[np.ix_(inside, ~inside)].sum()
        enter = flow[np.ix_(~inside, inside)].sum()
        leave += teleports[inside].sum() * landing[~inside].sum()
        enter += teleports[~inside].sum() * landing[inside].sum()
        codebooks.setdefault(module, []).append(leave)
        codebooks.setdefault(module[:-1], []).append(enter)
    visits = {}
    for path, node, rate in zip(paths, physical or range(len(rates)), rates, strict=True):
        visits[tuple(path), node] = visits.get((tuple(path), node), 0) + rate
    for (path, _), rate in visits.items():
        codebooks.setdefault(path, []).append(rate)
    total = 0.0
    for events in codebooks.values():
        events = np.array([event for event in events if event > 0])
        total -= (events * np.log2(events / events.sum())).sum()
    return total


def infomap_bits(links, nodes, paths, *, physical=None, **settings):
    """Codelength and visit rates by the infomap package, for a partition it may not change."""
    infomap = pytest.importorskip("infomap")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its API is moving
        network = infomap.Infomap(
            silent=True,
            no_infomap=True,
            recorded_teleportation=settings.pop("recorded", False),
            **settings,
        )
        for node in range(nodes):
            if physical is None:
                network.add_node(node)
            else:
                network.add_state_node(node, physical[node])
        for source, target, weight in zip(*links, strict=True):
            network.add_link(int(source), int(target), float(weight))
        with tempfile.TemporaryDirectory() as folder:
            tree = Path(folder) / "given.tree"
            lines = _tree_lines(np.asarray(paths), physical)
            tree.write_text("\n".join(lines) + "\n", encoding="utf-8")
            network.run(args=f"--cluster-data {tree}")
        rates = np.zeros(nodes)
        for node in network.nodes:
            rates[node.state_id] = node.flow
        return network.codelength, rates


def _tree_lines(paths, physical=None):
    """Lines of a .tree file; modules are numbered from 1 in each parent, leaves too."""
    numbers, lines = {}, []
    for node, path in sorted(enumerate(paths.tolist()), key=lambda pair: pair[1]):
        place = []
        for depth in range(1, len(path) + 1):
            inside = numbers.setdefault(tuple(path[: depth - 1]), {})
            place.append(inside.setdefault(path[depth - 1], len(inside) + 1))
        leaves = numbers.setdefault(("leaves", *path), {})
        place.append(leaves.setdefault(node, len(leaves) + 1))
        ids = node if physical is None else f"{node} {physical[node]}"
        lines.append(f'{":".join(map(str, place))} 0.1 "{node}" {ids}')
    return lines
