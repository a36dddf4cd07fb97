"""Networks that tag characters: embeddings, an encoder that looks around, scores, a head.

    x_t = [C[c_t]; P[c_t-1 c_t]; features of a dictionary]      h = encoder(x)      head(W h)

A pair of neighbours says far more than its two characters, and a table of pairs costs no time. The
encoder is a choice of speed: dilated gated convolutions see 30 characters to each side and run in
parallel, an LSTM sees everything and takes a step after the other, a Transformer compares every
pair of characters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from taolu.nn.layers import Attention, FeedForward, GatedConvolution, MixedEmbedding, Rotary
from taolu.nn.layers.tag_head import TagHead
from taolu.nn.models.tag_model import TagModel

ENCODERS = ("convolution", "recurrent", "transformer")
DILATIONS = (1, 2, 4, 8, 1)  # repeated where a network is deeper
HEAD_WIDTH = 32  # of an attention head


@dataclass(frozen=True)
class TagInputs:
    """How many ids each input of the network has; 0 where it has no such input.

    Attributes:
        characters: Ids of characters, padding 0 and unknown 1 included.
        pairs: Ids of pairs of characters, likewise.
        matches: Values of each column of what a dictionary says about a character.
        words: Ids of words, padding 0 and unknown 1 included.
    """

    characters: int
    pairs: int = 0
    matches: tuple[int, ...] = ()
    words: int = 0


def tag_network(
    inputs: TagInputs,
    head: TagHead,
    states: int,
    *,
    encoder: str = "convolution",
    width: int = 128,
    depth: int | None = None,
    dropout: float = 0.3,
    character_width: int = 64,
    pair_width: int = 48,
    length: int | None = None,
    seed: int = 0,
) -> TagModel:
    """Returns a network that takes a dict of ids and ends in a head.

    The inputs are `characters` int (batch, time), 0 where a step is padding, and, where `inputs`
    says so, `pairs` (batch, time), `matches` (batch, time, columns) and `words` (batch, time).

    Args:
        inputs: How many ids there are.
        head: The head, not built.
        states: Width of what the head is given: the number of tags, or for a span head `width`.
        encoder: convolution, recurrent or transformer.
        width: Width of the encoder.
        depth: Layers of the encoder. Default: 5 convolutions, 1 LSTM each way, 3 blocks.
        dropout: Rate at which units are dropped, before and inside the encoder.
        character_width: Width of the vector of a character.
        pair_width: Width of the vector of a pair.
        length: Number of steps, or None for any.
        seed: Of the initial weights and the dropout.

    Raises:
        ValueError: There is no such encoder, or a number is below 1.

    Example:
        >>> from taolu.nn.layers import CRF
        >>> model = tag_network(TagInputs(50, pairs=90), CRF(), 5, width=16, depth=2)
        >>> tuple(model.output.shape), sorted(model.input)
        ((None, None, 5), ['characters', 'pairs'])

    References:
        Su Jianlin, 基于CNN的阅读理解式问答模型:DGCNN, 2018 (archives/5409).
        Chen et al., Long short-term memory neural networks for Chinese word segmentation, 2015
        (pairs of characters).
    """
    if encoder not in ENCODERS:
        raise ValueError(f"`encoder` must be one of {', '.join(ENCODERS)}. Received: {encoder!r}.")
    for name, value in (("width", width), ("depth", depth), ("states", states)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
    seeds = iter(np.random.default_rng(seed).integers(1 << 31, size=256).tolist())
    tensors = {
        name: keras.Input((length, *shape), dtype="int32", name=name)
        for name, shape in _inputs(inputs).items()
    }
    x = _embed(tensors, inputs, character_width, pair_width, seeds)
    x = keras.layers.Dropout(dropout, seed=next(seeds), name="input_dropout")(x)
    encode = {"convolution": _convolve, "recurrent": _recur, "transformer": _attend}[encoder]
    x = encode(x, width, depth, dropout, seeds)
    if states != width:
        x = keras.layers.Dense(states, kernel_initializer=_glorot(seeds), name="scores")(x)
    return TagModel(tensors, head(x))


def assign_vectors(model: TagModel, rows: Mapping[int, np.ndarray]) -> None:
    """Sets the vectors of some characters, scaled to the size that the network began with.

    Args:
        model: What `tag_network` returned.
        rows: Id of a character -> its vector, float (character_width,).

    Raises:
        ValueError: A vector has another width.
    """
    table = _table(model)
    values = keras.ops.convert_to_numpy(table).copy()
    ids = np.array(sorted(rows), dtype=np.int64)
    vectors = np.array([rows[i] for i in ids.tolist()], dtype=np.float64).reshape(len(ids), -1)
    if vectors.shape[1] != values.shape[1]:
        raise ValueError(
            f"The vectors must have {values.shape[1]} numbers, as the characters of the network "
            f"have. Received: {vectors.shape[1]}."
        )
    vectors = vectors - vectors.mean(axis=0)
    values[ids] = vectors * (0.1 / np.sqrt(np.mean(vectors**2)))
    table.assign(values)


def vectors_width(model: TagModel) -> int:
    """Returns the width of the vector of a character."""
    return int(_table(model).shape[-1])


def take_weights(model: TagModel, other: TagModel) -> list[str]:
    """Sets the weights of every layer that `other` has too, with weights of the same shapes.

    Returns:
        Names of the layers with weights that `other` could not give: those that depend on the tags,
        where these differ.
    """
    missing = []
    for layer in model.layers:
        if not layer.weights:
            continue
        try:
            weights = other.get_layer(layer.name).get_weights()
        except ValueError:
            weights = []
        if [w.shape for w in weights] == [tuple(w.shape) for w in layer.weights]:
            layer.set_weights(weights)
        else:
            missing.append(layer.name)
    return missing


def _table(model: TagModel):
    """The vectors of characters."""
    layer = model.get_layer("characters_embedding")
    return layer.character.embeddings if isinstance(layer, MixedEmbedding) else layer.embeddings


def _inputs(inputs: TagInputs) -> dict[str, tuple]:
    shapes: dict[str, tuple] = {"characters": ()}
    shapes |= {"pairs": ()} if inputs.pairs else {}
    shapes |= {"matches": (len(inputs.matches),)} if inputs.matches else {}
    return shapes | ({"words": ()} if inputs.words else {})


def _embed(tensors, inputs, character_width, pair_width, seeds):
    """All that is known about each character, side by side."""

    def small():
        return keras.initializers.RandomUniform(-0.1, 0.1, seed=next(seeds))

    name = "characters_embedding"
    if inputs.words:
        mixed = MixedEmbedding(inputs.characters, inputs.words, character_width, name=name)
        parts = [mixed(tensors["characters"], words=tensors["words"])]
    else:
        parts = [
            keras.layers.Embedding(
                inputs.characters, character_width, small(), mask_zero=True, name=name
            )(tensors["characters"])
        ]
    if inputs.pairs:
        table = keras.layers.Embedding(inputs.pairs, pair_width, small(), name="pairs_embedding")
        parts.append(table(tensors["pairs"]))
    if inputs.matches:
        parts.append(_OneHot(inputs.matches, name="matches_one_hot")(tensors["matches"]))
    return _Beside(name="inputs")(parts) if len(parts) > 1 else parts[0]


@keras.saving.register_keras_serializable(package="taolu")
class _Beside(keras.layers.Layer):
    """Features side by side, with the mask of the first.

    That of `keras.layers.Concatenate` is True wherever any input has none: it would be lost.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return keras.ops.concatenate(inputs, axis=-1)

    def compute_mask(self, inputs, previous_mask=None):
        return None if previous_mask is None else previous_mask[0]

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], sum(shape[-1] for shape in input_shape))


@keras.saving.register_keras_serializable(package="taolu")
class _OneHot(keras.layers.Layer):
    """Columns of small numbers as zeros and ones, side by side."""

    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        self.sizes = tuple(sizes)

    def call(self, inputs):
        parts = [
            keras.ops.one_hot(inputs[..., i], size, dtype=self.compute_dtype)
            for i, size in enumerate(self.sizes)
        ]
        return keras.ops.concatenate(parts, axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], sum(self.sizes))

    def get_config(self):
        return {**super().get_config(), "sizes": self.sizes}


def _glorot(seeds):
    return keras.initializers.GlorotUniform(seed=next(seeds))


def _convolve(x, width, depth, dropout, seeds):
    x = keras.layers.Dense(width, kernel_initializer=_glorot(seeds), name="enter")(x)
    for i in range(depth or len(DILATIONS)):
        dilation = DILATIONS[i % len(DILATIONS)]
        x = GatedConvolution(
            3, dilation=dilation, kernel_initializer=_glorot(seeds), name=f"convolution_{i}"
        )(x)
        x = keras.layers.LayerNormalization(name=f"normalization_{i}")(x)
        x = keras.layers.Dropout(dropout / 2, seed=next(seeds), name=f"dropout_{i}")(x)
    return x


def _recur(x, width, depth, dropout, seeds):
    for i in range(depth or 1):
        one_way = keras.layers.LSTM(
            max(1, width // 2),
            return_sequences=True,
            kernel_initializer=_glorot(seeds),
            recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
            name="one_way",
        )
        x = keras.layers.Bidirectional(one_way, name=f"recurrent_{i}")(x)
        x = keras.layers.Dropout(dropout, seed=next(seeds), name=f"dropout_{i}")(x)
    return x


def _attend(x, width, depth, dropout, seeds):
    x = keras.layers.Dense(width, kernel_initializer=_glorot(seeds), name="enter")(x)

    def rest(name):
        return keras.layers.Dropout(dropout / 2, seed=next(seeds), name=name)

    for i in range(depth or 3):
        heads = max(1, width // HEAD_WIDTH)
        attention = Attention(
            heads, position=Rotary(), kernel_initializer=_glorot(seeds), name=f"attention_{i}"
        )
        inner = FeedForward(
            3 * width, "silu", gated=True, kernel_initializer=_glorot(seeds), name=f"forward_{i}"
        )
        before = keras.layers.LayerNormalization(name=f"attention_normalization_{i}")
        x = x + rest(f"attention_dropout_{i}")(attention(before(x)))
        before = keras.layers.LayerNormalization(name=f"forward_normalization_{i}")
        x = x + rest(f"forward_dropout_{i}")(inner(before(x)))
    return keras.layers.LayerNormalization(name="normalization")(x)
