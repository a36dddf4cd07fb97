"""Links as a file gives them, some with a direction and some without, and what they come to."""

import math
from dataclasses import dataclass, field

import numpy as np

from taolu.errors import CorpusError
from taolu.graph.links import Links
from taolu.graph.source import Source


@dataclass(frozen=True)
class Gathered:
    """What a file says.

    Attributes:
        sources: Where each link starts, int (links,).
        targets: Where it ends, int (links,).
        weights: Its weight, float64 (links,).
        names: What the file calls the nodes; where nodes are states, the physical nodes.
        arcs: Whether each link leads from source to target only, bool (links,); None where the file
            does not say.
        physical: The physical node of each node, int (nodes,), or None where nodes are no states.
        bipartite: The first node of the second kind, or None.
        settled: Whether directions are as they are, whatever the caller wants.
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    names: list[str] = field(repr=False)
    arcs: np.ndarray | None = None
    physical: np.ndarray | None = None
    bipartite: int | None = None
    settled: bool = False

    def links(self, directed: bool | None) -> Links:
        """Returns each link once, with the sum of its weights.

        Where a file holds links with and without direction, those without are two, one each way.

        Args:
            directed: Whether links have a direction; None for what the file says.
        """
        sources, targets, weights = self.sources, self.targets, self.weights
        nodes = len(self.names) if self.physical is None else self.physical.size
        some = self.arcs is not None and bool(self.arcs.any())
        directed = some if directed is None or self.settled else directed
        if directed and some and not self.arcs.all():  # type: ignore[union-attr]
            both = np.flatnonzero(~self.arcs & (sources != targets))  # type: ignore[operator]
            sources, targets = (
                np.concatenate([sources, targets[both]]),
                np.concatenate([targets, sources[both]]),
            )
            weights = np.concatenate([weights, weights[both]])
        if not directed:
            sources, targets = np.minimum(sources, targets), np.maximum(sources, targets)
        sources, targets, weights = _summed(sources, targets, weights, nodes)
        physical = None if self.physical is None else self.physical.astype(np.int32)
        names = tuple(self.names)
        return Links(sources, targets, weights, nodes, directed, names, physical, self.bipartite)


def _summed(sources, targets, weights, nodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorts links, and adds up those that stand twice."""
    keys = sources.astype(np.int64) * nodes + targets
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    sums = np.add.reduceat(weights[order], first) if first.size else weights
    keys = keys[first]
    return (keys // nodes).astype(np.int32), (keys % nodes).astype(np.int32), sums


def attribute_weights(source: Source, links, weight: str, fault) -> np.ndarray:
    """Returns the attribute of each link that is its weight, 1 where it has none, float64 (links,).

    Args:
        source: The file.
        links: Pairs of the attributes of a link and its place in the file.
        weight: Name of the attribute.
        fault: Makes an error of a place and a rule.

    Raises:
        CorpusError: A weight is no finite number, or below 0; or no link has such an attribute.
    """
    weights = np.ones(len(links))
    some = False
    for row, (own, start) in enumerate(links):
        text = own.get(weight)
        if text is None:
            continue
        some = True
        try:
            value = float(text)
        except (TypeError, ValueError):
            raise fault(start, f"{weight!r} must be a number, not {text!r}.") from None
        if not 0 <= value < math.inf:
            raise fault(start, f"{weight!r} must be finite, and at least 0, not {text}.")
        weights[row] = value
    if links and not some and weight != "weight":
        known = sorted({name for own, _ in links[:1000] for name in own} - {"source", "target"})
        raise CorpusError(
            f"{source.path}: no link has an attribute {weight!r}. They have: "
            f"{', '.join(known) if known else 'none'}."
        )
    return weights
