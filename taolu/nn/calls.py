"""The graph of a model as a list of calls, and a way to run it again with a change.

A layer is an object with weights; a call of it is an edge bundle of the graph. A layer called
twice stands twice in the list, as `name@0` and `name@1`, and a tensor has the name of the call it
comes from, with `:1` and so on for the further outputs of one call. Masks that Keras passes along
by itself are tensors of the graph like all others.

This file alone reads the history that Keras keeps with a symbolic tensor.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
from keras import tree

Place: TypeAlias = keras.KerasTensor | str


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or an operation inside a model.

    Attributes:
        name: Name of the layer; with `@k` if the model calls it more than once.
        operation: The layer, the nested model or the operation.
        arguments: The pair (positional, keyword) it was called with; tensors are symbolic.
        inputs: Symbolic tensors among the arguments.
        outputs: Symbolic tensors it gave.
    """

    name: str
    operation: keras.Operation
    arguments: tuple[Any, Any]
    inputs: tuple[keras.KerasTensor, ...]
    outputs: tuple[keras.KerasTensor, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self.name + (f":{i}" if i else "") for i in range(len(self.outputs)))


def is_graph(model: Any) -> bool:
    """Says whether a model is a graph of calls: functional, or a built Sequential.

    Example:
        >>> is_graph(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
        True
    """
    if isinstance(model, keras.Sequential):
        return model.built and bool(model.inputs)
    return isinstance(model, keras.Model) and isinstance(model, keras.Function)


def calls(model: keras.Model) -> tuple[Call, ...]:
    """Every call between the inputs of a model and its outputs, each after those it needs.

    Args:
        model: Functional model, or Sequential that is built.

    Returns:
        The calls, without those of the inputs. A nested model is one call.

    Raises:
        ValueError: The model is no graph: a class of its own `call`, or not built yet.

    Example:
        >>> x = keras.Input((3,), name="x")
        >>> layer = keras.layers.Dense(3, name="twice")
        >>> model = keras.Model(x, keras.layers.Add(name="sum")([x, layer(layer(x))]))
        >>> [call.name for call in calls(model)]
        ['twice@0', 'twice@1', 'sum']
    """
    if not is_graph(model):
        raise ValueError(
            "`model` must be a functional model, or a Sequential that is built; a model with its "
            f"own `call` has no graph to read. Received: {type(model).__name__}."
        )
    nodes = _nodes(model.inputs, model.outputs)
    order: dict[int, list] = {}
    for node in nodes:
        order.setdefault(id(node.operation), []).append(node)
    for same in order.values():  # by the time of the call, as the author of the model wrote it
        same.sort(key=lambda node: node.operation._inbound_nodes.index(node))
    return tuple(_call(node, order[id(node.operation)]) for node in nodes)


def _nodes(inputs, outputs):
    """Nodes of the history between these tensors, in an order in which they can be computed."""
    given = {id(tensor) for tensor in inputs}
    done: list[Any] = []
    seen: set[int] = set()
    stack: list[Any] = [(tensor, None) for tensor in reversed(outputs)]
    while stack:  # no recursion: a deep model is deeper than Python's stack
        tensor, node = stack.pop()
        if node is not None:
            done.append(node)
            continue
        if id(tensor) in given:
            continue
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if id(node) not in seen:
            seen.add(id(node))
            stack.append((None, node))
            stack += [(parent, None) for parent in reversed(node.input_tensors)]
    return done


def _call(node, same):
    name = node.operation.name + (f"@{same.index(node)}" if len(same) > 1 else "")
    arguments = (node.arguments.args, node.arguments.kwargs)
    return Call(
        name, node.operation, arguments, tuple(node.input_tensors), tuple(node.output_tensors)
    )


def tensors(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Every tensor of a model by name, the inputs first.

    Args:
        model: Functional model, or Sequential that is built.

    Raises:
        ValueError: The model is no graph.

    Example:
        >>> x = keras.Input((3,), name="x")
        >>> list(tensors(keras.Model(x, keras.layers.Dense(2, name="y")(x))))
        ['x', 'y']
    """
    sequence = calls(model)
    named = {tensor._keras_history.operation.name: tensor for tensor in model.inputs}
    for call in sequence:
        named |= dict(zip(call.names, call.outputs, strict=True))
    return named


def run(
    model: keras.Model,
    inputs: Any,
    visit: Callable[..., Any] | None = None,
) -> Any:
    """What a model gives, with a say in every call.

    With symbolic inputs it draws the graph anew, with the same layers; with arrays it computes.

    Args:
        model: Functional model, or Sequential that is built.
        inputs: Tensors in the structure the model takes.
        visit: Function `visit(call, *arguments, **keywords)` that makes one call; by default the
            call's own operation.

    Returns:
        Outputs in the structure the model gives.

    Raises:
        ValueError: The model is no graph, or `inputs` are not as many as it takes.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")])
        >>> def told(call, *arguments, **keywords):
        ...     return call.operation(*arguments, **keywords) * 0 + 7
        >>> keras.ops.convert_to_numpy(run(model, keras.ops.ones((1, 3)), told)).tolist()
        [[7.0, 7.0]]
    """
    sequence, flat = calls(model), tree.flatten(inputs)
    if len(flat) != len(model.inputs):
        raise ValueError(
            f"`inputs` must be {len(model.inputs)} tensors. Received: {len(flat)} tensors."
        )
    known = {id(tensor): value for tensor, value in zip(model.inputs, flat, strict=True)}
    replay(sequence, known, visit)
    values = [known[id(tensor)] for tensor in model.outputs]
    return tree.pack_sequence_as(structure(model)[1], values)


def replay(
    sequence: Iterable[Call], known: dict[int, Any], visit: Callable[..., Any] | None = None
) -> None:
    """Makes calls in turn and notes what they give, for the tensors that are not known yet.

    Args:
        sequence: Calls, each after those it needs.
        known: Values of symbolic tensors by their `id`; grows.
        visit: As for `run`.

    Raises:
        ValueError: A call gives another number of tensors than the one it stands for.
    """
    visit = visit or (lambda call, *args, **kwargs: call.operation(*args, **kwargs))

    def fill(x):
        return known[id(x)] if isinstance(x, keras.KerasTensor) else x

    for call in sequence:
        args, kwargs = tree.map_structure(fill, call.arguments)
        given = tree.flatten(visit(call, *args, **kwargs))
        if len(given) != len(call.outputs):
            raise ValueError(
                f"What stands for '{call.name}' must give {len(call.outputs)} tensors, as it did. "
                f"Received: {len(given)}."
            )
        for tensor, value in zip(call.outputs, given, strict=True):
            known.setdefault(id(tensor), value)


def structure(model: keras.Model) -> tuple[Any, Any]:
    """The symbolic inputs and outputs of a model, in the structure it takes and gives them."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    outputs = model.output
    single = isinstance(outputs, list | tuple) and len(outputs) == 1
    return model.input, outputs[0] if single else outputs


def placeholder(tensor: keras.KerasTensor, name: str | None = None) -> keras.KerasTensor:
    """A new input of a model, of the shape and type of a symbolic tensor.

    Args:
        tensor: Any tensor of a model.
        name: Name of the input; by default that of the layer the tensor comes from.

    Example:
        >>> placeholder(keras.Input((3,), name="x")).name
        'x'
    """
    layer = tensor._keras_history.operation
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        name=name or layer.name,
        optional=getattr(layer, "optional", False),
    )


def resolve(model: keras.Model, at: Place | Sequence[Place]) -> dict[str, keras.KerasTensor]:
    """The tensors meant by themselves or by their names, by name, in the order given.

    Args:
        model: Functional model, or Sequential that is built.
        at: Symbolic tensors of the model, or names as in `tensors`.

    Raises:
        ValueError: A tensor is not of this model, none is given, or the model is no graph.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")])
        >>> list(resolve(model, model.outputs))
        ['d']
    """
    named = tensors(model)
    names = {id(tensor): name for name, tensor in named.items()}
    places = [at] if isinstance(at, keras.KerasTensor | str) else list(at)
    if not places:
        raise ValueError("`at` must hold a tensor. Received: none.")
    found = {}
    for place in places:
        name = place if isinstance(place, str) else names.get(id(place))
        if name not in named:
            raise ValueError(_explain(model, place, named))
        found[name] = named[name]
    return found


def _explain(model, place, named):
    """Says why a tensor is not of a model, and what might have been meant."""
    if isinstance(place, str):
        label, base = repr(place), place
        similar = [name for name in named if re.fullmatch(re.escape(place) + r"@\d+", name)]
        similar = similar or difflib.get_close_matches(place, named)
    elif isinstance(place, keras.KerasTensor):
        operation = place._keras_history.operation
        base = operation.name
        label = f"a tensor of '{base}'"
        similar = [name for name in named if re.split("[@:]", name)[0] == base]
    else:
        return f"`at` must hold symbolic tensors or names. Received: {place!r}."
    said = f"`at` must hold tensors of '{model.name}'. Received: {label}, which is none."
    nested = [layer for layer in model.layers if is_graph(layer)]
    for inner in nested:
        if base in {re.split("[@:]", name)[0] for name in tensors(inner)}:
            return f"{said} It lies inside '{inner.name}', a model of its own: cut that one."
    return f"{said} Did you mean {similar}?" if similar else f"{said} Its tensors: {list(named)}."
