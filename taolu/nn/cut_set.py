"""Which tensors cut a graph, and the fewest that mend a cut.

A set C of tensors cuts a model if every path from an input to an output meets it: then the outputs
can be computed from C alone. A search backwards from the outputs that stops at C meets an input
exactly if C leaves a path open. The fewest further tensors that close all open paths are, by
Menger's theorem, as many as there are paths that share no tensor: a minimum cut.
"""

from collections.abc import Sequence

import keras
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from taolu.nn.calls import Call, Place, calls, resolve, tensors


def missing(model: keras.Model, at: Place | Sequence[Place]) -> tuple[str, ...]:
    """The fewest tensors that make a set of tensors cut a model; none if it does already.

    Of several choices it gives the one nearest to the outputs that leaves the tensors given of
    use, that is, none that depends on them. Memory and time are linear in the graph, times the
    number of tensors missing.

    Args:
        model: Functional model, or Sequential that is built.
        at: Symbolic tensors, or their names.

    Returns:
        Names, in the order of the graph.

    Raises:
        ValueError: A tensor is not of this model, or the model is no graph.

    Example:
        >>> x = keras.Input((4,), name="x")
        >>> a = keras.layers.Dense(4, name="a")(x)
        >>> b = keras.layers.Dense(4, name="b")(a)
        >>> missing(keras.Model(x, keras.layers.Add()([a, b])), "b")
        ('a',)
    """
    cut = list(resolve(model, at).values())
    sequence, reached = needed_calls(model, cut)
    if not reached:
        return ()
    names = {id(tensor): name for name, tensor in tensors(model).items()}
    behind = {id(tensor) for tensor in cut}  # depends on the cut, or is in it
    parents: dict[int, list[int]] = {id(tensor): [] for tensor in reached}
    ends = {id(tensor) for tensor in model.outputs} - behind
    for call in sequence:
        sources = [id(tensor) for tensor in call.inputs]
        if behind & set(sources):
            behind |= {id(tensor) for tensor in call.outputs}
            ends |= set(sources) - behind  # these must be had for something behind the cut
        else:
            parents |= {id(t): sources for t in call.outputs if id(t) not in behind}
    found = _minimum_cut(parents, {id(tensor) for tensor in reached}, ends & set(parents))
    return tuple(name for key, name in names.items() if key in found)


def needed_calls(
    model: keras.Model, cut: Sequence[keras.KerasTensor]
) -> tuple[list[Call], list[keras.KerasTensor]]:
    """The calls that the outputs of a model need once some tensors are known.

    Args:
        model: Functional model, or Sequential that is built.
        cut: Symbolic tensors of the model.

    Returns:
        The pair of these calls, in order, and the inputs they still need: none for a true cut.
    """
    sequence = calls(model)
    stop = {id(tensor) for tensor in cut}
    wanted = {id(tensor) for tensor in model.outputs} - stop
    needed = []
    for call in reversed(sequence):
        if wanted & {id(tensor) for tensor in call.outputs}:
            needed.append(call)
            wanted |= {id(tensor) for tensor in call.inputs} - stop
    return needed[::-1], [tensor for tensor in model.inputs if id(tensor) in wanted]


def _minimum_cut(parents, sources, ends) -> set[int]:
    """The fewest vertices on all paths from sources to ends, the set nearest to the ends.

    Every vertex becomes an edge of capacity 1 from its front to its back (Menger). After a
    maximum flow the vertices whose back can still reach the sink, and whose front cannot, are a
    minimum cut, and no other one is nearer to the sink.
    """
    front = {vertex: 2 * number for number, vertex in enumerate(parents)}
    source, sink, many = 2 * len(front), 2 * len(front) + 1, len(front) + 1
    edges = {(at, at + 1): 1 for at in front.values()}
    edges |= {(front[p] + 1, front[v]): many for v, above in parents.items() for p in above}
    edges |= {(source, front[v]): many for v in sources}
    edges |= {(front[v] + 1, sink): many for v in ends}
    rows, columns = np.array(list(edges)).T
    capacity = np.array(list(edges.values()), dtype=np.int32)
    graph = sparse.csr_array((capacity, (rows, columns)), shape=(sink + 1, sink + 1))
    left = graph - maximum_flow(graph, source, sink).flow
    left.eliminate_zeros()
    reach = set(breadth_first_order(left.T.tocsr(), sink, return_predecessors=False).tolist())
    return {v for v, at in front.items() if at + 1 in reach and at not in reach}
