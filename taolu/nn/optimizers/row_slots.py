"""The slots of a plain Keras optimizer, row by row: what `Lazy` freezes and counts."""

import contextlib

import keras
from keras import ops


def slots_of(inner, index, count):
    """The variables that an optimizer holds for one of its variables, such as its moments.

    Keras keeps each kind of slot in a list with one entry per variable; every such list counts.

    Args:
        inner: A plain optimizer that has been built.
        index: Place of the variable among those the optimizer was built with.
        count: Number of those variables.

    Returns:
        List of Keras variables.

    Example:
        >>> adam = keras.optimizers.Adam()
        >>> adam.build([keras.Variable(ops.zeros((5, 2))), keras.Variable(ops.zeros(3))])
        >>> [tuple(slot.shape) for slot in slots_of(adam, index=1, count=2)]
        [(3,), (3,)]
    """
    skipped = ("_trainable_variables", "_variables")
    lists = [
        value
        for name, value in vars(inner).items()
        if name not in skipped and isinstance(value, list) and len(value) == count
    ]
    return [slots[index] for slots in lists if isinstance(slots[index], keras.Variable)]


def has_rows(slot, table):
    """Whether the first axis of a slot counts the rows of a table.

    Args:
        slot: Variable of any shape.
        table: Variable (rows, ...).

    Example:
        >>> table = keras.Variable(ops.zeros((5, 2)))
        >>> [has_rows(keras.Variable(ops.zeros(shape)), table) for shape in [(5,), (2,), (5, 2)]]
        [True, False, True]
    """
    rows, width = tuple(table.shape[:1]), tuple(table.shape[1:])
    # In a square table a vector could mean either axis; then it is taken for neither.
    return tuple(slot.shape) == rows + width or tuple(slot.shape[:1]) == rows != width


@contextlib.contextmanager
def row_clock(inner, steps, rank):
    """Lets an optimizer read a step count for every row, while the body of `with` runs.

    A bias correction such as `1 - beta^t` is then computed for each row by itself.

    Args:
        inner: A plain optimizer that has been built.
        steps: Applied steps of each row, int (rows,), or None for the optimizer's own clock.
        rank: Number of axes of the table.

    Example:
        >>> adam = keras.optimizers.Adam()
        >>> with row_clock(adam, ops.convert_to_tensor([0, 3]), rank=2):
        ...     print(ops.convert_to_numpy(adam.iterations).tolist())
        [[0], [3]]
    """
    if steps is None:
        yield
        return
    kept = inner._iterations
    # `iterations` divides by the accumulation steps; the counts are of applied steps already.
    micro = ops.convert_to_tensor(steps) * (inner.gradient_accumulation_steps or 1)
    # Past `__setattr__`, which would register the counts as one more variable to save.
    vars(inner)["_iterations"] = ops.reshape(micro, (-1,) + (1,) * (rank - 1))
    try:
        yield
    finally:
        vars(inner)["_iterations"] = kept


@contextlib.contextmanager
def without_extras(inner):
    """Builds only the slots of an optimizer, no averages and accumulators.

    Args:
        inner: A plain optimizer, to be built in the body of `with`.

    Example:
        >>> adam = keras.optimizers.Adam(use_ema=True)
        >>> with without_extras(adam):
        ...     adam.build([keras.Variable(0.0)])
        >>> [variable.name.split("_")[-1] for variable in adam.variables], adam.use_ema
        (['iteration', 'rate', 'momentum', 'velocity'], True)
    """
    kept = inner.use_ema, inner.gradient_accumulation_steps
    inner.use_ema, inner.gradient_accumulation_steps = False, None
    try:
        yield
    finally:
        inner.use_ema, inner.gradient_accumulation_steps = kept
