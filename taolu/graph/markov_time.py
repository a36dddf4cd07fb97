"""How long a walker goes on between two words of its description, the same everywhere or not.

The map equation describes each step. Described at every t-th step only, in the limit of the
continuous process up to first order, a walker passes a link t times as often between two words:
modules are left and entered at t times the rate, while visits stay one per word. Longer times cost
larger modules less; shorter ones find the small modules in large ones.

A single time blurs where a network is dense, or cuts where it is sparse. Variable times are long
where there are few ways to go: with the effective degree k_a of a node, its visits times the ends
of all links (a loop has one), they are

    t_a = max_b s_b / s_a,    s_a = max(1, log2 k_a).

The logarithm is the entropy of the next step among k_a equal ways. A damping d below 1 lets sparse
parts have longer times still; with q = 1 - d, and ln_q k = (k^q - 1) / q, which is ln k for q = 0,

    s_a = max(1, (1 - q^2) log2(e) ln_q k_a + q^2 (1 + ln_q k_a)),

so that d = 0 takes the degree itself. A directed link has the time of its source; of the two ends
of another, the shorter one counts.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MarkovTime:
    """The time between two words of a description.

    Attributes:
        time: Where all nodes have the same; otherwise it multiplies what they have.
        variable: Whether nodes have their own.
        damping: From 0, times differ as effective degrees do, to 1, as their logarithms do.

    References:
        Kheirkhahzadeh, Lancichinetti, Rosvall, Efficient community detection of network flows for
        varying Markov times and bipartite networks, 2016. Edler, Holmgren, Rosvall, Variable
        Markov dynamics as a multi-focal lens to map complex networks, 2022.
    """

    time: float = 1.0
    variable: bool = False
    damping: float = 1.0

    def check(self) -> None:
        """Refuses times that are none.

        Raises:
            ValueError: The time is not above 0 or not finite, or the damping not within 0 and 1.
        """
        if not 0 < self.time < math.inf:
            raise ValueError(
                f"`markov_time` must be above 0 and finite. Received: markov_time={self.time}."
            )
        if not 0 <= self.damping <= 1:
            raise ValueError(
                "`markov_damping` must lie between 0 and 1, both included. "
                f"Received: markov_damping={self.damping}."
            )

    @property
    def plain(self) -> bool:
        """Whether each step is described."""
        return self.time == 1 and not self.variable

    def of_links(self, links, rates: np.ndarray, *, directed: bool) -> float | np.ndarray:
        """Returns by how much the flow over each link grows, one number or float64 (links,).

        Args:
            links: The `Links`.
            rates: How often the walker is at each node, float64 (nodes,).
            directed: Whether links lead from source to target only.

        Example:
            A node with four ways to go, and one with two.

            >>> from taolu.graph.links import as_links
            >>> links = as_links(([0, 0, 0, 0, 4], [1, 2, 3, 4, 5]))
            >>> rates = np.array([4, 1, 1, 1, 2, 1]) / 10
            >>> MarkovTime(variable=True).of_links(links, rates, directed=False).tolist()
            [1.0, 1.0, 1.0, 1.0, 2.0]
        """
        if not self.variable:
            return self.time
        times = self.time * _times(rates * _link_ends(links, directed), self.damping)
        if directed:
            return times[links.sources]
        return np.minimum(times[links.sources], times[links.targets])


def _times(degrees, damping) -> np.ndarray:
    q = 1.0 - damping
    degrees = np.maximum(degrees, 1.0)  # scales grow with degrees, and are 1 for fewer ends
    powers = np.log(degrees) if q == 0 else (degrees**q - 1) / q
    scales = np.maximum(1.0, (1 - q * q) / math.log(2) * powers + q * q * (1 + powers))
    return scales.max() / scales


def _link_ends(links, directed) -> int:
    some = links.weights > 0
    ends = links.sources[some].astype(np.int64), links.targets[some].astype(np.int64)
    if not directed:
        ends = np.minimum(*ends), np.maximum(*ends)
    sources, targets = np.divmod(np.unique(ends[0] * links.nodes + ends[1]), links.nodes)
    return 2 * sources.size - int((sources == targets).sum())
