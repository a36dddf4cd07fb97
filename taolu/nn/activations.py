"""Activation functions with safe numbers, and the gates built from them.

`su_exp(x) = x * min(1, exp(x))` is the identity on the right and fades to zero on the left.
Written like that it overflows: the branch `min` throws away still takes part in the gradient,
and infinity times zero is not a number. Here an exponent is never positive.
"""

from collections.abc import Callable

import keras
from keras import ops

# Keras computes x * sigmoid(x) safely already; the papers use both names.
silu = swish = keras.activations.silu


@keras.saving.register_keras_serializable(package="taolu")
def su_exp(x):
    """The identity where x is positive, x * exp(x) where it is negative.

    `f(x) = x min(1, e^x) = max(x, x e^{-|x|}) = x + relu(x e^{-|x|} - x)`; the middle form is
    computed here. Its lowest value is -1/e, at -1; its slope lies between -1/e^2, at -2, and 1,
    so it never stretches a distance. The slope is continuous; the second derivative jumps
    from 2 to 0 at zero.

    Args:
        x: Float tensor of any shape.

    Returns:
        Tensor of the same shape and dtype, at least -1/e.

    Example:
        >>> [round(float(su_exp(x)), 4) for x in (-2.0, -1.0, 0.0, 2.0)]
        [-0.2707, -0.3679, 0.0, 2.0]
        >>> layer = keras.layers.Dense(4, activation=su_exp)

    References:
        Su Jianlin, 浅谈神经网络中激活函数的设计, 2017 (archives/4647).
    """
    x = ops.convert_to_tensor(x)
    return ops.maximum(x, x * ops.exp(-ops.abs(x)))


@keras.saving.register_keras_serializable(package="taolu")
def squared_relu(x):
    """The square of the positive part: `relu(x)^2`.

    It grows without bound in its slope, so in float16 it overflows beyond 255.

    Args:
        x: Float tensor of any shape.

    Returns:
        Tensor of the same shape and dtype, not negative.

    Example:
        >>> [float(squared_relu(x)) for x in (-2.0, 0.5, 3.0)]
        [0.0, 0.25, 9.0]

    References:
        David So et al., Primer: Searching for Efficient Transformers, 2021.
    """
    return ops.square(ops.relu(x))


@keras.saving.register_keras_serializable(package="taolu")
def star_relu(x):
    """A squared ReLU shifted and scaled to mean 0 and variance 1 on normal input.

    `f(x) = s relu(x)^2 + b` with `s = 2 / sqrt(5)` and `b = -1 / sqrt(5)`: for z ~ N(0, 1),
    relu(z)^2 has mean 1/2 and variance 3/2 - 1/4 = 5/4. In float16 it overflows beyond 255.

    Args:
        x: Float tensor of any shape.

    Returns:
        Tensor of the same shape and dtype, at least -1/sqrt(5).

    Example:
        >>> [round(float(star_relu(x)), 4) for x in (-2.0, 1.0)]
        [-0.4472, 0.4472]

    References:
        Weihao Yu et al., MetaFormer Baselines for Vision, 2022.
    """
    return 5**-0.5 * (2 * ops.square(ops.relu(x)) - 1)


def glu(value, gate):
    """What one projection says, as far as another lets it: `value * sigmoid(gate)`.

    The gate lies between 0 and 1, so the result never exceeds the value.

    Args:
        value: Float tensor, what may be said.
        gate: Float tensor of the same shape, how far to say it, before the sigmoid.

    Returns:
        Tensor of the same shape and dtype.

    Example:
        >>> float(glu(3.0, 0.0))
        1.5

    References:
        Yann Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017.
        Noam Shazeer, GLU Variants Improve Transformer, 2020.
    """
    return ops.multiply(value, ops.sigmoid(gate))


def reglu(value, gate):
    """`value * relu(gate)`, see `glu`; products above 65504 overflow in float16.

    Args:
        value: Float tensor.
        gate: Float tensor of the same shape.

    Returns:
        Tensor of the same shape and dtype.

    Example:
        >>> float(reglu(3.0, 2.0))
        6.0
    """
    return ops.multiply(value, ops.relu(gate))


def geglu(value, gate):
    """`value * gelu(gate)` with the exact GELU, see `glu`; may overflow in float16.

    Args:
        value: Float tensor.
        gate: Float tensor of the same shape.

    Returns:
        Tensor of the same shape and dtype.

    Example:
        >>> round(float(geglu(3.0, 1.0)), 4)
        2.524
    """
    return ops.multiply(value, ops.gelu(gate, approximate=False))


def swiglu(value, gate):
    """`value * silu(gate)`, see `glu`; products above 65504 overflow in float16.

    Args:
        value: Float tensor.
        gate: Float tensor of the same shape.

    Returns:
        Tensor of the same shape and dtype.

    Example:
        >>> round(float(swiglu(3.0, 1.0)), 4)
        2.1932
    """
    return ops.multiply(value, silu(gate))


def bilinear(value, gate):
    """`value * gate`, a gate without any nonlinearity, see `glu`.

    Args:
        value: Float tensor.
        gate: Float tensor of the same shape.

    Returns:
        Tensor of the same shape and dtype.

    Example:
        >>> float(bilinear(3.0, -2.0))
        -6.0
    """
    return ops.multiply(value, gate)


def get(identifier: str | dict | Callable) -> Callable:
    """The activation function of that name, ours or one of Keras.

    Args:
        identifier: A name such as "su_exp", "swish" or "relu", or what
            `keras.activations.serialize` wrote; a function is handed back as it is.

    Returns:
        A function of one tensor.

    Raises:
        ValueError: There is no activation function of that name.

    Example:
        >>> get("su_exp") is su_exp, get("swish") is keras.activations.silu
        (True, True)
    """
    ours = {function.__name__: function for function in (su_exp, squared_relu, star_relu)}
    if callable(identifier):
        return identifier
    if isinstance(identifier, str) and identifier in ours:
        return ours[identifier]
    try:
        if isinstance(identifier, str | dict):
            return keras.activations.get(identifier)
    except ValueError:
        pass
    raise ValueError(
        f"`identifier` must be a function, one of {sorted(ours)}, or the name of a Keras "
        f"activation such as 'relu', 'gelu' or 'silu'. Received: identifier={identifier!r}."
    )
