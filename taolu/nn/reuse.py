"""Trained models taken apart and put together again, with the same weights.

A layer is an object with weights; calling it draws an edge of the graph. So a graph can be drawn
again, in part or with a change, by the same layers: that is all of `split`, `insert`, `replace` and
`features`. Layers called many times, and nested models, stay shared. Only `freeze` changes the
model it is given.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import tree

from taolu.nn.calls import (
    Place,
    calls,
    is_graph,
    placeholder,
    replay,
    resolve,
    run,
    structure,
    tensors,
)
from taolu.nn.cut_set import missing, needed_calls


@dataclass(frozen=True)
class Split:
    """The two halves of a model; `tail(head(x))` is what the whole gives, bit for bit.

    Attributes:
        head: From the inputs of the model to the tensors of the cut.
        tail: From the tensors of the cut, in the order they were given, to the outputs.
    """

    head: keras.Model
    tail: keras.Model


def split(model: keras.Model, at: Place | Sequence[Place]) -> Split:
    """Cuts a model in two at a set of tensors.

    The halves share the layers of the model, and so their weights, and batch statistics too. A
    mask that passes the cut is one of its tensors and must be among them.

    Args:
        model: Functional model, or Sequential that is built.
        at: The cut: symbolic tensors, or their names as in `tensors`.

    Returns:
        Both halves, not compiled; the tail has only the layers it needs.

    Raises:
        ValueError: A path leads past the cut (the error names the fewest tensors missing), a
            tensor is not of this model, or the model is no graph.

    Example:
        >>> x = keras.Input((4,), name="x")
        >>> a = keras.layers.Dense(4, name="a")(x)
        >>> b = keras.layers.Dense(4, name="b")(a)
        >>> model = keras.Model(x, keras.layers.Add(name="sum")([a, b]), name="m")
        >>> halves = split(model, ["a", "b"])
        >>> [layer.name for layer in halves.tail.layers][-1]
        'sum'
        >>> split(model, "b")
        Traceback (most recent call last):
        ...
        ValueError: `at` must cut every path from the inputs of 'm' to its outputs. Missing: 'a'.
        Received: at=['b']; ['b', 'a'] would do.

    References:
        Su Jianlin, “让Keras更酷一些!”:层与模型的重用技巧, 2019 (archives/6985).
    """
    places = resolve(model, at)
    lacking = missing(model, at)
    if lacking:
        raise ValueError(
            f"`at` must cut every path from the inputs of '{model.name}' to its outputs. "
            f"Missing: {', '.join(map(repr, lacking))}. "
            f"Received: at={[*places]}; {[*places, *lacking]} would do."
        )
    cut = list(places.values())
    needed, _ = needed_calls(model, cut)
    taken = {call.operation.name for call in needed}
    known: dict[int, Any] = {}
    for name, tensor in places.items():
        label = re.sub(r"\W", "_", name)  # a layer may not be called `dense@1`
        while label in taken:
            label += "_"
        taken.add(label)
        known[id(tensor)] = placeholder(tensor, label)
    inputs = [known[id(tensor)] for tensor in cut]
    replay(needed, known)
    ends = tree.map_structure(lambda tensor: known[id(tensor)], structure(model)[1])
    head = keras.Model(structure(model)[0], _single(cut), name=f"{model.name}_head")
    return Split(head, keras.Model(_single(inputs), ends, name=f"{model.name}_tail"))


def insert(model: keras.Model, at: Place | Sequence[Place], function: Callable) -> keras.Model:
    """A model in which a tensor h has become function(h) for all that follows.

    Args:
        model: Functional model, or Sequential that is built.
        at: Symbolic tensors, or their names as in `tensors`.
        function: A layer, or a function of one symbolic tensor; called once for each tensor.

    Returns:
        New model with the same layers, and the same weights.

    Raises:
        ValueError: A tensor is not of this model, or the model is no graph.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="d")])
        >>> [layer.name for layer in insert(model, "d", keras.layers.ReLU(name="r")).layers][1:]
        ['d', 'r']
    """
    wanted = {id(tensor) for tensor in resolve(model, at).values()}

    def change(tensor, value):
        return function(value) if id(tensor) in wanted else value

    def visit(call, *args, **kwargs):
        given = tree.flatten(call.operation(*args, **kwargs))
        return [change(tensor, value) for tensor, value in zip(call.outputs, given, strict=True)]

    inputs = _same_inputs(model)
    flat = zip(model.inputs, tree.flatten(inputs), strict=True)
    outputs = run(model, [change(tensor, value) for tensor, value in flat], visit)
    return keras.Model(inputs, outputs, name=model.name)


def replace(
    model: keras.Model,
    which: str | keras.layers.Layer,
    make: Callable[[keras.layers.Layer], Callable],
) -> keras.Model:
    """A model in which other layers stand in the place of some.

    Nested models are searched too and drawn again where they hold a match. A layer that is called
    many times, or in many places, gets one replacement.

    Args:
        model: Functional model, or Sequential that is built.
        which: One layer, or a regular expression that is searched in the names of layers.
        make: Gives the new layer for an old one. The old one may be part of it (an adapter), or
            be changed and handed back.

    Returns:
        New model; layers that were not replaced are the same objects.

    Raises:
        ValueError: No layer matches, or the model is no graph.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
        >>> new = replace(model, "head", lambda old: keras.layers.Dense(5, name="head"))
        >>> new.output_shape, model.output_shape
        ((None, 5), (None, 2))
    """
    made: dict[int, Callable] = {}
    found = _replace(model, which, make, made)
    if found is model:
        known = sorted({layer.name for layer in _layers(model)})
        raise ValueError(
            f"`which` must match a layer of '{model.name}'. Received: which={which!r}; "
            f"layers are {known}."
        )
    return found


def _replace(model, which, make, made):
    def matches(layer):
        if isinstance(which, str):
            return isinstance(layer, keras.layers.Layer) and bool(re.search(which, layer.name))
        return layer is which

    changed = False
    for call in calls(model):
        old = call.operation
        if id(old) not in made and matches(old):
            made[id(old)] = make(old)
        elif id(old) not in made:
            made[id(old)] = _replace(old, which, make, made) if is_graph(old) else old
        changed = changed or made[id(old)] is not old or matches(old)
    if not changed:
        return model
    inputs = _same_inputs(model)
    outputs = run(model, inputs, lambda call, *a, **k: _fit_call(made[id(call.operation)], a, k))
    return keras.Model(inputs, outputs, name=model.name)


def _fit_call(function, args, kwargs):
    """Calls a replacement without the keywords (a mask, say) that it does not know."""
    target = function.call if isinstance(function, keras.Operation) else function
    parameters = inspect.signature(target).parameters.values()
    if not any(p.kind == p.VAR_KEYWORD for p in parameters):
        kwargs = {p.name: kwargs[p.name] for p in parameters if p.name in kwargs}
    return function(*args, **kwargs)


def clone(model: keras.Model, copy_weights: bool = False) -> keras.Model:
    """A model of the same architecture with weights of its own.

    Layers shared in the model are shared in the clone, and a layer that was given another layer
    of the model as an argument (a tied projection) is given its clone. `keras.models.clone_model`
    alone copies no values and unties what was tied.

    Args:
        model: Functional or Sequential model.
        copy_weights: Whether to copy the values too, batch statistics included; else weights are
            new. Random seeds are not copied.

    Returns:
        The clone, with the name of the model.

    Raises:
        ValueError: The model is no graph.

    Example:
        >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> copy = clone(model, copy_weights=True)
        >>> copy.layers[0] is model.layers[0]
        False
        >>> (copy.get_weights()[0] == model.get_weights()[0]).tolist()
        [[True, True], [True, True], [True, True]]
    """
    calls(model)  # says what is wrong with a model that is no graph
    inside = {id(layer) for layer in _layers(model)}
    copies: dict[int, keras.layers.Layer] = {}

    def copy(layer):
        if id(layer) not in copies:
            config = layer.get_config()
            given = {name: getattr(layer, name, None) for name in config}
            held = {name: value for name, value in given.items() if id(value) in inside}
            if held:  # `from_config` would make a double of what it holds
                config |= {name: copy(value) for name, value in held.items()}
            make = type(layer) if held else lambda **config: type(layer).from_config(config)
            copies[id(layer)] = make(**config)
        return copies[id(layer)]

    new = keras.models.clone_model(model, clone_function=copy, recursive=True)
    if copy_weights:
        new.set_weights(model.get_weights())
    return new


def features(model: keras.Model, pattern: str) -> keras.Model:
    """A model that gives the tensors whose names match, as a dict by name.

    Args:
        model: Functional model, or Sequential that is built.
        pattern: Regular expression that is searched in the names of `tensors`.

    Returns:
        Model from the same inputs, with the same layers.

    Raises:
        ValueError: No name matches, or the model is no graph.

    Example:
        >>> layers = [keras.layers.Dense(2, name=f"block_{i}") for i in range(3)]
        >>> model = keras.Sequential([keras.Input((3,)), *layers])
        >>> sorted(features(model, "block_[01]")(keras.ops.ones((1, 3))))
        ['block_0', 'block_1']
    """
    named = tensors(model)
    found = {name: tensor for name, tensor in named.items() if re.search(pattern, name)}
    if not found:
        raise ValueError(
            f"`pattern` must match a tensor of '{model.name}'. Received: pattern={pattern!r}; "
            f"tensors are {list(named)}."
        )
    return keras.Model(structure(model)[0], found, name=f"{model.name}_features")


def freeze(model: keras.Model, pattern: str) -> tuple[str, ...]:
    """Stops training of every layer, and of every single variable, whose path matches.

    A frozen layer is out of training whole: its `trainable` is False, and a batch normalization
    then uses its statistics instead of moving them. Only what lies inside a layer of its own
    making, "block_3/attention/query/kernel", is frozen variable by variable; a model file does
    not remember those.

    Args:
        model: Any model.
        pattern: Regular expression that is searched in paths: names of layers joined by "/" in
            nested models, then paths of variables.

    Returns:
        Paths of what was frozen, layers first in the order of the model.

    Raises:
        ValueError: Nothing matches, or the model was compiled and trained before: its train step
            would fail, or on TensorFlow go on training what is frozen.

    Example:
        >>> layers = [keras.layers.Dense(2, name=f"block_{i}") for i in range(3)]
        >>> model = keras.Sequential([keras.Input((3,)), *layers])
        >>> freeze(model, "block_[01]"), len(model.trainable_variables)
        (('block_0', 'block_1'), 2)
    """
    if model.compiled and model.optimizer is not None and model.optimizer.built:
        raise ValueError(
            "`model` must not be in training: its train step knows the old list of variables. "
            f"Freeze first, or `compile` anew. Received: '{model.name}', compiled and trained."
        )
    frozen = []
    for path, layer in _paths(model):
        if re.search(pattern, path):
            layer.trainable = False
            frozen.append(path)
    for variable in model.trainable_variables:
        if re.search(pattern, variable.path):
            variable.trainable = False
            frozen.append(variable.path)
    if not frozen:
        known = [path for path, _ in _paths(model)]
        raise ValueError(
            f"`pattern` must match a layer or a variable of '{model.name}'. "
            f"Received: pattern={pattern!r}; layers are {known}."
        )
    return tuple(frozen)


def _paths(model, before="") -> Iterator[tuple[str, keras.layers.Layer]]:
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        yield before + layer.name, layer
        if isinstance(layer, keras.Model):
            yield from _paths(layer, f"{before}{layer.name}/")


def _layers(model) -> Iterator[keras.layers.Layer]:
    return (layer for _, layer in _paths(model))


def _same_inputs(model):
    return tree.map_structure(placeholder, structure(model)[0])


def _single(sequence):
    return sequence[0] if len(sequence) == 1 else sequence
