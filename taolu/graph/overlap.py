"""Nodes in several modules: the same walk, described by where it comes from.

Someone who belongs to two circles is met in both. In one module only, each step from the other
circle to them and back costs an exit and an entry. Let a node have a code word in several modules,
and the walker be in the module it came from; then it leaves only where it goes on into another.

The walk itself stays what it is. Each node c is split into states (c, x), for a walker that came
from a node with label x. With f_ac the flow over a link and p_c the visits to c,

    p_(c,x) = sum over a with label x of f_ac,
    flow from (a, y) to (c, x) = f_ac p_(a,y) / p_a, x the label of a.

All states of c together are visited, left and entered as c is, so states that all stay with their
node cost what the nodes cost, and a search from there can only make the description shorter.
"""

import numpy as np

from taolu.graph.flow import Flow, flow_of_states
from taolu.graph.links import Links

MOST_LINKS = 2**20  # between states, for which each node may have a label of its own


def check_overlap(links, *, recorded: bool, plain: bool) -> None:
    """Refuses walks whose nodes cannot be split.

    Args:
        links: What the caller gave.
        recorded: Whether teleports count as flow.
        plain: Whether each step is described.

    Raises:
        ValueError: Nodes are states or of two kinds already, only a flow is given, teleports are
            recorded, or the Markov time is not 1.
    """
    wrong = None
    if isinstance(links, Flow):
        wrong = "a Flow, without its links"
    elif isinstance(links, Links) and links.physical is not None:
        wrong = "links between states, which overlap already"
    elif isinstance(links, Links) and links.bipartite is not None:
        wrong = "links between two kinds of nodes"
    elif recorded:
        wrong = "recorded=True"
    elif not plain:
        wrong = "another Markov time than 1"
    if wrong:
        raise ValueError(f"`overlap` needs links whose each step is described. Received: {wrong}.")


def split_nodes(links: Links, flow: Flow, labels: np.ndarray) -> Flow:
    """Returns the same walk between states of nodes, by the label of the node before.

    Takes time and memory linear in the links, times the labels around a node.

    Args:
        links: Of the walk.
        flow: What the walker does on them, each step described, and no teleport recorded.
        labels: Of each node, int (nodes,), from 0.

    Returns:
        The flow of states, with `physical`; states stand in the order of their nodes.

    Example:
        A path of three nodes: the one in the middle has a state for each of its ends.

        >>> from taolu.graph.flow import link_flow
        >>> from taolu.graph.links import as_links
        >>> links = as_links(([0, 1], [1, 2]))
        >>> split = split_nodes(links, link_flow(links), np.arange(3))
        >>> split.physical.tolist(), split.rates.tolist()
        ([0, 1, 1, 2], [0.25, 0.25, 0.25, 0.25])

    References:
        Viamontes Esquivel, Rosvall, Compression of flow can reveal overlapping-module organization
        in networks, 2011.
    """
    sources, targets, passed = _link_flows(links, flow)
    count = int(labels.max()) + 1
    # A node that nothing enters has one state.
    lonely = np.flatnonzero(np.bincount(targets, minlength=flow.nodes) == 0)
    keys = targets.astype(np.int64) * count + labels[sources]
    states, first = np.unique(
        np.concatenate([keys, lonely * np.int64(count) + labels[lonely]]), return_inverse=True
    )
    entered = first[: keys.size]
    rates = np.bincount(entered, passed, states.size)
    physical = (states // count).astype(np.int32)
    visits = np.bincount(physical, rates, flow.nodes)
    many = np.bincount(physical, minlength=flow.nodes)
    shares = np.where(visits[physical] > 0, rates, 1 / many[physical])
    shares /= np.where(visits > 0, visits, 1.0)[physical]
    # Each link goes on from every state of its source.
    begin = np.concatenate([[0], np.cumsum(many)])
    copies = many[sources]
    link = np.repeat(np.arange(sources.size), copies)
    place = np.arange(link.size) - np.repeat(np.cumsum(copies) - copies, copies)
    starts = begin[sources[link]] + place
    ends = entered[link]
    return flow_of_states((starts, ends, passed[link] * shares[starts]), rates, physical, flow)


def links_if_split(links: Links, directed: bool) -> int:
    """Returns how many links there are between states if every node has a label of its own.

    Example:
        >>> from taolu.graph.links import as_links
        >>> links_if_split(as_links(([0, 1], [1, 2])), directed=False)
        6
    """
    out = np.bincount(links.sources, minlength=links.nodes)
    into = np.bincount(links.targets, minlength=links.nodes)
    if not directed:
        out = into = out + into
    return int((out * into).sum())


def _link_flows(links, flow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each link with flow starts and ends, one way, and what passes it; loops included."""
    away = (links.sources != links.targets) & (links.weights > 0)
    sources, targets, weights = links.sources[away], links.targets[away], links.weights[away]
    if flow.balanced:
        sources, targets = np.concatenate([sources, targets]), np.concatenate([targets, sources])
        weights = np.concatenate([weights, weights])
    strengths = np.bincount(sources, weights, flow.nodes)
    passed = flow.leaving[sources] * weights / strengths[sources]
    # What is visited and not entered stays.
    loops = np.bincount(links.sources[links.sources == links.targets], minlength=flow.nodes) > 0
    own = np.flatnonzero(loops).astype(sources.dtype)
    stays = np.maximum(flow.rates - flow.entering, 0.0)[own]
    return (
        np.concatenate([sources, own]),
        np.concatenate([targets, own]),
        np.concatenate([passed, stays]),
    )
