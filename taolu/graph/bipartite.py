"""Walks between nodes of two kinds, described by the nodes of the first.

Readers and books, words and documents: each link joins a node of one kind to one of the other.
Who wants modules of readers need not pay for the names of books, so a description may take two
steps at once, from the first kind to the first. Every step over a link happens twice as often
between two words, as at Markov time 2, and all visits are to the first kind: with f_a> and f_>a the
flow over the links from and to node a,

    p_a = (f_a> + 2 f_>a) / sum over the first kind,    p_b = 0 for the second.

Without directions both flows are the same, so that p_a is the share of the weights at a among all.
With directions that is how the infomap package divides the visits to the second kind.
"""

import numpy as np


def visits_to_first_kind(leaving: np.ndarray, entering: np.ndarray, first: int) -> np.ndarray:
    """Returns how often each node is visited where only the first kind is, float64 (nodes,).

    Args:
        leaving: Flow from each node over its links, float64 (nodes,), in any unit.
        entering: Flow to each node over its links, likewise.
        first: How many nodes there are of the first kind; theirs are the lowest ids.

    References:
        Kheirkhahzadeh, Lancichinetti, Rosvall, Efficient community detection of network flows for
        varying Markov times and bipartite networks, 2016.

    Example:
        Three readers of one book.

        >>> flow = np.array([1.0, 1.0, 2.0, 4.0])
        >>> visits_to_first_kind(flow, flow, 3).tolist()
        [0.25, 0.25, 0.5, 0.0]
    """
    rates = leaving + 2 * entering
    rates[first:] = 0.0
    return rates / rates.sum()


def check_kinds(links, *, recorded: bool, variable: bool) -> None:
    """Refuses what can not be described by nodes of the first kind.

    Args:
        links: The `Links`, with `bipartite`.
        recorded: Whether teleports count as flow.
        variable: Whether Markov times vary.

    Raises:
        ValueError: There is no node of one of the kinds, a link joins two nodes of one, or steps
            are no pairs of links.
    """
    first = links.bipartite
    if recorded or variable:
        raise ValueError(
            "`first_kind_only` must be False, in link_flow, where teleports are recorded or Markov "
            f"times vary. Received: recorded={recorded}, variable_markov_time={variable}."
        )
    if not 0 < first < links.nodes:
        raise ValueError(
            f"`links.bipartite` must lie between 1 and {links.nodes - 1}, the first node of the "
            f"second kind. Received: {first}."
        )
    same = (links.sources < first) == (links.targets < first)
    if same.any():
        one = int(np.argmax(same))
        raise ValueError(
            f"`links` must join nodes below {first} and others where `links.bipartite` is {first}. "
            f"Received: a link from {links.sources[one]} to {links.targets[one]}."
        )
