"""Characters that know the word they stand in: two embeddings in one.

    e_t = C[c_t] + W V[w_t]

`c_t` is the character at t and `w_t` the word that covers it, so a word stands at each of its
characters. A character model is free of the mistakes of a segmenter, a word model knows more; the
sum has both, and the word table V can be one that was learned from a large text.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="taolu")
class MixedEmbedding(keras.layers.Layer):
    """The vector of each character, plus the projected vector of its word.

    Ids count from 0 = padding and 1 = unknown: a word that is not in the table is text, and takes
    part in everything.

    Masking: each step is computed by itself, so padding cannot leak. The mask of the characters is
    passed on; where they carry none, this layer is the place where it is made: a step is real
    where the id of its character is not 0.

    Args:
        characters: Number of character ids, padding and unknown included.
        words: Number of word ids, padding and unknown included.
        width: Width of the output.
        word_width: Width of a word vector. Default: `width`.
        train_words: Whether the word table is trained. False keeps vectors that were learned
            elsewhere, `layer.word.embeddings.assign(vectors)`, and trains their projection only.
        mask_zero: Whether to make a mask from the characters when none comes in.

    Call arguments:
        characters: Int (batch, time), ids of characters.
        words: Int (batch, time), id of the word that covers each character.

    Returns:
        Float (batch, time, width).

    Raises:
        ValueError: A number is below 1, or the inputs have another rank.

    Example:
        >>> layer = MixedEmbedding(characters=50, words=20, width=8)
        >>> characters = ops.array([[3, 4, 5, 0]])
        >>> tuple(layer(characters, words=ops.array([[7, 7, 1, 0]])).shape)
        (1, 4, 8)

    References:
        Su Jianlin, 基于DGCNN和概率图的轻量级信息抽取模型, 2019 (archives/6671).
    """

    def __init__(
        self,
        characters: int,
        words: int,
        width: int,
        word_width: int | None = None,
        train_words: bool = True,
        mask_zero: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        numbers = {"characters": characters, "words": words, "width": width}
        for name, value in {**numbers, "word_width": word_width}.items():
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}.")
        self.characters = characters
        self.words = words
        self.width = width
        self.word_width = word_width
        self.train_words = train_words
        self.mask_zero = mask_zero
        self.supports_masking = True
        word_width = width if word_width is None else word_width
        policy = self.dtype_policy
        self.character = keras.layers.Embedding(characters, width, dtype=policy, name="character")
        self.character.supports_masking = True  # ids that carry a mask are welcome
        self.word = keras.layers.Embedding(
            words, word_width, trainable=train_words, dtype=policy, name="word"
        )
        self.word.supports_masking = True
        self.projection = keras.layers.Dense(width, use_bias=False, dtype=policy, name="projection")

    def build(self, characters_shape, words_shape):
        for name, shape in (("characters", characters_shape), ("words", words_shape)):
            if len(shape) != 2:
                raise ValueError(
                    f"`{name}` must have the shape (batch, time). Received: {tuple(shape)}."
                )
        self.character.build(characters_shape)
        self.word.build(words_shape)
        self.projection.build((*words_shape, self.word.output_dim))

    def call(self, characters, words):
        return self.character(characters) + self.projection(self.word(words))

    def compute_mask(self, characters, previous_mask=None):
        if previous_mask is not None or not self.mask_zero:
            return previous_mask
        return ops.not_equal(characters, 0)

    def compute_output_shape(self, characters_shape, words_shape=None):
        return (*characters_shape, self.width)

    def get_config(self):
        names = ("characters", "words", "width", "word_width", "train_words", "mask_zero")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
