"""Gradients and one train step for JAX, torch and TensorFlow: the one file that names a backend.

Keras code reads and writes Variables; JAX differentiates pure functions. The bridge is a
`keras.StatelessScope` that looks up what it does not know in the scope around it and remembers
what was written inside. So `f` becomes the pure function `values -> (value, writes)`, which JAX
may differentiate any number of times, and the writes (seeds, batch statistics, metrics) are made
afterwards. On torch and TensorFlow the Variables stay live and the engine's own tape is used.

A Variable is state: no gradient flows through a write, on any backend.

Runs on JAX unless the environment variable `KERAS_BACKEND` or a Keras that is already imported
says otherwise.
"""

import contextlib
import importlib.util
import os
import sys
from typing import Any

if "keras" not in sys.modules and importlib.util.find_spec("jax"):
    # Keras writes TensorFlow into its own configuration file at its first import.
    os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras import ops, tree

BACKEND = keras.backend.backend()


def value_and_grad(f, wrt, has_aux=False):
    """The value of a scalar function, and its gradient.

    Nests to any order: `f` may itself use gradients. One forward and one backward pass of `f`.
    What `f` writes into Variables stays; what was computed before is a constant inside. Losses
    that layers add (`add_loss`) count only where they are made: call the model and `compute_loss`
    in the same `f`. On torch the results can be differentiated further wherever torch records,
    which costs memory; `without_gradients` switches it off.

    Args:
        f: Function of no argument if `wrt` holds Variables, else of one argument, a nest like
            `wrt`. Returns a float scalar, or the pair (scalar, auxiliary) if `has_aux`.
        wrt: Float Variables, or float tensors, alone or in a nest of lists, tuples and dicts.
            Variables may be frozen (`trainable=False`).
        has_aux: Whether `f` also returns something to hand through, a nest of tensors.

    Returns:
        The pair (value, gradient), or ((value, auxiliary), gradient) if `has_aux`. The gradient
        is a nest like `wrt`, zero where `f` does not depend on it.

    Raises:
        TypeError: `f` returns no scalar, or `wrt` holds other things than Variables or tensors.
        ValueError: `wrt` is empty or not float, or the scalar is an array or an integer.

    Example:
        >>> w = keras.Variable([1.0, 2.0])
        >>> value, gradient = value_and_grad(lambda: ops.sum(w**3), w)
        >>> [ops.convert_to_numpy(x).tolist() for x in (value, gradient)]
        [9.0, [3.0, 12.0]]
    """
    leaves = tree.flatten(wrt)
    variables, tensors = _check_wrt(leaves)
    # A tied Variable may be listed twice; it is differentiated once.
    unique = list({id(v): v for v in variables}.values())

    def run(tensors):
        result = f() if variables else f(tree.pack_sequence_as(wrt, list(tensors)))
        return check_result(result, has_aux)

    tensors = _values(unique) if variables else tensors
    differentiate = {"jax": _jax, "torch": _torch, "tensorflow": _tensorflow}[BACKEND]
    value, aux, gradients = differentiate(run, unique, tensors)
    if variables:
        of = {id(v): gradient for v, gradient in zip(unique, gradients, strict=True)}
        gradients = [of[id(v)] for v in variables]
    return ((value, aux) if has_aux else value), tree.pack_sequence_as(wrt, list(gradients))


def grad(f, wrt, has_aux=False):
    """The gradient of a scalar function; `value_and_grad` without the value.

    Args:
        f: As in `value_and_grad`.
        wrt: As in `value_and_grad`.
        has_aux: Whether `f` also returns something to hand through.

    Returns:
        The gradient, a nest like `wrt`, or the pair (gradient, auxiliary) if `has_aux`.

    Raises:
        TypeError: As in `value_and_grad`.
        ValueError: As in `value_and_grad`.

    Example:
        >>> cube = lambda x: ops.sum(x**3)
        >>> second = grad(lambda x: ops.sum(grad(cube, x)), np.array([1.0, 2.0], "float32"))
        >>> ops.convert_to_numpy(second).tolist()
        [6.0, 12.0]
    """
    value, gradient = value_and_grad(f, wrt, has_aux)
    return (gradient, value[1]) if has_aux else gradient


@contextlib.contextmanager
def override(values):
    """A block in which some Variables have other values.

    Nothing has to be restored, so an exception, a `jit` or another thread cannot leave a trace:
    the Variables themselves never change. Gradients flow into the values. What the block writes
    into other Variables stays (after an exception it does not); what it writes into the
    replaced ones ends with the block. So an override of the batch statistics or the seeds with
    their present values is a pass that leaves them as they are.

    Build layers before, and let no optimizer step inside. Losses of `add_loss` made inside count
    inside: call the model and `compute_loss` in the same block.

    Args:
        values: Pairs (Variable, tensor of its shape). The tensor is cast to the Variable's dtype.

    Raises:
        TypeError: The first of a pair is no Variable.
        ValueError: A tensor does not have the shape of its Variable.

    Example:
        >>> w = keras.Variable(2.0)
        >>> with override([(w, w + 1)]):
        ...     print(ops.convert_to_numpy(w * w))
        9.0
        >>> print(ops.convert_to_numpy(w))
        2.0
    """
    values = [(variable, ops.convert_to_tensor(value)) for variable, value in values]
    for variable, value in values:
        if not isinstance(variable, keras.Variable):
            raise TypeError(f"`values` must pair Variables with tensors. Received: {variable!r}.")
        if tuple(value.shape) != tuple(variable.shape):
            raise ValueError(
                f"`values` must give `{variable.path}` a tensor of its shape "
                f"{tuple(variable.shape)}. Received: shape {tuple(value.shape)}."
            )
    with _Scope(values, share_losses=True) as scope:
        yield
    scope.make_writes(but={id(variable) for variable, _ in values})


def without_gradients():
    """A block whose results are constants, so that a loop on torch keeps no graph of its past.

    Where a train step, `predict` and `evaluate` do it for you, loops of your own (sampling,
    decoding) need it: torch records every operation unless told not to. On JAX and TensorFlow
    nothing is recorded anyway. `grad` and `value_and_grad` work inside as ever.

    Example:
        >>> w = keras.Variable(2.0)
        >>> with without_gradients():
        ...     slope = grad(lambda: w**3, w)
        >>> float(slope)
        12.0
    """
    if BACKEND != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


def needs_one_length():
    """Whether batches of different lengths are traced as one program of unknown length.

    TensorFlow does so from the second length on, and `keras.ops.scan` of Keras 3.15 wants to know
    how many steps there are. Batches are then best padded to one length.

    Returns:
        bool.
    """
    return BACKEND == "tensorflow"


def runs_eagerly():
    """Whether each operation is run as it is met, so that a step of a loop costs its operations.

    Returns:
        bool.
    """
    return BACKEND == "torch"


def run_step(function, arguments, groups):
    """Runs a train or test step the way the trainer of the backend calls it.

    On JAX that is `(state, data) -> (logs, state)`, elsewhere `data -> logs` on live Variables.

    Args:
        function: The step, data to logs.
        arguments: What the trainer passed.
        groups: Function of no argument that gives the lists of Variables the state is made of.

    Returns:
        What the trainer expects.

    Raises:
        ValueError: On JAX, the step wrote a Variable that is in no group; it would be lost.
    """
    # On torch, `train_on_batch` hands its arrays on as they are.
    data = tree.map_structure(_tensor_of_array, arguments[-1])
    if BACKEND != "jax":
        with without_gradients():  # `value_and_grad` records what it needs
            return function(data)
    state, groups = arguments[0], groups()
    pairs = [
        pair
        for group, values in zip(groups, state, strict=True)
        for pair in zip(group, values, strict=True)
    ]
    with _Scope(pairs) as scope:
        logs = function(data)
        state = tuple([scope.get_current_value(v) for v in group] for group in groups)
    known = {id(variable) for variable, _ in pairs}
    strays = [variable.path for key, (variable, _) in scope.writes.items() if key not in known]
    if strays:
        raise ValueError(
            f"`{function.__name__}` may write only Variables of the model: make what owns them a "
            f"layer, a metric or the optimizer of the model. Received: writes to {strays}."
        )
    return logs, state


def _tensor_of_array(x):
    is_array = isinstance(x, np.ndarray | np.generic) and x.dtype.kind in "biuf"
    return ops.convert_to_tensor(x) if is_array else x


def apply_gradients(optimizer, gradients, variables):
    """`optimizer.apply`, also for a LossScaleOptimizer on JAX.

    Its own `apply` writes inside a branch of a compiled condition, which JAX forbids.

    Args:
        optimizer: A Keras optimizer.
        gradients: List of tensors, multiplied by the loss scale of the optimizer.
        variables: List of Variables.

    Raises:
        ValueError: A LossScaleOptimizer on JAX was built for other variables than these.
    """
    if BACKEND != "jax" or not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer.apply(gradients, variables)
        return
    if not optimizer.built:
        optimizer.build(variables)
    of = {id(v): gradient for v, gradient in zip(variables, gradients, strict=True)}
    built, own = optimizer._trainable_variables, optimizer.variables
    if {id(v) for v in built} != set(of):
        raise ValueError(
            "`variables` must be all those a LossScaleOptimizer was built for, on JAX. "
            f"Received: {len(variables)} of {len(built)}."
        )
    new = optimizer.stateless_apply(_values(own), [of[id(v)] for v in built], _values(built))
    for variable, value in zip([*built, *own], [*new[0], *new[1]], strict=True):
        variable.assign(value)


class _Scope(keras.StatelessScope):
    """A StatelessScope that reads through to the scope around it and remembers its writes."""

    def __init__(self, pairs=(), share_losses=False):
        super().__init__(pairs, collect_losses=True)
        self.share_losses = share_losses
        self.writes = {}

    def __enter__(self):
        super().__enter__()
        if getattr(self.original_scope, "collect_losses", False):
            losses = self.original_scope.losses
            # Losses must not leave a function that is differentiated: they would leak out of it.
            self.losses = losses if self.share_losses else list(losses)
        return self

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            value = self.original_scope.get_current_value(variable)
        # Never None for a live Variable: Keras hands what it gets to regularizers.
        return variable._value if value is None else value

    def add_update(self, update):
        variable, value = update
        value = ops.stop_gradient(value)
        self.writes[id(variable)] = (variable, value)
        super().add_update((variable, value))

    def make_writes(self, but=()):
        """Repeats the writes outside, in the order of the Variables' first writes."""
        for key, (variable, value) in self.writes.items():
            if key not in but:
                variable.assign(value)


def _jax(run, variables, tensors):
    import jax

    outside: dict[str, Any] = {}

    def pure(values):
        with _Scope(zip(variables, values, strict=True) if variables else ()) as scope:
            value, aux = run(values)
        outside.update(aux=aux, scope=scope)
        return value, (tree.flatten(aux), [x for _, x in scope.writes.values()])

    (value, (leaves, written)), gradients = jax.value_and_grad(pure, has_aux=True)(tensors)
    scope = outside["scope"]
    scope.writes = {
        id(variable): (variable, x)
        for (variable, _), x in zip(scope.writes.values(), written, strict=True)
    }
    scope.make_writes()
    return value, tree.pack_sequence_as(outside["aux"], leaves), gradients


def _torch(run, variables, tensors):
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    # As everywhere in torch, the result can be differentiated if recording is on around it.
    outer = torch.is_grad_enabled()

    def leaf(tensor, live):
        if tensor.requires_grad:
            # An alias, so that what was computed from it before counts as constant.
            return tensor if live else tensor.view_as(tensor)
        return tensor.detach().requires_grad_()

    leaves = [leaf(tensor, live=bool(variables) and not outer) for tensor in tensors]
    # A Variable must read as the very tensor that is differentiated.
    pairs = [
        (variable, new)
        for variable, new, tensor in zip(variables, leaves, tensors, strict=False)
        if new is not tensor
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        if outer:  # the fused attention kernels have no second derivative
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        scope = stack.enter_context(_Scope(pairs)) if pairs else None
        value, aux = run(leaves)
    if scope is not None:
        scope.make_writes()
    gradients = [None] * len(leaves)
    if value.requires_grad:
        gradients = torch.autograd.grad(value, leaves, create_graph=outer, allow_unused=True)
    gradients = [
        torch.zeros_like(leaf, device=value.device) if gradient is None else gradient
        for gradient, leaf in zip(gradients, leaves, strict=True)
    ]
    if not outer:
        value = value.detach()
        aux = tree.map_structure(
            lambda x: _masked_like(x.detach(), x) if ops.is_tensor(x) else x, aux
        )
    return value, aux, gradients


def _masked_like(new, old):
    """The mask of Keras goes with a tensor, for the sake of metrics."""
    if getattr(old, "_keras_mask", None) is not None:
        new._keras_mask = old._keras_mask
    return new


def _tensorflow(run, variables, tensors):
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        for tensor in tensors:
            tape.watch(tensor)
        value, aux = run(tensors)
    gradients = tape.gradient(value, tensors, unconnected_gradients="zero")
    # Embeddings give IndexedSlices, with which optimizers differ from those on dense gradients.
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    # All at once, so that no Variable is updated while another part of the graph has yet to read
    # it: TensorFlow's graph optimizer drops some of the control edges that should prevent it.
    leaves = tree.flatten(aux)
    places = [i for i, leaf in enumerate(leaves) if ops.is_tensor(leaf)]
    done = iter(tf.tuple([value, *(leaves[i] for i in places), *gradients]))
    value = next(done)
    for i in places:
        leaves[i] = _masked_like(next(done), leaves[i])
    return value, tree.pack_sequence_as(aux, leaves), list(done)


def _values(variables):
    """Present values as they are stored: autocast would give a copy that nothing depends on."""
    with _Scope() as scope:
        values = [scope.get_current_value(variable) for variable in variables]
    for variable, value in zip(variables, values, strict=True):
        if value is None:
            raise ValueError(
                f"`wrt` must hold Variables that have a value: build the layer first. "
                f"Received: {variable.path}."
            )
    return values


def _check_wrt(leaves):
    """The Variables among the leaves, all of them or none, and the leaves as tensors if none."""
    variables = [x for x in leaves if isinstance(x, keras.Variable)]
    if not leaves:
        raise ValueError(
            "`wrt` must hold at least one Variable or tensor; a model has Variables once it is "
            "built. Received: an empty nest."
        )
    if variables and len(variables) < len(leaves):
        raise TypeError(
            "`wrt` must hold either Variables or tensors, not both. "
            f"Received: {len(variables)} Variables among {len(leaves)} leaves."
        )
    tensors = [] if variables else [_tensor(x) for x in leaves]
    for x in variables or tensors:
        dtype = keras.backend.standardize_dtype(x.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise ValueError(f"`wrt` must be float. Received: dtype {dtype}.")
    return variables, tensors


def _tensor(x):
    try:
        return ops.convert_to_tensor(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`wrt` must hold either Variables or tensors. Received: {x!r}.") from error


def check_result(result, has_aux):
    """The pair (scalar tensor, auxiliary) out of what a function to differentiate returned."""
    if has_aux and not (isinstance(result, tuple | list) and len(result) == 2):
        raise TypeError(
            "With `has_aux`, `f` must return the pair (scalar, auxiliary). "
            f"Received: {type(result).__name__}."
        )
    value, aux = result if has_aux else (result, None)
    if value is None or isinstance(value, tuple | list | dict):
        raise TypeError(f"`f` must return a scalar. Received: {type(value).__name__}.")
    value = ops.convert_to_tensor(value)
    dtype = keras.backend.standardize_dtype(value.dtype)
    if len(value.shape) or not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            "`f` must return a float scalar; reduce it with `ops.mean` or `ops.sum`. "
            f"Received: shape {tuple(value.shape)}, dtype {dtype}."
        )
    return value, aux


# Last, because it builds on everything above; the gradients and the step are imported together.
from taolu.nn.optimizer_group import OptimizerGroup  # noqa: E402
from taolu.nn.step_model import StepModel  # noqa: E402

__all__ = [
    "OptimizerGroup",
    "StepModel",
    "grad",
    "override",
    "value_and_grad",
    "without_gradients",
]
