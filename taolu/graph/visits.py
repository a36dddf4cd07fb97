"""How often a walker that now and then teleports is at each node.

With tau the probability of a teleport, P the probabilities of links and v where teleports land, the
visit rates are those of

    r = (1 - tau) P r + v,

scaled to one: what cannot leave a node teleports too, and lands by v, so it changes the scale only.
"""

from dataclasses import replace

import numpy as np

from taolu._kernel import kernel
from taolu.graph.links import Links

STEPS = 1000  # 0.85**200 is below 1e-14 already
STEADY = 1e-13  # share of the rates that a step changes when they are taken as found


def passing(
    links: Links, out: np.ndarray, landing: np.ndarray, teleportation: float
) -> tuple[Links, np.ndarray, np.ndarray]:
    """Returns links in the order of their targets, what follows each of them, and visit rates.

    Args:
        links: With directions.
        out: Weight that leaves each node, float64 (nodes,).
        landing: Probability that a teleport lands on the node, float64 (nodes,).
        teleportation: Probability of a teleport at each step.
    """
    starts = np.zeros(links.nodes + 1, dtype=np.int64)
    sources, shares = np.empty_like(links.sources), np.empty(links.weights.size)
    _sort_by_target(links.sources, links.targets, links.weights, out, starts, sources, shares)
    rates = landing / teleportation
    _settle((starts, sources, shares), landing, 1 - teleportation, STEPS, STEADY, rates)
    rates /= rates.sum()
    targets = np.repeat(np.arange(links.nodes, dtype=np.int32), np.diff(starts))
    flow = shares * rates[sources]
    return replace(links, sources=sources, targets=targets, weights=shares), flow, rates


@kernel
def _sort_by_target(sources, targets, weights, out, starts, sorted_sources, shares):
    nodes = starts.size - 1
    for e in range(targets.size):
        starts[targets[e] + 1] += 1
    for b in range(nodes):
        starts[b + 1] += starts[b]
    place = starts[:-1].copy()
    for e in range(targets.size):
        a, b = sources[e], targets[e]
        sorted_sources[place[b]] = a
        shares[place[b]] = weights[e] / out[a] if out[a] > 0.0 else 0.0
        place[b] += 1


@kernel
def _settle(rows, landing, follow, steps, steady, rates):
    """Solves r = follow P r + landing, each rate from the newest others (Gauss-Seidel).

    The error shrinks by `follow` a step at least. What is left of it soon points one way; so a step
    goes on along the last one, as far as makes the next change shortest (Anderson, depth one).
    """
    starts, sources, shares = rows
    nodes = rates.size
    before, last, last_change = rates.copy(), np.empty(nodes), np.empty(nodes)
    for step in range(steps):
        change, total = 0.0, 0.0
        for b in range(nodes):
            arriving = 0.0
            for e in range(starts[b], starts[b + 1]):
                arriving += rates[sources[e]] * shares[e]
            now = follow * arriving + landing[b]
            change += abs(now - rates[b])
            total += now
            rates[b] = now
        if change <= steady * total:
            break
        along, square = 0.0, 0.0
        if step > 0:
            for b in range(nodes):
                bend = rates[b] - before[b] - last_change[b]
                along += (rates[b] - before[b]) * bend
                square += bend * bend
        ahead = along / square if square > 0.0 else 0.0
        for b in range(nodes):
            now = rates[b]
            last_change[b] = now - before[b]
            rates[b] = max(0.0, now - ahead * (now - last[b])) if step > 0 else now
            last[b], before[b] = now, rates[b]
