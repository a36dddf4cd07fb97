"""Backend-agnostic differentiation and train steps for Keras 3.

Four public names: `grad`, `value_and_grad`, `override`, `StepModel`.
User code is imperative Keras (read/assign Variables, call layers, call
optimizer.apply).  On JAX everything is lifted to a pure function through
nested StatelessScopes; on torch/TF it stays live.
"""

from __future__ import annotations
import contextlib
import importlib.util
import os
import sys
import threading

if "keras" not in sys.modules and importlib.util.find_spec("jax"):
    # Keras writes TensorFlow into its own configuration file at its first import.
    os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from keras import ops, tree

BACKEND = keras.backend.backend()


_state = threading.local()  # nesting of scopes and of gradients, per thread


# ---------------------------------------------------------------- scopes
class _Scope(keras.StatelessScope):
    """StatelessScope that inherits its parent's values and logs its writes."""

    def __init__(self, mapping=()):
        super().__init__(mapping, collect_losses=True)  # add_loss() works inside
        parent = _current()
        self.writes = {}
        if parent is not None:
            self.state_mapping = {**parent.state_mapping, **self.state_mapping}

    def __enter__(self):
        _state.scopes = getattr(_state, "scopes", []) + [self]
        return super().__enter__()

    def __exit__(self, *exc):
        _state.scopes = _state.scopes[:-1]
        return super().__exit__(*exc)

    def add_update(self, update):
        variable, value = update
        self.writes[id(variable)] = (variable, value)
        super().add_update(update)


def _current():
    return _state.scopes[-1] if getattr(_state, "scopes", None) else None


@contextlib.contextmanager
def override(values):
    """Run the body with (variable, tensor) pairs replaced; writes to *other* variables
    (seeds, batch statistics, metrics) survive, the replaced ones are restored."""
    scope = _Scope(list(values))
    with scope:
        yield
    replaced = {id(v) for v, _ in values}
    for key, (variable, value) in scope.writes.items():
        if key not in replaced:
            variable.assign(value)


# ---------------------------------------------------------------- gradients
def _tensor_vag(f, tensors):
    """f(list of tensors) -> (scalar, aux).  Returns (scalar, aux), grads."""
    if BACKEND == "jax":
        import jax

        return jax.value_and_grad(f, has_aux=True)(tensors)
    if BACKEND == "torch":
        import torch

        level = getattr(_state, "order", 0)
        tensors = [t if t.requires_grad else t.detach().requires_grad_() for t in tensors]
        _state.order = level + 1
        try:
            # fused attention kernels have no second derivative
            from torch.nn.attention import SDPBackend, sdpa_kernel

            math = sdpa_kernel(SDPBackend.MATH) if level else contextlib.nullcontext()
            with torch.enable_grad(), math:
                loss, aux = f(tensors)
        finally:
            _state.order = level
        grads = torch.autograd.grad(loss, tensors, create_graph=level > 0, allow_unused=True)
        if level == 0:
            loss = loss.detach()
        return (loss, aux), [
            torch.zeros_like(t) if g is None else g for g, t in zip(grads, tensors)
        ]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        for t in tensors:
            tape.watch(t)
        loss, aux = f(tensors)
    grads = tape.gradient(loss, tensors, unconnected_gradients="zero")
    return (loss, aux), [tf.convert_to_tensor(g) for g in grads]


def value_and_grad(f, wrt, has_aux=False):
    """Value and gradient of the scalar `f`.

    `wrt` a list of Variables: f takes no argument, differentiates with respect to
    the current values of these variables.
    `wrt` a (nest of) tensors: f takes that nest as its single argument.
    State written inside f is kept.  Nests to any order on every backend.
    """
    flat = tree.flatten(wrt)
    if flat and all(isinstance(v, keras.Variable) for v in flat):
        return _variables_vag(f, wrt, flat, has_aux)

    def run(tensors):
        out = f(tree.pack_sequence_as(wrt, list(tensors)))
        return out if has_aux else (out, None)

    if BACKEND == "jax":
        (value, aux), grads = _stateful_vag(run, [ops.convert_to_tensor(t) for t in flat], ())
    else:
        (value, aux), grads = _tensor_vag(run, [ops.convert_to_tensor(t) for t in flat])
    grads = tree.pack_sequence_as(wrt, list(grads))
    return ((value, aux) if has_aux else value), grads


def grad(f, wrt, has_aux=False):
    value, grads = value_and_grad(f, wrt, has_aux)
    return (grads, value[1]) if has_aux else grads


def _variables_vag(f, wrt, variables, has_aux):
    def run(_):
        out = f()
        return out if has_aux else (out, None)

    if BACKEND == "jax":
        (value, aux), grads = _stateful_vag(run, [v.value for v in variables], variables)
    else:
        # live parameters, no copies; under `override` .value is the replaced tensor
        (value, aux), grads = _tensor_vag(run, [v.value for v in variables])
    grads = tree.pack_sequence_as(wrt, list(grads))
    return ((value, aux) if has_aux else value), grads


def _stateful_vag(run, tensors, variables):
    """JAX: thread every write made inside `run` through the aux output."""
    written = []

    def pure(values):
        scope = _Scope(list(zip(variables, values)))
        with scope:
            value, aux = run(values)
        written[:] = [v for v, _ in scope.writes.values()]
        return value, (aux, [x for _, x in scope.writes.values()])

    (value, (aux, new)), grads = _tensor_vag(pure, tensors)
    for variable, x in zip(written, new):
        variable.assign(x)
    return (value, aux), grads


# ---------------------------------------------------------------- train steps
class StepModel(keras.Model):
    """Write `step(self, data) -> logs` once; fit() works on every backend."""

    def step(self, data):
        raise NotImplementedError

    def train_step(self, *args):
        if BACKEND != "jax":
            return self.step(args[0])
        state, data = args
        groups = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        mapping = [(v, x) for g, s in zip(groups, state) for v, x in zip(g, s)]
        with _Scope(mapping) as scope:
            logs = self.step(data)
            state = tuple([scope.get_current_value(v) for v in g] for g in groups)
        return logs, state


class OptimizerGroup(keras.optimizers.Optimizer):
    """Several optimizers under one `model.optimizer`; apply the members yourself."""

    def __init__(self, **members):
        super().__init__(learning_rate=0.0)
        self.members = members

    def __getitem__(self, name):
        return self.members[name]

    @property
    def variables(self):
        return self._variables + [v for m in self.members.values() for v in m.variables]

    def build_members(self, variables):
        for name, member in self.members.items():
            if not member.built:
                member.build(variables[name])
        self.built = True

    def finalize_variable_values(self, variables):
        for member in self.members.values():
            member.finalize_variable_values(member._trainable_variables)
