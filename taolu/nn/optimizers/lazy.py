"""Lazy: the rows of an embedding that a batch does not use stay as they are.

Adam moves a row on its old momentum long after the one batch that used it. With f_i = 1 where
row i was used and 0 elsewhere, and dE the step of the inner optimizer,

    E_i <- E_i + f_i dE_i        and with "frozen_slots" the same for the slots and clock of row i

so a frozen row follows exactly the trajectory of a run of only the steps that used it.
"""

import re
import types
import warnings

import keras
from keras import ops

from taolu.nn.optimizers.row_slots import has_rows, row_clock, slots_of, without_extras
from taolu.nn.optimizers.wrapper import OptimizerWrapper

MODES = ("frozen_slots", "decay_slots")
SETTINGS = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
DENSE = 0.99  # from this share of used rows on, Lazy has next to no effect and says so


@keras.saving.register_keras_serializable(package="taolu")
class Lazy(OptimizerWrapper):
    """Any plain Keras optimizer that leaves the unused rows of embeddings alone.

    A row is used where the layer says so (`MarkedEmbedding`), else where its raw gradient, before
    accumulation, clipping and decay, is not zero. The gain is statistical, not speed: gradients
    are dense. It has no effect on a table that is tied to a softmax or regularised, because every
    row then has a gradient; at the end of `fit` a warning says so, and `touched_share` tells the
    figures at any time. Ids from a `MarkedEmbedding` help a regularised table, but on a tied one
    they would drop the gradient of the softmax.

    The settings of `inner` (clipping, decay, averages, accumulation) are obeyed. Wrappers go
    outside: `Lookahead(Lazy(Adam()))`, `LossScaleOptimizer(Lazy(Adam()))`. A constraint leaves
    unused rows alone too.

    Args:
        inner: The plain Keras optimizer.
        mode: "frozen_slots" keeps the slots (moments) of unused rows; "decay_slots" lets them go
            on as usual.
        pattern: Regular expression that the path of a table must contain.
        variables: The tables themselves, or their paths, instead of `pattern`.
        row_steps: Whether every row has its own step count, for the bias correction; by default
            with "frozen_slots" only.
        decay_untouched: Whether decoupled weight decay shrinks unused rows too.
        fixed_rows: Rows that never change, such as that of padding; their gradient is dropped.
        name: Name of the optimizer.

    Raises:
        TypeError: `inner` is not a Keras optimizer.
        ValueError: `inner` wraps other optimizers or shares state between variables, or an
            argument is out of range; when it is built, no table is found or it is no matrix.

    Example:
        >>> table = keras.Variable(ops.zeros((3, 1)), name="embeddings")
        >>> optimizer = Lazy(keras.optimizers.Adam(0.5))
        >>> for gradient in ([[1.0], [1.0], [0.0]], [[0.0], [1.0], [0.0]]):
        ...     optimizer.apply([ops.convert_to_tensor(gradient)], [table])
        >>> table.numpy().ravel().round(3)
        array([-0.5, -1. ,  0. ], dtype=float32)

    References:
        Su Jianlin, Keras实现两个优化器:Lookahead和LazyOptimizer, 2019 (archives/6869).
    """

    def __init__(
        self,
        inner,
        mode="frozen_slots",
        *,
        pattern="embeddings$",
        variables=None,
        row_steps=None,
        decay_untouched=False,
        fixed_rows=(),
        name=None,
    ):
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: {mode=}.")
        if row_steps and mode == "decay_slots":
            raise ValueError(
                "`row_steps` must be False with mode='decay_slots', where every step counts for "
                f"every row. Received: {row_steps=}."
            )
        _check_inner(inner)
        settings = {setting: getattr(inner, setting) for setting in SETTINGS}
        super().__init__(inner, name=name, **settings)
        self.mode = mode
        self.pattern = pattern
        # In a namespace, because Keras would save variables found in an attribute as its own.
        self._chosen = types.SimpleNamespace(
            variables=None if variables is None else list(variables)
        )
        self.row_steps = mode == "frozen_slots" if row_steps is None else row_steps
        self.decay_untouched = decay_untouched
        self.fixed_rows = tuple(fixed_rows)
        # What one call of `apply` knows, by index of the table; never saved.
        self._batch = types.SimpleNamespace(touched={}, unconstrained={})

    def build(self, variables):
        if self.built:
            return
        with without_extras(self.inner):
            self.inner.build(variables)
        self._places = [i for i, variable in enumerate(variables) if self._is_table(variable)]
        self._check_tables([variables[i] for i in self._places], variables)
        self._steps, self._shares, self._pending = [], [], []
        for i in self._places:
            rows = (variables[i].shape[0],)
            self._shares.append(self.add_variable((), name=f"touched_share_{i}"))
            if self.row_steps:
                self._steps.append(self.add_variable(rows, dtype="int", name=f"row_steps_{i}"))
            if self.gradient_accumulation_steps:
                self._pending.append(self.add_variable(rows, dtype="bool", name=f"pending_{i}"))
        super().build(variables)
        if self.row_steps:
            self._check_slots()

    def _is_table(self, variable):
        if self._chosen.variables is None:
            return bool(re.search(self.pattern, _path(variable)))
        return any(
            _path(variable) == chosen if isinstance(chosen, str) else variable is chosen
            for chosen in self._chosen.variables
        )

    def _chosen_paths(self):
        chosen = self._chosen.variables
        return None if chosen is None else [_path(variable) for variable in chosen]

    def _check_tables(self, tables, variables):
        wanted = self._chosen_paths()
        if len(tables) < len(wanted or [self.pattern]):
            raise ValueError(
                "`pattern` or `variables` must name trainable tables. "
                f"Received: {wanted or self.pattern!r}, "
                f"with the variables {[_path(v) for v in variables]}."
            )
        for table in tables:
            rows = table.shape[0] if len(table.shape) > 1 else 0
            if not all(0 <= row < rows for row in self.fixed_rows) or not rows:
                raise ValueError(
                    "A table must have two dimensions and hold the `fixed_rows`. Received: "
                    f"fixed_rows={self.fixed_rows}, {_path(table)!r} of shape {tuple(table.shape)}."
                )

    def _check_slots(self):
        for i in self._places:
            table = self._trainable_variables[i]
            for slot in slots_of(self.inner, i, len(self._trainable_variables)):
                if tuple(slot.shape) != tuple(table.shape):
                    raise ValueError(
                        "`row_steps` needs an `inner` whose slots have the shape of the table; "
                        f"set row_steps=False. Received: inner={self.inner.name!r}, with the slot "
                        f"{slot.path!r} of shape {tuple(slot.shape)}."
                    )

    @property
    def touched_share(self):
        """Path of each table -> mean share, in [0, 1], of its free rows that a step used."""
        paths = [_path(self._trainable_variables[i]) for i in self._places]
        return {p: float(ops.convert_to_numpy(s)) for p, s in zip(paths, self._shares, strict=True)}

    def apply(self, grads, trainable_variables=None):
        """Notes which rows the batch has used, then steps like any optimizer."""
        grads = list(grads)
        variables = self._variables_of_step(grads, trainable_variables)
        try:
            self._note(grads, variables)
            super().apply(grads, variables)
            self._finish()
        finally:
            self._batch.touched.clear()
            self._batch.unconstrained.clear()
        self.inner._iterations.assign_add(1)

    def _note(self, grads, variables):
        """Finds the used rows of every table."""
        places = {self._get_variable_index(v): at for at, v in enumerate(variables)}
        for k, i in enumerate(self._places):
            if i not in places or grads[places[i]] is None:
                continue
            table = self._trainable_variables[i]
            # TensorFlow hands sparse slices, which its own Adam would treat differently.
            gradient = ops.convert_to_tensor(grads[places[i]])
            free = self._free_rows(table)
            no_gradient = ops.zeros_like(gradient)
            grads[places[i]] = ops.where(_column(free, gradient), gradient, no_gradient)
            touched = self._marked(table, grads, places, _nonzero_rows(gradient))
            touched = ops.logical_and(touched, free)
            if self.gradient_accumulation_steps:
                touched = ops.logical_or(touched, self._pending[k])
            self._batch.touched[i] = touched

    def _marked(self, table, grads, places, otherwise):
        """The rows that the layer has marked, or `otherwise` where it has marked none."""
        marks = getattr(table, "marks", None)
        if marks is None or self._var_key(marks) not in self._trainable_variables_indices:
            return otherwise
        at = places.get(self._get_variable_index(marks))
        if at is None or grads[at] is None:
            return otherwise
        grads[at] = ops.convert_to_tensor(grads[at])
        marked = ops.not_equal(grads[at], 0)
        return ops.where(ops.any(marked), marked, otherwise)

    def _free_rows(self, table):
        rows = ops.arange(table.shape[0])
        free = ops.ones_like(rows, dtype="bool")
        for row in self.fixed_rows:
            free = ops.logical_and(free, ops.not_equal(rows, row))
        return free

    def _backend_apply_gradients(self, grads, trainable_variables):
        super()._backend_apply_gradients(grads, trainable_variables)
        for i in self._batch.touched:
            if getattr(self._trainable_variables[i], "constraint", None) is not None:
                self._batch.unconstrained[i] = ops.copy(self._trainable_variables[i])

    def _finish(self):
        """Takes back what a constraint did to unused rows, and counts."""
        n = self.gradient_accumulation_steps or 1
        # `apply` has already moved the clock on.
        applied = ops.equal(self._iterations % n, 0)
        for k, i in enumerate(self._places):
            if i not in self._batch.touched:
                continue
            touched, table = self._batch.touched[i], self._trainable_variables[i]
            if i in self._batch.unconstrained:
                kept = self._batch.unconstrained[i]
                rows = _column(ops.logical_and(touched, applied), kept)
                table.assign(ops.where(rows, ops.convert_to_tensor(table), kept))
            if self.gradient_accumulation_steps:
                self._pending[k].assign(ops.logical_and(touched, ops.logical_not(applied)))
            if self.row_steps:
                used = ops.cast(ops.logical_and(touched, applied), self._steps[k].dtype)
                self._steps[k].assign_add(used)
            share = ops.sum(ops.cast(touched, "float32")) / (table.shape[0] - len(self.fixed_rows))
            done = ops.cast(self._iterations // n, "float32")
            step = (share - self._shares[k]) / ops.maximum(done, 1.0)
            self._shares[k].assign_add(ops.where(applied, step, 0.0))

    def _apply_weight_decay(self, variables):
        tables, others = self._split(variables)
        if others:
            super()._apply_weight_decay(others)
        if self.weight_decay is None:
            return
        for i, table in tables:
            if self.inner._use_weight_decay(table):
                value = ops.convert_to_tensor(table)
                factor = ops.cast(self.weight_decay * self.learning_rate, value.dtype)
                rows = self._free_rows(table) if self.decay_untouched else self._batch.touched[i]
                table.assign(ops.where(_column(rows, value), value - value * factor, value))

    def _use_weight_decay(self, variable):
        return self.inner._use_weight_decay(variable)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        tables, others = self._split(trainable_variables)
        gradients = {
            self._get_variable_index(v): g for g, v in zip(grads, trainable_variables, strict=True)
        }
        if others:
            rest = [gradients[self._get_variable_index(v)] for v in others]
            self.inner._backend_update_step(rest, others, learning_rate)
        for i, table in tables:
            self._update_table(i, gradients[i], table, learning_rate)

    def _split(self, variables):
        """The tables with their indices, and the other variables."""
        indexed = [(self._get_variable_index(v), v) for v in variables]
        tables = [pair for pair in indexed if pair[0] in self._batch.touched]
        return tables, [v for i, v in indexed if i not in self._batch.touched]

    def _update_table(self, i, gradient, table, learning_rate):
        """Lets `inner` step, then puts back the rows that were not used."""
        slots = slots_of(self.inner, i, len(self._trainable_variables))
        frozen = [s for s in slots if has_rows(s, table)] if self.mode == "frozen_slots" else []
        changing = [table, *frozen]
        before = [ops.copy(variable) for variable in changing]
        clock = self._steps[self._places.index(i)] if self.row_steps else None
        with row_clock(self.inner, clock, len(table.shape)):
            self.inner.update_step(gradient, table, learning_rate)
        for variable, old in zip(changing, before, strict=True):
            touched = _column(self._batch.touched[i], old)
            variable.assign(ops.where(touched, ops.convert_to_tensor(variable), old))

    def finalize_variable_values(self, var_list):
        """Ends like `inner`, and warns of tables on which Lazy had no effect."""
        super().finalize_variable_values(var_list)
        if not self.built or int(ops.convert_to_numpy(self._iterations)) == 0:
            return
        for path, share in self.touched_share.items():
            if share >= DENSE:
                warnings.warn(
                    f"Lazy has next to no effect on {path!r}: on average {share:.1%} of its rows "
                    "have a gradient at every step. Is it tied to a softmax, or regularised?",
                    stacklevel=2,
                )

    def get_config(self):
        config = {
            "mode": self.mode,
            "pattern": self.pattern,
            "variables": self._chosen_paths(),
            "row_steps": self.row_steps,
            "decay_untouched": self.decay_untouched,
            "fixed_rows": list(self.fixed_rows),
        }
        return {**super().get_config(), **config}


def _check_inner(inner):
    wraps = any(hasattr(inner, name) for name in ("inner", "inner_optimizer", "optimizers"))
    # The product of momenta in Nadam is one number for all variables, stepped with all of them.
    if wraps or isinstance(inner, keras.optimizers.Nadam):
        raise ValueError(
            "`inner` must be a plain optimizer that steps each variable by itself; wrappers go "
            f"outside Lazy. Received: inner={inner.name!r}."
        )


def _nonzero_rows(gradient):
    return ops.any(ops.not_equal(gradient, 0), axis=tuple(range(1, len(gradient.shape))))


def _column(rows, like):
    return ops.reshape(rows, (-1,) + (1,) * (len(like.shape) - 1))


def _path(variable):
    if isinstance(variable, str):
        return variable
    return getattr(variable, "path", variable.name)
