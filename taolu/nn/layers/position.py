"""Absolute positions: a vector for every place, made of sines or learned.

Attention sees a set, not a sequence: shuffle the inputs and the outputs are shuffled alike. A
position tells it the order. That of Vaswani et al. is a clock with many hands; hand `i` of
`width / 2` turns by `f_i = base^(-2i / width)` radians a step, and a place is where they stand:

    PE(p)_{2i} = sin(p f_i),   PE(p)_{2i+1} = cos(p f_i)

so `PE(p + k) = R_k PE(p)` with rotations `R_k` that know nothing of `p`: a distance looks the same
everywhere. `rotation` computes the hands for these layers and for `Rotary`.
"""

import keras
import numpy as np
from keras import ops

_BASE = 64  # a position is written in digits of this base
_DIGITS = 4  # positions below 64^4 = 16,777,216


def frequencies(width: int, base: float = 10000.0) -> np.ndarray:
    """Radians that each pair of channels turns per step: `base^(-2i / width)`.

    Args:
        width: Number of channels; when odd, the last pair has only its sine.
        base: The slowest hand turns about `base` times slower than the fastest.

    Returns:
        Float64 (pairs,), falling from 1; `pairs` is half of `width`, rounded up.

    Example:
        >>> frequencies(4)
        array([1.  , 0.01])
    """
    return base ** (-2.0 * np.arange((width + 1) // 2) / width)


def rotation(positions, frequency: np.ndarray):
    """Cosines and sines of `positions * frequency`, as exact as float32 can hold them.

    The plain product loses what it rounds: at position 10,000 a float32 angle is wrong by about
    1e-3. Turning by a number is turning by each of its digits, one after another,

        p = d_0 + 64 d_1 + 4096 d_2 + ...,   e^{ipf} = e^{i d_0 f} e^{i d_1 64f} e^{i d_2 4096f} ...

    and for 64 digits the factors are small tables, computed in float64. The error stays near 1e-7.

    Args:
        positions: Int (...); below 16,777,216 in absolute value.
        frequency: Float64 (pairs,), radians per step.

    Returns:
        The cosines and the sines, both float32 (..., pairs).

    Example:
        >>> cos, sin = rotation(np.array([0, 100000]), np.array([1.0]))
        >>> bool(abs(float(sin[1, 0]) - np.sin(100000.0)) < 1e-6)
        True
    """
    positions = ops.cast(positions, "int32")
    rest = ops.abs(positions)
    cos, sin = 1.0, 0.0
    for power in range(_DIGITS):
        angle = np.arange(_BASE)[:, None] * (frequency * float(_BASE**power))
        digit, rest = ops.mod(rest, _BASE), ops.floor_divide(rest, _BASE)
        c = ops.take(ops.convert_to_tensor(np.cos(angle), dtype="float32"), digit, axis=0)
        s = ops.take(ops.convert_to_tensor(np.sin(angle), dtype="float32"), digit, axis=0)
        cos, sin = cos * c - sin * s, sin * c + cos * s
    return cos, sin * ops.cast(ops.sign(positions), "float32")[..., None]


def sinusoids(positions, width: int, base: float = 10000.0, interleaved: bool = True):
    """Sinusoidal encoding of positions.

    Args:
        positions: Int (...).
        width: Number of channels, odd ones allowed.
        base: See `frequencies`.
        interleaved: Whether sines and cosines alternate (the paper); otherwise all sines come
            first (tensor2tensor, Marian).

    Returns:
        Float32 (..., width), in [-1, 1].

    Example:
        >>> ops.convert_to_numpy(sinusoids(np.array([0, 1]), width=3)).round(2)
        array([[0.  , 1.  , 0.  ],
               [0.84, 0.54, 0.  ]], dtype=float32)
    """
    cos, sin = rotation(positions, frequencies(width, base))
    if not interleaved:
        return ops.concatenate([sin, cos[..., : width // 2]], axis=-1)
    pairs = ops.stack([sin, cos], axis=-1)
    return ops.reshape(pairs, (*ops.shape(sin)[:-1], 2 * sin.shape[-1]))[..., :width]


@keras.saving.register_keras_serializable(package="taolu")
class SinusoidalPosition(keras.layers.Layer):
    """Inputs with the sinusoidal encoding of their place added, or set beside them.

    See the equation of this module. Angles are exact to float32 whatever the dtype policy; only
    the finished encoding is cast.

    Masking: padded steps get a position like all others; the mask is passed on unchanged.

    Args:
        width: Channels of the encoding. Default: the width of the inputs.
        base: See `frequencies`.
        interleaved: See `sinusoids`.
        concatenate: Whether the encoding stands beside the inputs instead of being added.

    Call arguments:
        inputs: Float (batch, time, width).
        positions: Int (time,) or (batch, time). Default: 0, 1, 2, ...

    Returns:
        Float (batch, time, width), or (batch, time, input width + width) when concatenated.

    Raises:
        ValueError: The inputs are not (batch, time, width), or `width` cannot be added to them.

    Example:
        >>> tuple(SinusoidalPosition(width=3, concatenate=True)(np.zeros((1, 2, 4))).shape)
        (1, 2, 7)

    References:
        Vaswani et al., Attention Is All You Need, 2017.
        Su Jianlin, 《Attention is All You Need》浅读, 2018.
    """

    def __init__(
        self,
        width: int | None = None,
        base: float = 10000.0,
        interleaved: bool = True,
        concatenate: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if width is not None and width < 1:
            raise ValueError(f"`width` must be at least 1. Received: width={width}.")
        self.width = width
        self.base = base
        self.interleaved = interleaved
        self.concatenate = concatenate
        self.supports_masking = True

    def build(self, inputs_shape):
        _check_rank(inputs_shape)
        if not self.concatenate and self.width not in (None, inputs_shape[-1]):
            raise ValueError(
                "`width` must equal the width of the inputs unless `concatenate=True`. "
                f"Received: width={self.width}, inputs of shape {tuple(inputs_shape)}."
            )

    def call(self, inputs, positions=None):
        if positions is None:
            positions = ops.arange(ops.shape(inputs)[1], dtype="int32")
        width = self.width or inputs.shape[-1]
        encoding = sinusoids(positions, width, self.base, self.interleaved)
        encoding = ops.cast(encoding, inputs.dtype)
        if not self.concatenate:
            return inputs + encoding
        encoding = ops.broadcast_to(encoding, (*ops.shape(inputs)[:2], width))
        return ops.concatenate([inputs, encoding], axis=-1)

    def compute_output_shape(self, inputs_shape):
        if not self.concatenate:
            return inputs_shape
        return (*inputs_shape[:-1], inputs_shape[-1] + (self.width or inputs_shape[-1]))

    def get_config(self):
        config = {"width": self.width, "base": self.base}
        config |= {"interleaved": self.interleaved, "concatenate": self.concatenate}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="taolu")
class PositionEmbedding(keras.layers.Layer):
    """Inputs plus one learned vector per place, if need be beyond the length it was learned for.

    A table `p_0 .. p_{n-1}` serves `n` places. The hierarchical reading of Su Jianlin serves `n^2`
    with the same table: place `i n + j` gets

        a u_i + (1 - a) u_j,   u_j = (p_j - a p_0) / (1 - a)

    which for `i = 0` gives back `p_j`, so a trained model keeps its answers on short texts.

    Masking: padded steps get a position like all others; the mask is passed on unchanged.

    Args:
        length: Rows of the table.
        hierarchical: Whether places from `length` to `length^2` are served too.
        alpha: The share `a` of the coarse place, in (0, 1) and not one half.
        initializer: First values of the table.

    Call arguments:
        inputs: Float (batch, time, width).
        positions: Int (time,) or (batch, time). Default: 0, 1, 2, ...

    Returns:
        Float (batch, time, width).

    Raises:
        ValueError: The text is longer than the table serves, or an argument is out of range.

    Example:
        >>> layer = PositionEmbedding(4, hierarchical=True)
        >>> tuple(layer(np.zeros((1, 16, 2))).shape)
        (1, 16, 2)

    References:
        Su Jianlin, 层次分解位置编码,让BERT可以处理超长文本, 2020.
    """

    def __init__(
        self,
        length: int,
        hierarchical: bool = False,
        alpha: float = 0.4,
        initializer="uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if length < 1:
            raise ValueError(f"`length` must be at least 1. Received: length={length}.")
        if not 0 < alpha < 1 or alpha == 0.5:  # at one half, (i, j) and (j, i) look alike
            raise ValueError(f"`alpha` must lie in (0, 1), not at 0.5. Received: alpha={alpha}.")
        self.length = length
        self.hierarchical = hierarchical
        self.alpha = alpha
        self.initializer = keras.initializers.get(initializer)
        self.supports_masking = True

    def build(self, inputs_shape):
        _check_rank(inputs_shape)
        self.embeddings = self.add_weight(
            shape=(self.length, inputs_shape[-1]), initializer=self.initializer, name="embeddings"
        )

    def call(self, inputs, positions=None):
        if positions is None:
            self._check_length(inputs.shape[1])
            positions = ops.arange(ops.shape(inputs)[1], dtype="int32")
        table = ops.convert_to_tensor(self.embeddings)
        if not self.hierarchical:
            return inputs + ops.take(table, positions, axis=0)
        parts = (table - self.alpha * table[:1]) / (1 - self.alpha)
        coarse = ops.take(parts, ops.floor_divide(positions, self.length), axis=0)
        fine = ops.take(parts, ops.mod(positions, self.length), axis=0)
        return inputs + self.alpha * coarse + (1 - self.alpha) * fine

    def _check_length(self, time):
        served = self.length**2 if self.hierarchical else self.length
        if time is not None and time > served:
            raise ValueError(
                f"The inputs must have at most {served} steps with `length={self.length}` and "
                f"`hierarchical={self.hierarchical}`. Received: {time} steps."
            )

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def get_config(self):
        config = {"length": self.length, "hierarchical": self.hierarchical, "alpha": self.alpha}
        config["initializer"] = keras.initializers.serialize(self.initializer)
        return {**super().get_config(), **config}


def _check_rank(shape):
    if len(shape) != 3:
        raise ValueError(
            f"`inputs` must have the shape (batch, time, width). Received: {tuple(shape)}."
        )
