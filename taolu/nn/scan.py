"""A loop over the steps of a chain, on the backend that runs it fastest."""

from keras import ops

from taolu.nn.differentiate import runs_eagerly


def scan(step, carry, xs, reverse=False):
    """Runs `step(carry, x) -> (carry, y)` over the first axis: `keras.ops.scan`, but fast on torch.

    There Keras takes the structures apart and puts them together again at every step, which costs
    as much as the few operations of a chain.

    Args:
        step: The function.
        carry: Tensors that go from step to step: one, or a tuple.
        xs: A tensor (time, ...), or a tuple of tensors; at least one step.
        reverse: Whether to begin at the end.

    Returns:
        The last carry; and the ys, stacked (time, ...), in the order of `xs`: a tensor, or a tuple.

    Example:
        >>> total, sums = scan(lambda a, x: (a + x, a + x), ops.zeros(()), ops.arange(4.0))
        >>> float(total), ops.convert_to_numpy(sums).tolist()
        (6.0, [0.0, 1.0, 3.0, 6.0])
    """
    if not runs_eagerly():
        return ops.scan(step, carry, xs, reverse=reverse)
    several = isinstance(xs, tuple)
    rows = list(zip(*map(ops.unstack, xs), strict=True)) if several else ops.unstack(xs)
    ys = []
    for row in reversed(rows) if reverse else rows:
        carry, y = step(carry, row)
        ys.append(y)
    if reverse:
        ys.reverse()
    if isinstance(ys[0], tuple):
        return carry, tuple(ops.stack(y) for y in zip(*ys, strict=True))
    return carry, ops.stack(ys)
