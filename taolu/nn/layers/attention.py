"""Attention: every step asks all steps, and mixes their answers by how well they fit.

    Attention(Q, K, V) = softmax(Q K^T / sqrt(d)) V

The layer projects, splits into heads, and joins the masks; the sum itself is in `attention_core`,
distances in `attention_bias` and `rotary`, sparse patterns in `attention_pattern`, the memory of
step-by-step writing in `kv_cache`.
"""

import keras
from keras import ops

from taolu.nn.layers import kv_cache
from taolu.nn.layers.attention_bias import RelativePosition
from taolu.nn.layers.attention_check import check_call, check_form, check_positions, check_rank
from taolu.nn.layers.attention_core import Scoring, attend, log_factor
from taolu.nn.layers.attention_mask import both, over_heads, pair_bias, pair_mask, step_mask
from taolu.nn.layers.attention_pattern import _Pattern
from taolu.nn.masking import apply_mask


@keras.saving.register_keras_serializable(package="taolu")
class Attention(keras.layers.Layer):
    """Multi-head attention, to the inputs themselves or to a memory.

    Each head has its own queries, keys and values, `o = softmax(scale Q K^T + b) V`; the heads are
    laid side by side and projected once more. Cost: time of queries times time of keys, unless a
    `pattern` restricts which distances are computed.

    Sublayers are Dense layers called `query`, `key`, `value`, `output`, so that a checkpoint maps
    as `.../attention/query/kernel`.

    Masking: `mask` and `memory_mask` hide padded keys; padded queries, and queries that see no key,
    give zeros and pass no gradient. The mask of the inputs is passed on unchanged. Padding changes
    no real step.

    Args:
        heads: Number of query heads.
        head_width: Width of a query and a key. Default: input width / heads.
        value_width: Width of a value. Default: `head_width`.
        key_value_heads: Heads of keys and values, each shared by `heads / key_value_heads` query
            heads: grouped-query attention; 1 is multi-query. Default: `heads`.
        output_width: Width of the output projection. Default: input width.
        project_output: Whether the heads pass through the output projection (the paper); without
            it the output has width `heads * value_width`.
        use_bias: Whether projections have a bias.
        causal: Whether a step is kept from seeing those after it.
        position: None, `Rotary`, `T5Bias`, `Nezha` or `ALiBi`.
        pattern: None, `Local`, `Atrous` or `Sparse`: the distances that are computed. With
            `attention_mask`, `bias` or a cache the same distances are masked instead.
        scale: Factor on the scores. Default: 1 / sqrt(head_width). T5 has 1.0.
        log_length: Length n0 of training texts, in steps: queries are scaled by log(n) / log(n0),
            n the real steps (those so far, if causal), which keeps the entropy of attention about
            constant when texts grow. Default: no such scaling.
        normalize: Whether queries and keys are normalised (RMS, with learned gains) before scoring.
        dropout: Rate at which probabilities are dropped in training.
        flash_attention: Whether to use flash attention; None lets Keras decide.
        kernel_initializer: Of the four kernels, each drawn independently.
        seed: Seed of the dropout.

    Call arguments:
        inputs: Float (batch, query time, width).
        memory: Float (batch, key time, width of memory), or None for self-attention.
        mask: Bool (batch, query time[, 1]), True where an input is real.
        inputs_mask: The same, under the name that Keras gives it when there is a memory.
        memory_mask: Bool (batch, key time[, 1]), True where a key is real: a step of the memory or
            a slot of the cache.
        attention_mask: Bool (batch, query time, key time) or (batch, 1 or heads, query time, key
            time), True where a query may see a key; see `prefix_mask` and `segment_mask`.
        bias: Float, broadcastable to (batch, heads, query time, key time), added to the scores.
        positions: Int (query time,) or (batch, query time): places for `Rotary`. Default: 0, 1, 2,
            ..., counted on from `cache_index`. Schemes that depend on distance alone ignore it.
        cache: Keys and values of the past, see `make_cache`. This call writes its own at
            `cache_index`; without an index the cache is only read (see `project_memory`).
        cache_index: Slot of the first input: an int, a scalar, or int (batch,) where rows have
            different lengths. Slots that are not written yet are hidden. Only an int is checked
            to leave room; a tensor must.
        training: Whether probabilities are dropped.

    Returns:
        Float (batch, query time, output width); given a cache, that and the cache after the call.

    Raises:
        ValueError: Widths, heads, ranks, masks or arguments do not fit together.

    Example:
        >>> layer = Attention(heads=2, causal=True)
        >>> tuple(layer(ops.ones((1, 5, 8))).shape)
        (1, 5, 8)
        >>> [tuple(array.shape) for array in layer.make_cache(batch=1, length=9)]
        [(1, 9, 2, 4), (1, 9, 2, 4)]

    References:
        Vaswani et al., Attention Is All You Need, 2017.
        Ainslie et al., GQA: Training Generalized Multi-Query Transformer Models, 2023.
        Su Jianlin, 《Attention is All You Need》浅读, 2018; 从熵不变性看Attention的Scale操作, 2021.
    """

    def __init__(
        self,
        heads: int,
        head_width: int | None = None,
        *,
        value_width: int | None = None,
        key_value_heads: int | None = None,
        output_width: int | None = None,
        project_output: bool = True,
        use_bias: bool = True,
        causal: bool = False,
        position: RelativePosition | None = None,
        pattern: _Pattern | None = None,
        scale: float | None = None,
        log_length: int | None = None,
        normalize: bool = False,
        dropout: float = 0.0,
        flash_attention: bool | None = None,
        kernel_initializer="glorot_uniform",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.heads = heads
        self.head_width = head_width
        self.value_width = value_width
        self.key_value_heads = key_value_heads
        self.output_width = output_width
        self.project_output = project_output
        self.use_bias = use_bias
        self.causal = causal
        self.position = position
        self.pattern = pattern
        self.scale = scale
        self.log_length = log_length
        self.normalize = normalize
        self.dropout = dropout
        self.flash_attention = flash_attention
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.seed = seed
        self.supports_masking = True
        check_form(self)
        if dropout > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def _shared(self):
        return self.heads if self.key_value_heads is None else self.key_value_heads

    def build(self, inputs_shape, memory_shape=None):
        check_rank("inputs", inputs_shape)
        source = inputs_shape if memory_shape is None else memory_shape
        check_rank("memory", source)
        width = inputs_shape[-1]
        if self.head_width is None and width % self.heads:
            raise ValueError(
                "`heads` must divide the width of the inputs unless `head_width` is given. "
                f"Received: heads={self.heads}, width={width}."
            )
        self._head = self.head_width or width // self.heads
        self._value = self.value_width or self._head
        if self.position is not None:
            self.position.check(self.heads, self._head, self._value)
            if not self.position.built:
                self.position.build()
        self.query_projection = self._dense("query", inputs_shape, self.heads * self._head)
        self.key_projection = self._dense("key", source, self._shared * self._head)
        self.value_projection = self._dense("value", source, self._shared * self._value)
        if self.project_output:
            mixed = (*inputs_shape[:-1], self.heads * self._value)
            self.output_projection = self._dense("output", mixed, self.output_width or width)
        if self.normalize:
            self.query_norm = self._norm("query_norm")
            self.key_norm = self._norm("key_norm")

    def _dense(self, name, input_shape, width):
        config = self.kernel_initializer.get_config()
        if isinstance(config.get("seed"), int):  # one seed must not make four equal kernels
            config["seed"] += ("query", "key", "value", "output").index(name)
        dense = keras.layers.Dense(
            width,
            use_bias=self.use_bias,
            kernel_initializer=type(self.kernel_initializer).from_config(config),
            dtype=self.dtype_policy,
            name=name,
        )
        dense.build(input_shape)
        return dense

    def _norm(self, name):
        norm = keras.layers.RMSNormalization(epsilon=1e-6, dtype=self.dtype_policy, name=name)
        norm.build((None, None, None, self._head))
        return norm

    def call(
        self,
        inputs,
        memory=None,
        mask=None,
        inputs_mask=None,
        memory_mask=None,
        attention_mask=None,
        bias=None,
        positions=None,
        cache=None,
        cache_index=None,
        training=None,
    ):
        check_call(self, inputs, memory, memory_mask, cache, cache_index)
        batch, time = inputs.shape[:2]
        mask = step_mask("mask", inputs_mask if mask is None else mask, batch, time)
        inputs = apply_mask(inputs, mask)  # what stands in padding is forgotten, be it infinite
        if memory_mask is not None:
            length = (memory if cache is None else cache[0]).shape[1]
            memory_mask = step_mask("memory_mask", memory_mask, batch, length)
        if memory is not None:
            memory = apply_mask(memory, memory_mask)
        place = kv_cache.slots(0 if cache_index is None else cache_index, ops.shape(inputs)[1])
        positions = place if positions is None else check_positions(positions, time)
        query, key, value = self._project(inputs, memory, positions, cache, cache_index)

        own = memory is None and cache is None  # the keys are the inputs of this call
        if own:
            memory_mask = mask
        elif cache_index is not None:
            memory_mask = both(memory_mask, kv_cache.written(key, place, mask, cache_index))
        if self.log_length is not None:
            factor = log_factor(self.log_length, memory_mask, place, key, self.causal)
            query = query * ops.cast(factor, query.dtype)
        sizes = (batch, self.heads, time, key.shape[1])
        pairs, bias = pair_mask(attention_mask, sizes), pair_bias(bias, sizes)
        scoring = self._scoring(training)
        if self.pattern is not None and own and pairs is None and bias is None:
            context = self.pattern.attend(query, key, value, scoring, mask, self.causal)
            seen = mask
        else:
            distance = ops.arange(ops.shape(key)[1], dtype="int32") - place[..., None]
            shown = self._shown(distance, memory_mask, pairs, cache_index is not None)
            causal = self.causal and shown is None
            context = attend(query, key, value, scoring, distance, shown, bias, causal)
            blind = memory_mask is not None or pairs is not None  # some query may be
            seen = both(mask, ops.any(shown, axis=(1, 3)) if blind else None)
        output = self._merge(context, seen)
        return output if cache is None else (output, (key, value))

    def _scoring(self, training):
        scale = self._head**-0.5 if self.scale is None else self.scale
        drop = self._drop if self.dropout and training else None
        return Scoring(scale, self.position, drop, self.flash_attention)

    def _project(self, inputs, memory, positions, cache, cache_index):
        """Queries, keys and values by head, turned to their positions and joined with the past."""
        query = self._split(self.query_projection(inputs), self.heads)
        if self.normalize:
            query = self.query_norm(query)
        if cache is not None and cache_index is None:
            return query, *cache
        key, value = self.project_memory(inputs if memory is None else memory)
        if self.position is not None:
            query, key = self.position.rotate(query, key, positions)
        if cache is not None:
            key = kv_cache.write(cache[0], key, cache_index)
            value = kv_cache.write(cache[1], value, cache_index)
        return query, key, value

    def project_memory(self, memory):
        """Keys and values of a memory: compute them once, attend to them at every step.

        Args:
            memory: Float (batch, key time, width of memory).

        Returns:
            Keys (batch, key time, key-value heads, head width) and values (batch, key time,
            key-value heads, value width), a `cache` for calls without `cache_index`.
        """
        key = self._split(self.key_projection(memory), self._shared)
        value = self._split(self.value_projection(memory), self._shared)
        return self.key_norm(key) if self.normalize else key, value

    def cache_shapes(self, batch, length):
        """Shapes of the keys and the values of a cache."""
        if not self.built:
            raise ValueError("The layer must be built before its cache. Received: built=False.")
        return [(batch, length, self._shared, width) for width in (self._head, self._value)]

    def make_cache(self, batch: int, length: int):
        """An empty cache for `length` steps: zeros, keys and values, in the compute dtype."""
        return tuple(ops.zeros(s, self.compute_dtype) for s in self.cache_shapes(batch, length))

    def _split(self, x, heads):
        return ops.reshape(x, (-1, ops.shape(x)[1], heads, x.shape[-1] // heads))

    def _drop(self, probabilities):
        return keras.random.dropout(probabilities, self.dropout, seed=self.seed_generator)

    def _shown(self, distance, memory_mask, pairs, cached):
        """All masks joined, (1 or batch, 1 or heads, query, key); None where `causal` says all."""
        shown = pairs
        if memory_mask is not None:
            shown = both(shown, memory_mask[:, None, None, :])
        if self.pattern is not None:
            shown = both(shown, over_heads(self.pattern.allows(distance)))
        if self.causal and (cached or shown is not None):
            shown = both(shown, over_heads(distance <= 0))
        return shown

    def _merge(self, context, seen):
        """Heads side by side, projected; zeros where `seen`, bool (1 or batch, time), is False."""
        output = ops.reshape(context, (-1, ops.shape(context)[1], self.heads * self._value))
        if self.project_output:
            output = self.output_projection(output)
        if seen is not None:
            output = ops.where(seen[..., None], output, ops.zeros_like(output))
        return output

    def compute_output_shape(self, inputs_shape, memory_shape=None, cache_shape=None):
        head = self.head_width or inputs_shape[-1] // self.heads
        width = self.heads * (self.value_width or head)
        if self.project_output:
            width = self.output_width or inputs_shape[-1]
        output = (*inputs_shape[:-1], width)
        return output if cache_shape is None else (output, tuple(cache_shape))

    def get_config(self):
        names = (
            *("heads", "head_width", "value_width", "key_value_heads", "output_width"),
            *("project_output", "use_bias", "causal", "scale", "log_length", "normalize"),
            *("dropout", "flash_attention", "seed"),
        )
        config = {name: getattr(self, name) for name in names}
        # While a model is saved, Keras marks an object as shared when it meets it again; a table
        # that many layers share must come back as one, so it is met twice at once.
        keras.saving.serialize_keras_object(self.position)
        config["position"] = keras.saving.serialize_keras_object(self.position)
        config["pattern"] = keras.saving.serialize_keras_object(self.pattern)
        config["kernel_initializer"] = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("position", "pattern"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return super().from_config(config)
