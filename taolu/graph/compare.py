"""How alike two partitions of the same nodes are: by their nodes, and by the walk they describe.

Mutual information I of the modules that a node drawn at random is in compares sets of nodes. It
grows with the number of modules even if they are drawn at random; adjusted, what it is on average
over all ways to draw modules of these sizes is taken away:

    NMI = I / M,   AMI = (I - E[I]) / (M - E[I]),   M = (H(one) + H(other)) / 2.

Two partitions may share as many nodes and yet cut the links of a network quite differently. Under
the codebooks of the map equation a step from u to v takes -log2 s_uv bits, where s_uv, the map
equation similarity, multiplies the rates in their codebooks of the exits from modules of u that v
is not in, the entries into those of v that u is not in, and the visit to v. Who describes by B a
walk that follows A pays, per step, the flow divergence

    D(A, B) = sum_u p_u sum_v t_uv log2(s_uv(A) / s_uv(B)),   t_uv = s_uv(A) / sum_w!=u s_uw(A).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from taolu._kernel import kernel
from taolu.graph.flow import Flow
from taolu.graph.infomap import Partition
from taolu.graph.map_equation import module_rates, nested_columns


@dataclass(frozen=True)
class Comparison:
    """How alike two partitions are.

    Attributes:
        nmi: Normalized mutual information, from 0 to 1, of the top modules.
        ami: Adjusted mutual information, at most 1, and 0 on average for modules at random.
        divergences: Flow divergence in bits per step, D(one, other) and D(other, one); 0 for the
            same modules, infinite where the second cuts off what the first joins. None where only
            labels were given.
    """

    nmi: float
    ami: float
    divergences: tuple[float, float] | None = None

    @property
    def map_similarity(self) -> float | None:
        """From 0 to 1, which is for the same modules; None where only labels were given.

        How much less likely a step is to who describes it by the other partition: 2 to the power of
        minus the mean of both divergences, which is the geometric mean over steps of the ratio of
        map equation similarities. The divergence is that of Blöcker and Scholtes; to turn it into a
        number between 0 and 1 in this way is our choice.
        """
        return None if self.divergences is None else float(2.0 ** -np.mean(self.divergences))


def compare(one, other) -> Comparison:
    """Returns how alike two partitions of the same nodes are.

    Time grows with the nodes, and for the divergences with the lowest modules of both times the
    different pairs of them, one of each, that nodes are in.

    Args:
        one: A `Partition`, or a label for each node, (nodes,), of any kind. Labels compare with the
            top modules; for the lowest pass `partition.leaves`.
        other: Likewise. Two partitions must be of one flow.

    Raises:
        ValueError: The nodes are not as many, or none, or the flows differ.

    Example:
        >>> found = compare([0, 0, 1, 1], ["a", "a", "b", "c"])
        >>> round(found.nmi, 6), round(found.ami, 6)
        (0.8, 0.571429)

    References:
        Vinh, Epps, Bailey, Information theoretic measures for clusterings comparison, 2010.
        Blöcker, Smiljanić, Scholtes, Rosvall, Similarity-based link prediction from modular
        compression of network flows, 2022. Blöcker, Scholtes, Flow divergence: comparing maps of
        flows with relative entropy, 2024.
    """
    first, second = _labels(one, "one"), _labels(other, "other")
    if not first.size == second.size > 0:
        raise ValueError(
            "`one` and `other` must hold as many nodes, at least one. "
            f"Received: {first.size} and {second.size}."
        )
    nmi, ami = _mutual_information(first, second)
    return Comparison(nmi, ami, _divergences(one, other))


def _labels(labels, name) -> np.ndarray:
    if isinstance(labels, Partition):
        return labels.modules
    given = np.asarray(labels)
    if given.ndim != 1:
        raise ValueError(
            f"`{name}` must be a Partition or labels (nodes,). Received: shape {given.shape}."
        )
    return np.unique(given, return_inverse=True)[1]


def _mutual_information(one, other) -> tuple[float, float]:
    """Normalized, and adjusted."""
    ones, others = np.bincount(one), np.bincount(other)
    ones, others = ones[ones > 0], others[others > 0]
    nodes = one.size
    pairs = one.astype(np.int64) * (int(other.max()) + 1) + other
    cells, counts = np.unique(pairs, return_counts=True)
    # One label for all, or one for each, on both sides: the same, and nothing is left to chance.
    if cells.size == ones.size == others.size:
        return 1.0, 1.0
    entropies = _entropy(ones, nodes), _entropy(others, nodes)
    mean = sum(entropies) / 2
    information = max(0.0, sum(entropies) - _entropy(counts, nodes))
    sizes = [np.unique(side, return_counts=True) for side in (ones, others)]
    logs = np.fromiter(map(math.lgamma, range(1, nodes + 2)), np.float64, nodes + 1)  # log n!
    chance = _expected(*(part.astype(np.int64) for side in sizes for part in side), logs)
    return min(1.0, information / mean), (information - chance) / (mean - chance)


def _entropy(counts, nodes) -> float:
    shares = counts / nodes
    return float(-(shares * np.log(shares)).sum())


def _divergences(one, other) -> tuple[float, float] | None:
    flows = [side.flow for side in (one, other) if isinstance(side, Partition)]
    if not flows:
        return None
    if not np.allclose(flows[0].rates, flows[-1].rates, rtol=1e-6, atol=1e-12):
        raise ValueError(
            "`one` and `other` must be partitions of one flow. Received: rates that differ by "
            f"{np.abs(flows[0].rates - flows[-1].rates).max():.3g}."
        )
    paths = [
        side.paths if isinstance(side, Partition) else _labels(side, "labels")[:, None]
        for side in (one, other)
    ]
    maps = [_Map.of(flows[0], path) for path in paths]
    return _divergence(flows[0], *maps), _divergence(flows[0], *maps[::-1])


@dataclass(frozen=True)
class _Map:
    """The rates of events in their codebooks, in logarithms, for modules as a tree.

    Attributes:
        lowest: The lowest module of each node, int64 (nodes,).
        parents: The module around each module, int64 (modules,); -1 around the outermost, which
            comes first.
        depths: How many modules are around each module, int64 (modules,).
        exits: Log rate of its exit in its own codebook, float64 (modules,).
        entries: Log rate of its entry in the codebook of its parent, float64 (modules,).
        totals: Log of all rates in its codebook, float64 (modules,).
    """

    lowest: np.ndarray
    parents: np.ndarray
    depths: np.ndarray
    exits: np.ndarray
    entries: np.ndarray
    totals: np.ndarray

    @staticmethod
    def of(flow: Flow, paths: np.ndarray) -> "_Map":
        lowest = np.zeros(flow.nodes, dtype=np.int64)
        parents, depths = [np.array([-1])], [np.array([0])]
        enter, leave = [np.zeros(1)], [np.zeros(1)]
        before, above = 1, lowest
        for depth, own in enumerate(nested_columns(paths), start=1):
            some = own >= 0
            count = int(own.max()) + 1
            around = np.zeros(count, dtype=np.int64)
            around[own[some]] = above[some]
            # Rates come from differences, which leave dust where nothing crosses.
            dust = 1e-12 * np.bincount(own[some], flow.rates[some], count)
            rates = (np.where(x > dust, x, 0.0) for x in module_rates(flow, own, count))
            for kept, rate in zip((enter, leave), rates, strict=True):
                kept.append(rate)
            parents.append(around)
            depths.append(np.full(count, depth))
            above = np.where(some, own + before, above)
            before += count
        lowest = above
        joined, entered, left = (np.concatenate(part) for part in (parents, enter, leave))
        totals = left + np.bincount(lowest, flow.rates, before)
        totals += np.bincount(joined[1:], entered[1:], before)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(totals)
            around = np.maximum(joined, 0)
            exits, entries = np.log(left) - logs, np.log(entered) - logs[around]
        nothing = np.float64(-np.inf)
        return _Map(
            lowest,
            joined,
            np.concatenate(depths),
            np.where(left > 0, exits, nothing),
            np.where(entered > 0, entries, nothing),
            logs,
        )

    def arrays(self) -> tuple[Any, ...]:
        return self.parents, self.depths, self.exits, self.entries, self.totals


def _divergence(flow, truth: _Map, estimate: _Map) -> float:
    """Bits per step; nodes in the same lowest modules of both differ by their rate only."""
    pairs = truth.lowest * (int(estimate.lowest.max()) + 1) + estimate.lowest
    _, first, cells = np.unique(pairs, return_index=True, return_inverse=True)
    masses = np.bincount(cells, flow.rates)
    sums = np.zeros((masses.size, 4))
    lowest = truth.lowest[first], estimate.lowest[first]
    _step_sums(*lowest, masses, truth.arrays(), estimate.arrays(), sums)
    whole, bits, same, same_bits = sums[cells].T
    rates = flow.rates
    # A walker does not stay where it is: the step from u to u is no step.
    steps = whole - rates * same
    with np.errstate(invalid="ignore"):
        own = np.where(same_bits == 0, 0.0, rates * same * same_bits)
        costs = np.where(np.isinf(bits), np.inf, bits - own)
    seen = (rates > 0) & (steps > 1e-15 * whole)
    nats = float((rates[seen] * costs[seen] / steps[seen]).sum())
    return max(0.0, nats) / float(np.log(2))


@kernel
def _step_sums(lowest, other_lowest, masses, truth, estimate, sums):
    """Fills for each cell: sum of s, sum of s log ratio; s and log ratio inside the cell alone.

    Cells are sorted by their modules in the truth, from all of which a step leads to a module of
    the estimate with the same probability; so these are added up once for each module of the truth.
    """
    rates = np.empty(estimate[0].size)
    logs = np.empty(estimate[0].size)
    first = 0
    while first < masses.size:
        start = lowest[first]
        rates[:], logs[:] = 0.0, 0.0
        whole, log_rate = 0.0, 0.0
        for d in range(masses.size):
            if d == 0 or lowest[d] != lowest[d - 1]:
                log_rate = _log_rate(start, lowest[d], truth)
            if masses[d] > 0.0 and log_rate > -np.inf:
                rate = np.exp(log_rate) * masses[d]
                whole += rate
                rates[other_lowest[d]] += rate
                logs[other_lowest[d]] += rate * log_rate
        inside = _log_rate(start, start, truth)
        c = first
        while c < masses.size and lowest[c] == start:
            sums[c, 0] = whole
            for m in range(rates.size):
                if rates[m] > 0.0:
                    sums[c, 1] += logs[m] - rates[m] * _log_rate(other_lowest[c], m, estimate)
            sums[c, 2] = np.exp(inside)
            sums[c, 3] = inside - _log_rate(other_lowest[c], other_lowest[c], estimate)
            c += 1
        first = c


@kernel
def _log_rate(start, end, tree):
    """Log of the map equation similarity, for a visit to a node with rate one."""
    parents, depths, exits, entries, totals = tree
    log_rate = -totals[end]
    while start != end:
        if depths[start] >= depths[end]:
            log_rate += exits[start]
            start = parents[start]
        else:
            log_rate += entries[end]
            end = parents[end]
    return log_rate


@kernel
def _expected(ones, one_times, others, other_times, logs):
    """Mutual information on average, in nats, from sizes of modules and how many have them."""
    nodes = logs.size - 1
    total = 0.0
    for i in range(ones.size):
        for j in range(others.size):
            a, b = ones[i], others[j]
            part = 0.0
            for n in range(max(1, a + b - nodes), min(a, b) + 1):
                # Hypergeometric: n of the a nodes fall among the b.
                chance = logs[a] + logs[b] + logs[nodes - a] + logs[nodes - b] - logs[nodes]
                chance -= logs[n] + logs[a - n] + logs[b - n] + logs[nodes - a - b + n]
                gain = np.log(nodes / a * n / b)
                part += n / nodes * gain * np.exp(chance)
            total += part * one_times[i] * other_times[j]
    return total
