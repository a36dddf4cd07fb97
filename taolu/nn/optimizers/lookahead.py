"""Lookahead: fast weights explore, slow weights follow half-way.

An inner optimizer moves the fast weights theta for k steps; then the slow weights phi take a part
of the way, and the fast ones return to them:

    phi <- phi + rate (theta - phi),    theta <- phi        every k steps that were applied

On a quadratic of curvature h with noisy gradients and inner SGD of rate a, `rho = 1 - a h`, the
variance of phi is `rate^2 (1 - rho^2k) / (1 - (1 - rate + rate rho^k)^2)` of that of plain SGD,
which is less than one.
"""

import contextlib
import functools

import keras
from keras import ops

from taolu.nn.optimizers.wrapper import OptimizerWrapper, members

INNER_STATES = ("maintain", "reset", "interpolate")


@keras.saving.register_keras_serializable(package="taolu")
class Lookahead(OptimizerWrapper):
    """Any Keras optimizer, calmed by slow weights that follow it.

    A cycle is `period` steps that `inner` really applied: steps that gather gradients, or that
    loss scaling skipped, do not count. The slow weights are taken from the model when a cycle
    begins, so weights loaded before training are respected. Non-trainable weights are not mixed:
    recompute batch statistics if they matter. Cost: one copy of the weights (and of the slots of
    `inner` with "interpolate"), and one pass over them at every step.

    The model holds the fast weights during `fit` and the slow ones after it: the steps of an
    unfinished cycle are dropped then. `slow_weights` and the callback `SlowWeights` evaluate on
    slow weights in between. Clipping, decay, averages, schedules and accumulation belong to
    `inner`. A `LossScaleOptimizer` may stand outside or inside; with a `mixed_float16` model,
    put it outside or compile with `auto_scale_loss=False`.

    Args:
        inner: The Keras optimizer that moves the fast weights.
        period: Applied steps k in a cycle, at least 1.
        rate: Part of the way that the slow weights follow, in (0, 1].
        inner_state: What happens to the slots of `inner` (moments, and the step count of its
            bias correction) when a cycle ends: "maintain" keeps them, "reset" sets them back to
            their start while schedules go on, "interpolate" mixes them like the weights.
        name: Name of the optimizer.

    Raises:
        TypeError: `inner` is not a Keras optimizer.
        ValueError: `period`, `rate` or `inner_state` is out of range, or an argument belongs to
            `inner`.

    Example:
        >>> weight = keras.Variable([1.0, 2.0])
        >>> optimizer = Lookahead(keras.optimizers.SGD(0.1))
        >>> for _ in range(10):                                   # the loss is the sum of squares
        ...     optimizer.apply([2 * weight], [weight])
        >>> print(ops.convert_to_numpy(weight).round(6))
        [0.440684 0.881367]

    References:
        Michael Zhang, James Lucas, Geoffrey Hinton, Jimmy Ba, Lookahead Optimizer: k steps
        forward, 1 step back, 2019. Su Jianlin, Keras实现两个优化器:Lookahead和LazyOptimizer,
        2019 (archives/6869).
    """

    def __init__(self, inner, period=5, rate=0.5, inner_state="maintain", name=None, **kwargs):
        if kwargs:
            raise ValueError(
                f"Lookahead takes no such argument; give it to `inner`. Received: {kwargs}."
            )
        if not (isinstance(period, int) and period >= 1):
            raise ValueError(f"`period` must be an integer of at least 1. Received: {period=}.")
        if not 0 < rate <= 1:
            raise ValueError(f"`rate` must be in (0, 1]. Received: {rate=}.")
        if inner_state not in INNER_STATES:
            raise ValueError(
                f"`inner_state` must be one of {INNER_STATES}. Received: {inner_state=}."
            )
        super().__init__(inner, name=name)
        self.period = period
        self.rate = rate
        self.inner_state = inner_state
        self._traced = False  # True while `stateless_apply` runs

    def build(self, variables):
        if self.built:
            return
        self._check_reset()
        self.inner.build(variables)
        self._position = self.add_variable((), dtype="int", name="position")
        # None where the "gradient" is the new value itself, as for the scales of float8.
        self._slow = self.add_optimizer_variables(variables, "slow")
        if self.inner_state == "interpolate":
            slots = [s for s in self._slots() if "float" in s.dtype]
            self._slow_slots = [self.add_variable_from_reference(s, "slow") for s in slots]
        if self.inner_state == "reset":
            self._forgotten = self.add_variable((), dtype="int", name="forgotten")
            slots = self._slots()
            self._first = [self.add_variable((), dtype=s.dtype, name="first") for s in slots]
        super().build(variables)

    def _check_reset(self):
        if self.inner_state != "reset":
            return
        if self.inner.built:
            raise ValueError(
                "`inner` must be fresh for inner_state='reset', which returns to its first state. "
                f"Received: inner={self.inner.name!r}, already built."
            )
        if any(isinstance(m, keras.optimizers.ScheduleFreeAdamW) for m in members(self.inner)):
            raise ValueError(
                "`inner` must not remember the weights themselves for inner_state='reset'. "
                f"Received: inner={self.inner.name!r}, which averages them."
            )

    @property
    def inner_optimizer(self):
        """The same as `inner`, under the name by which callbacks of Keras look for it."""
        return self.inner

    @property
    def iterations(self):
        """Steps applied in all."""
        if not self._forgets():
            return self._applied()
        gathered = next(_leaves(self.inner)).gradient_accumulation_steps or 1
        return ops.floor_divide(self._all_steps(), gathered)

    @property
    def loss_scale_factor(self):
        """The factor by which `inner` scales the loss, or None."""
        if not hasattr(self, "inner"):
            return None
        # Not None where loss scaling stands inside: Keras on TensorFlow calls the setter below
        # only when the value changes.
        return getattr(self.inner, "initial_scale", self.inner.loss_scale_factor)

    @loss_scale_factor.setter
    def loss_scale_factor(self, factor):
        if not hasattr(self, "inner"):
            return
        if any(isinstance(m, keras.optimizers.LossScaleOptimizer) for m in members(self.inner)):
            raise ValueError(
                "`inner` must not scale the loss when something outside does: put the "
                "LossScaleOptimizer outside, or compile with auto_scale_loss=False. "
                f"Received: inner={self.inner.name!r}."
            )
        self.inner.loss_scale_factor = factor

    def scale_loss(self, loss):
        """Scales the loss as `inner` wants it."""
        return self.inner.scale_loss(loss)

    def apply(self, grads, trainable_variables=None):
        """Lets `inner` take a step; at the end of a cycle the weights become the slow ones."""
        grads = list(grads)
        variables = self._variables_of_step(grads, trainable_variables)
        self._start_cycle()
        before = ops.copy(self._applied())
        with self._schedules_going_on():
            self._apply_inner(grads, variables)
        self._end_cycle(ops.subtract(self._applied(), before))
        self._iterations.assign_add(1)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """The same, values in and values out."""
        self._traced = True
        try:
            return super().stateless_apply(optimizer_variables, grads, trainable_variables)
        finally:
            self._traced = False

    def _apply_inner(self, grads, variables):
        if not self._traced:
            self.inner.apply(grads, variables)
            return
        # Loss scaling branches over its writes; only its stateless form can be traced.
        state, weights = self.inner.variables, self._trainable_variables
        new_weights, new_state = self.inner.stateless_apply(
            [v.value for v in state], grads, [v.value for v in weights]
        )
        for variable, value in zip([*state, *weights], [*new_state, *new_weights], strict=True):
            variable.assign(value)

    def _start_cycle(self):
        """Copies the weights at the start of a cycle, whoever wrote them last."""
        begins = ops.equal(self._position, 0)
        for slow, fast in self._pairs():
            slow.assign(_where(begins, fast, slow))
        if self._forgets():
            never = ops.equal(self._iterations, 0)
            for first, slot in zip(self._first, self._slots(), strict=True):
                first.assign(_where(never, ops.reshape(slot, (-1,))[0], first))

    def _end_cycle(self, applied):
        """At the end of a cycle mixes slow and fast, and resets what is to be reset."""
        # Both outcomes are computed: a selection fuses with the step, while a branch would be
        # compiled anew at every eager step on JAX and copies its operands under jit.
        position = self._position + ops.cast(applied, self._position.dtype)
        ends = ops.greater_equal(position, self.period)
        for slow, fast in self._pairs():
            fast.assign(_where(ends, self._mix(slow, fast), fast))
        if self._forgets():
            self._forgotten.assign(_where(ends, self._all_steps(), self._forgotten))
            for first, slot in zip(self._first, self._slots(), strict=True):
                slot.assign(_where(ends, first, slot))
        self._position.assign(_where(ends, ops.zeros_like(position), position))

    def _mix(self, slow, fast):
        # Written so that a rate of 1 gives the fast value itself, to the last bit.
        rate = ops.cast(self.rate, fast.dtype)
        mixed = ops.convert_to_tensor(fast) * rate + ops.convert_to_tensor(slow) * (1 - rate)
        constraint = getattr(fast, "constraint", None)
        return mixed if constraint is None else constraint(mixed)

    def _pairs(self):
        """Slow and fast variables of everything that is mixed."""
        pairs = [
            p for p in zip(self._slow, self._trainable_variables, strict=True) if p[0] is not None
        ]
        if self.inner_state == "interpolate":
            slots = [s for s in self._slots() if "float" in s.dtype]
            pairs += zip(self._slow_slots, slots, strict=True)
        return pairs

    def _slots(self):
        """Variables inside `inner` that hold what it remembers of the gradients."""
        return [v for m in members(self.inner) for v in m._variables if id(v) not in _settings(m)]

    def _forgets(self):
        return self.built and self.inner_state == "reset"

    def _applied(self):
        """Steps that `inner` has applied, fewer than those it was asked for."""
        parts = [p for p in getattr(self.inner, "optimizers", ()) if p.built] or [self.inner]
        return functools.reduce(
            ops.minimum, [ops.convert_to_tensor(part.iterations) for part in parts]
        )

    def _all_steps(self):
        """Steps that `inner` was asked for, those before the last reset included."""
        return _later(next(_leaves(self.inner)), self._forgotten)

    @contextlib.contextmanager
    def _schedules_going_on(self):
        """Keeps schedules on the count of all steps while "reset" restarts that of `inner`."""
        kept = {}
        # Read here: the scope that traces `inner` knows nothing of the variables outside it.
        past = ops.copy(self._forgotten) if self._forgets() else 0
        for leaf in _leaves(self.inner) if self._forgets() else ():
            schedule = leaf._learning_rate
            if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
                kept[leaf] = schedule
                leaf._learning_rate = lambda s=schedule, o=leaf: s(_later(o, past))
        try:
            yield
        finally:
            for leaf, schedule in kept.items():
                leaf._learning_rate = schedule

    def _get_current_learning_rate(self):
        with self._schedules_going_on():
            return self.inner.learning_rate

    @contextlib.contextmanager
    def slow_weights(self):
        """Puts the slow weights into the model while the body of `with` runs.

        Example:
            >>> weight = keras.Variable(1.0)
            >>> optimizer = Lookahead(keras.optimizers.SGD(0.5))
            >>> optimizer.apply([ops.ones(())], [weight])
            >>> with optimizer.slow_weights():
            ...     print(weight.numpy())
            1.0
            >>> print(weight.numpy())
            0.5
        """
        within = self.built and int(self._position) > 0
        slow, fast = zip(*self._pairs(), strict=True) if within else ((), ())
        kept = _copies(fast)
        # Copies, because two variables must not share a buffer that a train step may reuse.
        _assign(fast, _copies(slow))
        try:
            yield
        finally:
            _assign(fast, kept)

    def finalize_variable_values(self, var_list):
        """Leaves the model on its slow weights, or on the averages that `inner` keeps."""
        if self.built and int(self._position) > 0:
            slow, fast = zip(*self._pairs(), strict=True)
            _assign(fast, _copies(slow))
            self._position.assign(0)
        self.inner.finalize_variable_values(var_list)

    def get_config(self):
        config = {"period": self.period, "rate": self.rate, "inner_state": self.inner_state}
        return {**super().get_config(), **config}


def _leaves(optimizer):
    return (m for m in members(optimizer) if not hasattr(m, "inner") and not _contains(m))


def _contains(optimizer):
    return hasattr(optimizer, "inner_optimizer") or hasattr(optimizer, "optimizers")


def _settings(optimizer):
    """Ids of the variables that are no memory of gradients: rates, scales and averages."""
    names = ("_learning_rate", "momentum", "dynamic_scale", "step_counter")
    averages = getattr(optimizer, "_model_variables_moving_average", ())
    return {id(getattr(optimizer, name, None)) for name in names} | set(map(id, averages))


def _later(optimizer, past):
    """The clock of an optimizer, moved forward."""
    return ops.convert_to_tensor(optimizer._iterations) + ops.convert_to_tensor(past)


def _where(condition, one, other):
    return ops.where(condition, ops.convert_to_tensor(one), ops.convert_to_tensor(other))


def _copies(variables):
    return [ops.copy(variable) for variable in variables]


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
