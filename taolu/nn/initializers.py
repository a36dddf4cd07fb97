"""Initial weights seen as geometry: a random matrix should keep the length of a vector.

In many dimensions random vectors are nearly orthogonal, so a matrix W of m rows and n columns
with independent entries of mean 0 nearly rotates. `E ||W x||^2 = m Var(W) ||x||^2`: variance 1/m
keeps the length of the vector, 1/n the size of each coordinate; they are one where m = n.
An activation multiplies the mean square by `E f(z)^2`, which a gain in front undoes.

Nearly is not exactly. The entries of W^T W - I are of size 1/sqrt(n), but the singular values of
W fill [0, 2]: a deep product of such matrices keeps lengths on average and still flattens the
space. A linear stack that is deep needs `Orthogonal`.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from taolu.nn import activations

MODES = {"fan_out": "fan_out", "fan_in": "fan_in", "avg": "fan_avg"}


class _Geometric(keras.initializers.VarianceScaling):
    """Independent entries of variance gain^2 / fan; the shape of their law is the subclass's."""

    law = ""

    def __init__(self, gain=1.0, mode="fan_out", seed=None, input_axes=None, output_axes=None):
        if not (isinstance(gain, int | float) and 0 < gain < math.inf):
            raise ValueError(f"`gain` must be a positive number. Received: gain={gain!r}.")
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {tuple(MODES)}. Received: mode={mode!r}.")
        if (input_axes is None) != (output_axes is None):
            raise ValueError(
                "`input_axes` and `output_axes` must be given together. "
                f"Received: input_axes={input_axes}, output_axes={output_axes}."
            )
        axes = {"input_axes": input_axes, "output_axes": output_axes}
        super().__init__(gain**2, MODES[mode], self.law, seed, **axes)
        self.gain = float(gain)

    def get_config(self):
        config = super().get_config()
        mode = {theirs: ours for ours, theirs in MODES.items()}[config["mode"]]
        kept = {name: config[name] for name in ("seed", "input_axes", "output_axes")}
        return {"gain": self.gain, "mode": mode, **kept}


@keras.saving.register_keras_serializable(package="taolu")
class GeometricNormal(_Geometric):
    """Weights from a normal law of variance gain^2 / fan, with nothing cut off.

    `W ~ N(0, gain^2 / fan)`. The fan is the number of outputs by default, so that a layer without
    activation keeps the length of its input; "fan_in" keeps the size of a coordinate (LeCun;
    He with gain sqrt 2), "avg" is the mean of both (Glorot). `Var ||W x||^2 = 2 ||x||^4 / m` for
    m outputs. Biases belong at zero.

    Args:
        gain: Makes up for the activation in front of this layer, see `gain_for`; 1 for the first
            layer. With "fan_in" or equal widths, the mean square then stays through the layers.
        mode: "fan_out", "fan_in" or "avg".
        seed: Whole number or `keras.random.SeedGenerator`. A number gives equal weights to layers
            of equal shape; a generator gives each its own.
        input_axes: Axes of the kernel that count as inputs, where they are not the last but one
            (and the window before it, in a convolution); for EinsumDense and its like.
        output_axes: Axes that count as outputs; given with `input_axes`.

    Raises:
        ValueError: `gain` is not positive, `mode` is unknown, or only one of the axes is given.

    Example:
        >>> kernel = GeometricNormal(seed=0)((200, 300))          # 200 inputs, 300 outputs
        >>> x = keras.random.normal((1, 200), seed=1)
        >>> abs(float(ops.norm(x @ kernel) / ops.norm(x)) - 1) < 0.1
        True

    References:
        Su Jianlin, 从几何视角来理解模型参数的初始化策略, 2020 (archives/7180).
        Xavier Glorot, Yoshua Bengio, Understanding the difficulty of training deep feedforward
        neural networks, 2010. Kaiming He et al., Delving Deep into Rectifiers, 2015.
    """

    law = "untruncated_normal"


@keras.saving.register_keras_serializable(package="taolu")
class GeometricUniform(_Geometric):
    """Weights from a uniform law of variance gain^2 / fan: between ∓ gain sqrt(3 / fan).

    Only the variance matters to lengths, so everything said of `GeometricNormal` holds.

    Args:
        gain: Makes up for the activation in front of this layer, see `gain_for`.
        mode: "fan_out", "fan_in" or "avg".
        seed: Whole number or `keras.random.SeedGenerator`.
        input_axes: Axes of the kernel that count as inputs, see `GeometricNormal`.
        output_axes: Axes that count as outputs.

    Raises:
        ValueError: `gain` is not positive, `mode` is unknown, or only one of the axes is given.

    Example:
        >>> kernel = GeometricUniform(seed=0)((200, 300))
        >>> float(ops.max(ops.abs(kernel))) <= (3 / 300) ** 0.5
        True

    References:
        Su Jianlin, 从几何视角来理解模型参数的初始化策略, 2020 (archives/7180).
    """

    law = "uniform"


@keras.saving.register_keras_serializable(package="taolu")
class Orthogonal(keras.initializers.Orthogonal):
    """A random rotation, times a gain: every singular value is the gain.

    The Q of the QR decomposition of a normal matrix, each column with the sign that makes Q
    uniform over all orthogonal matrices. Keras computes just that, but its QR knows no half
    precision; this one draws in float32 and rounds last. A kernel from n to m < n outputs keeps
    the length only of what it does not project away: the mean square falls by m / n.

    Args:
        gain: Factor on the whole matrix.
        seed: Whole number or `keras.random.SeedGenerator`.

    Example:
        >>> kernel = Orthogonal(seed=0)((4, 4), dtype="float16")
        >>> spread = ops.cast(kernel, "float32") @ ops.cast(ops.transpose(kernel), "float32")
        >>> float(ops.max(ops.abs(spread - ops.eye(4)))) < 2e-3
        True

    References:
        Andrew Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear
        neural networks, 2014. Francesco Mezzadri, How to generate random matrices from the
        classical compact groups, 2007.
    """

    def __call__(self, shape, dtype=None):
        return ops.cast(super().__call__(shape, "float32"), dtype or keras.config.floatx())


@keras.saving.register_keras_serializable(package="taolu")
class DeltaOrthogonal(Orthogonal):
    """A convolution kernel that is a rotation at its centre and zero elsewhere.

    A convolution with it keeps the length of every signal, whatever its window, because each
    position is only rotated (padding "same", stride 1). An orthogonal matrix over the whole window
    does not do that. It needs at least as many outputs as inputs.

    Args:
        gain: Factor on the rotation.
        seed: Whole number or `keras.random.SeedGenerator`.

    Raises:
        ValueError: The kernel has no window, or fewer outputs than inputs.

    Example:
        >>> kernel = DeltaOrthogonal(seed=0)((3, 4, 8))            # window 3, 4 inputs, 8 outputs
        >>> [round(float(ops.norm(tap)), 4) for tap in kernel]
        [0.0, 2.0, 0.0]

    References:
        Lechao Xiao et al., Dynamical Isometry and a Mean Field Theory of CNNs, 2018.
    """

    def __call__(self, shape, dtype=None):
        *window, inputs, outputs = shape
        if not window or inputs > outputs:
            raise ValueError(
                "`shape` must be (window..., inputs, outputs) with no more inputs than outputs. "
                f"Received: shape={tuple(shape)}."
            )
        rotation = super().__call__((inputs, outputs), dtype)
        before = [(size - 1) // 2 for size in window]
        sides = [(left, size - 1 - left) for left, size in zip(before, window, strict=True)]
        centre = ops.reshape(rotation, (*[1] * len(window), inputs, outputs))
        return ops.pad(centre, [*sides, (0, 0), (0, 0)])


def gain_for(activation: str | Callable) -> float:
    """The gain that makes up for what an activation takes from the mean square.

    `g = 1 / sqrt(E f(z)^2)` for z ~ N(0, 1), by Gauss-Legendre quadrature on panels of width 1/2
    over [-12, 12], evaluated in float32: about seven digits, kinks at multiples of 1/2 included.
    It belongs to the weights after the activation; the first layer, whose input is data of mean
    square 1, takes gain 1. See `scale_feedback` for why that matters.

    Args:
        activation: Function of one tensor, acting on each number by itself, or its name.

    Returns:
        The gain; sqrt(2) for ReLU.

    Raises:
        ValueError: The name is unknown; the function mixes positions, as softmax does; or its
            mean square is zero or not finite.

    Example:
        >>> [round(gain_for(name), 6) for name in ("relu", "tanh", "silu", "gelu", "su_exp")]
        [1.414214, 1.592537, 1.676532, 1.53353, 1.357532]

    References:
        Su Jianlin, 从几何视角来理解模型参数的初始化策略, 2020 (archives/7180).
    """
    return 1 / math.sqrt(_moments(activation)[0])


def scale_feedback(activation: str | Callable) -> float:
    """How much of a deviation from mean square 1 is left after one more layer with its gain.

    A layer turns a mean square q before the activation into `g^2 E f(sqrt(q) z)^2`, which is 1
    at q = 1. Its slope there, `g^2 E f f' z = E f^2 (z^2 - 1) / (2 E f^2)` after integrating by
    parts, multiplies a small deviation at every layer: below 1 the scale returns by itself,
    above 1 it runs away with depth, and the input must be scaled with care.

    Args:
        activation: Function of one tensor, acting on each number by itself, or its name.

    Returns:
        The slope; 1 for ReLU, which keeps every scale.

    Raises:
        ValueError: As for `gain_for`.

    Example:
        >>> [round(scale_feedback(name), 3) for name in ("relu", "tanh", "silu", "su_exp")]
        [1.0, 0.461, 1.173, 0.926]

    References:
        Samuel Schoenholz et al., Deep Information Propagation, 2017.
    """
    square, tilted = _moments(activation)
    return (tilted - square) / (2 * square)


def _moments(activation):
    """E f(z)^2 and E f(z)^2 z^2 for z ~ N(0, 1)."""
    function = activations.get(activation)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    middles = np.arange(-11.75, 12, 0.5)
    points = (middles[:, None] + nodes / 4).ravel()
    density = np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi) * np.tile(weights / 4, len(middles))
    heights, alone = _evaluate(function, points), _evaluate(function, points[::2])
    # A function that mixes positions answers differently when it sees only half of them.
    if heights.shape != points.shape or not np.allclose(heights[::2], alone, 1e-3, 1e-30, True):
        raise ValueError(
            "`activation` must act on each number by itself. "
            f"Received: activation={activation!r}, which mixes positions."
        )
    square = float(np.sum(heights**2 * density))
    if not 0 < square < math.inf:
        raise ValueError(
            "`activation` must have a positive, finite mean square on normal input. "
            f"Received: activation={activation!r}, mean square {square}."
        )
    return square, float(np.sum(heights**2 * points**2 * density))


def _evaluate(function, points):
    out = function(ops.convert_to_tensor(points.astype("float32")))
    return np.asarray(ops.convert_to_numpy(out), "float64")


def residual_gain(branches: int) -> float:
    """The gain of the last layer of each residual branch, 1 / sqrt(branches).

    Every `x + f(x)` adds the mean square of f(x). Where each of B branches adds 1 / B of that of
    x, the whole stack multiplies it by at most `(1 + 1/B)^B < e`, however deep. A Transformer of
    L layers has B = 2 L branches.

    Args:
        branches: Number of additions along the stack, at least 1.

    Raises:
        ValueError: `branches` is below 1.

    Example:
        >>> round(residual_gain(2 * 12), 4)
        0.2041

    References:
        Alec Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
    """
    if branches < 1:
        raise ValueError(f"`branches` must be at least 1. Received: branches={branches}.")
    return 1 / math.sqrt(branches)


def identity_error(matrix: np.ndarray) -> float:
    """How far a matrix is from orthogonal: the mean of the squared entries of W^T W - I.

    Args:
        matrix: Floats (m, n).

    Example:
        >>> identity_error(np.eye(3))
        0.0
    """
    matrix = np.asarray(matrix, "float64")
    return float(np.mean((matrix.T @ matrix - np.eye(matrix.shape[1])) ** 2))


def expected_identity_error(size: int, fourth_moment: float) -> float:
    """The mean of `identity_error` over square matrices of independent entries, exactly.

    For entries of mean 0, variance 1/n and fourth moment mu: off the diagonal of W^T W stand
    sums of n products, of variance 1/n; on it sums of n squares, of variance n mu - 1/n. Together
    `(n (n-1) / n + n (n mu - 1/n)) / n^2 = (n^2 mu + n - 2) / n^2`: (n + 1) / n^2 for the normal
    law (mu = 3 / n^2), (n - 0.2) / n^2 for the uniform one (mu = 9 / (5 n^2)).

    Args:
        size: Number n of rows and of columns.
        fourth_moment: E W^4 of one entry.

    Example:
        >>> round(expected_identity_error(100, 3 / 100**2), 6)
        0.0101
    """
    return (size**2 * fourth_moment + size - 2) / size**2
