"""Rotary positions: queries and keys turn with their place, so their product sees the distance.

Channels form pairs; pair `i` is a complex number that place `p` turns by `p f_i` radians:

    rotate(x, p)_i = x_i e^{i p f_i},   <rotate(q, m), rotate(k, n)> depends on m - n alone

To read texts longer than those of the training, turn more slowly. The three scalings differ in
which pairs slow down: all alike (`LinearScaling`), the slow ones more (`NTKScaling`), or only those
that never came full circle in training (`YaRNScaling`).
"""

import math
from dataclasses import asdict, dataclass

import keras
import numpy as np
from keras import ops

from taolu.nn.layers.attention_bias import RelativePosition
from taolu.nn.layers.position import frequencies, rotation


@dataclass(frozen=True)
class _Scaling:
    """Slower rotation: base of the three schemes, each a frozen dataclass."""

    factor: float

    def __post_init__(self):
        if not self.factor >= 1:
            raise ValueError(f"`factor` must be at least 1. Received: factor={self.factor}.")

    def apply(self, width: int, base: float) -> tuple[np.ndarray, float]:
        """Frequencies, float64 (width / 2,), and the factor on queries and keys."""
        raise NotImplementedError

    def get_config(self):
        return asdict(self)

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="taolu")
@dataclass(frozen=True)
class LinearScaling(_Scaling):
    """Position interpolation: all pairs turn `factor` times more slowly, `f_i / factor`.

    Args:
        factor: How many times longer the text may be.

    Example:
        >>> LinearScaling(2.0).apply(4, 10000.0)
        (array([0.5  , 0.005]), 1.0)

    References:
        Chen et al., Extending Context Window via Position Interpolation, 2023.
    """

    factor: float

    def apply(self, width, base):
        """Returns all frequencies, slower by the factor."""
        return frequencies(width, base) / self.factor, 1.0


@keras.saving.register_keras_serializable(package="taolu")
@dataclass(frozen=True)
class NTKScaling(_Scaling):
    """A larger base: the fastest pair turns as before, the slowest `factor` times more slowly.

    `base' = base * factor^(width / (width - 2))`.

    Args:
        factor: How many times longer the text may be.

    Example:
        >>> NTKScaling(2.0).apply(4, 10000.0)
        (array([1.   , 0.005]), 1.0)

    References:
        bloc97, NTK-Aware Scaled RoPE, 2023.
        Su Jianlin, Transformer升级之路:10、RoPE是一种β进制编码, 2023.
    """

    factor: float

    def apply(self, width, base):
        # With one pair there is no slowest: it is the fastest too, and keeps its speed.
        """Returns the frequencies, the slow ones slowed the most."""
        larger = base * self.factor ** (width / (width - 2)) if width > 2 else base
        return frequencies(width, larger), 1.0


@keras.saving.register_keras_serializable(package="taolu")
@dataclass(frozen=True)
class YaRNScaling(_Scaling):
    """Slow pairs are interpolated, fast ones left alone, with a ramp between; scores are sharpened.

    A pair that turned at least `fast` times over `length` keeps its speed, one that turned at most
    `slow` times is slowed by `factor`. Queries and keys grow by `0.1 ln(factor) + 1` each.

    Args:
        factor: How many times longer the text may be.
        length: Longest text of the training, in steps.
        fast: Turns from which a pair is left alone.
        slow: Turns up to which a pair is interpolated.

    Example:
        >>> frequency, growth = YaRNScaling(4.0, length=64).apply(4, 10000.0)
        >>> frequency, round(growth, 3)
        (array([1.    , 0.0025]), 1.139)

    References:
        Peng et al., YaRN: Efficient Context Window Extension, 2023.
    """

    factor: float
    length: int
    fast: float = 32.0
    slow: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if self.length < 1:
            raise ValueError(f"`length` must be at least 1. Received: length={self.length}.")

    def apply(self, width, base):
        """Returns the frequencies, slowed only where a turn was not seen whole."""
        plain = frequencies(width, base)

        def pair_that_turns(times):  # i with length * base^(-2i / width) = 2 pi times
            return width * math.log(self.length / (times * 2 * math.pi)) / (2 * math.log(base))

        low = max(math.floor(pair_that_turns(self.fast)), 0)
        high = min(math.ceil(pair_that_turns(self.slow)), width - 1)
        ramp = np.clip((np.arange(width // 2) - low) / max(high - low, 1e-3), 0, 1)
        return plain * (1 - ramp) + plain / self.factor * ramp, 0.1 * math.log(self.factor) + 1


@keras.saving.register_keras_serializable(package="taolu")
class Rotary(RelativePosition):
    """Queries and keys turned to their places (RoPE).

    See the equation of this module. The angle is exact to float32 at every position and policy.

    Masking: takes no mask and leaves values in place; the layer passes a mask on unchanged.

    Args:
        width: Channels that are turned, an even number; the rest of a head stays as it is.
            Default: the whole head.
        base: The slowest pair turns about `base` times slower than the fastest.
        interleaved: Whether neighbours (0, 1), (2, 3), ... are pairs (RoFormer, GPT-J); otherwise
            channel `i` pairs with `i + width / 2` (Llama, GPT-NeoX).
        scaling: None, `LinearScaling`, `NTKScaling` or `YaRNScaling`.

    Call arguments:
        inputs: Queries or keys, float (batch, time, heads, head width).
        positions: Int (time,) or (batch, time). Default: 0, 1, 2, ...

    Returns:
        Float (batch, time, heads, head width).

    Raises:
        ValueError: `width` is odd or exceeds the width of a head.

    Example:
        >>> x = np.ones((1, 2, 1, 4), "float32")
        >>> ops.convert_to_numpy(Rotary()(x))[0, 1, 0].round(2)
        array([-0.3 ,  0.99,  1.38,  1.01], dtype=float32)

    References:
        Su et al., RoFormer: Enhanced Transformer with Rotary Position Embedding, 2021.
    """

    def __init__(
        self,
        width: int | None = None,
        base: float = 10000.0,
        interleaved: bool = False,
        scaling: _Scaling | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if width is not None and (width < 2 or width % 2):
            raise ValueError(f"`width` must be even and at least 2. Received: width={width}.")
        if base <= 1:
            raise ValueError(f"`base` must exceed 1. Received: base={base}.")
        self.width = width
        self.base = base
        self.interleaved = interleaved
        self.scaling = scaling

    def check(self, heads, head_width, value_width):
        """Raises ValueError unless the turned width is even and fits into a head."""
        width = self.width or head_width
        if width % 2 or width > head_width:
            raise ValueError(
                "`width` of Rotary must be even and fit into a head. "
                f"Received: width={width}, head_width={head_width}."
            )

    def build(self, inputs_shape=None):
        if inputs_shape is not None:
            self.check(inputs_shape[-2], inputs_shape[-1], inputs_shape[-1])

    def call(self, inputs, positions=None):
        if positions is None:
            positions = ops.arange(ops.shape(inputs)[1], dtype="int32")
        return self._turn(inputs, *self._cos_sin(positions, inputs.shape[-1]))

    def rotate(self, query, key, positions):
        """Turns queries or keys by their positions."""
        cos, sin = self._cos_sin(positions, query.shape[-1])
        return self._turn(query, cos, sin), self._turn(key, cos, sin)

    def _cos_sin(self, positions, head_width):
        width = self.width or head_width
        frequency, growth = frequencies(width, self.base), 1.0
        if self.scaling is not None:
            frequency, growth = self.scaling.apply(width, self.base)
        cos, sin = rotation(positions, frequency)  # (time, pairs) or (batch, time, pairs)
        return cos[..., None, :] * growth, sin[..., None, :] * growth

    def _turn(self, x, cos, sin):
        cos, sin = ops.cast(cos, x.dtype), ops.cast(sin, x.dtype)
        width = self.width or x.shape[-1]
        turned, rest = x[..., :width], x[..., width:]
        if self.interleaved:
            a, b = turned[..., 0::2], turned[..., 1::2]
        else:
            a, b = turned[..., : width // 2], turned[..., width // 2 :]
        # (a + ib)(cos + i sin)
        a, b = a * cos - b * sin, b * cos + a * sin
        if self.interleaved:
            turned = ops.reshape(ops.stack([a, b], axis=-1), ops.shape(turned))
        else:
            turned = ops.concatenate([a, b], axis=-1)
        return turned if width == x.shape[-1] else ops.concatenate([turned, rest], axis=-1)

    def compute_output_shape(self, inputs_shape):
        return inputs_shape

    def compute_mask(self, inputs, previous_mask=None):
        return previous_mask

    def get_config(self):
        config = {"width": self.width, "base": self.base, "interleaved": self.interleaved}
        config["scaling"] = keras.saving.serialize_keras_object(self.scaling)
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        config = {**config, "scaling": keras.saving.deserialize_keras_object(config["scaling"])}
        return super().from_config(config)
