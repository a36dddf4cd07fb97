"""How far is our attention from every other implementation at hand? Used by `attention.py`.

Each reference gets our weights or inputs and returns its outputs beside ours; the figure is the
largest absolute difference in float32. Those of torch and transformers need the packages; the tests
run all that are installed and hold them to 1e-5.
"""

from collections.abc import Callable, Iterator

import numpy as np

from taolu.nn.layers.attention import Attention
from taolu.nn.layers.attention_bias import ALiBi, T5Bias, relative_bucket
from taolu.nn.layers.attention_pattern import Atrous, Local, Sparse
from taolu.nn.layers.position import SinusoidalPosition
from taolu.nn.layers.rotary import LinearScaling, NTKScaling, Rotary, YaRNScaling

# After taolu.nn, which chooses the backend.
import keras  # isort: skip
from keras import ops  # isort: skip

BATCH, TIME, WIDTH, HEADS = 2, 12, 16, 4
MASK = np.arange(TIME)[None, :] < np.array([TIME, 7])[:, None]
REFERENCES: dict[str, Callable[[], tuple]] = {}


def reference(name: str) -> Callable:
    """Puts a function that returns (ours, theirs) on the list."""

    def listed(function):
        REFERENCES[name] = function
        return function

    return listed


def differences() -> Iterator[tuple[str, float | None]]:
    """Name and largest absolute difference of each reference; None where it is not installed."""
    for name, function in REFERENCES.items():
        try:
            ours, theirs = function()
        except ImportError:
            yield name, None
            continue
        yield name, float(np.abs(array(ours) - array(theirs)).max())


def array(x) -> np.ndarray:
    x = x.detach() if hasattr(x, "detach") else x
    return np.asarray(ops.convert_to_numpy(x), "float64")


def sample(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(**arguments) -> Attention:
    layer = Attention(HEADS, **arguments)
    layer.build((BATCH, TIME, WIDTH))
    for number, weight in enumerate(layer.weights):  # biases start at zero and would hide faults
        weight.assign(0.3 * sample(*weight.shape, seed=number))
    return layer


def kernel(layer, name):
    """Kernel and bias of a projection, as arrays."""
    dense = getattr(layer, f"{name}_projection")
    return array(dense.kernel), array(dense.bias) if dense.use_bias else None


# The formula


@reference("softmax(QK'/sqrt(d))V in float64 NumPy")
def numpy_formula():
    layer, x = built(key_value_heads=2, causal=True), sample(BATCH, TIME, WIDTH)
    q, k, v = (x @ kernel(layer, n)[0] + kernel(layer, n)[1] for n in ("query", "key", "value"))
    split = [y.reshape(BATCH, TIME, -1, WIDTH // HEADS).transpose(0, 2, 1, 3) for y in (q, k, v)]
    q, k, v = (np.repeat(y, HEADS // y.shape[1], axis=1) for y in split)
    scores = q @ k.swapaxes(2, 3) / np.sqrt(WIDTH // HEADS)
    seen = np.tril(np.ones((TIME, TIME), bool)) & MASK[:, None, None, :]
    weights = np.where(seen, np.exp(scores), 0)
    context = weights / weights.sum(-1, keepdims=True) @ v
    output = context.transpose(0, 2, 1, 3).reshape(BATCH, TIME, WIDTH)
    output = output @ kernel(layer, "output")[0] + kernel(layer, "output")[1]
    return layer(x, mask=MASK), output * MASK[..., None]


@reference("PE(p + k) = R_k PE(p), p to 100,000")
def linear_shift():
    places, k = np.array([0, 1, 10, 100, 1000, 100_000]), 37
    layer, x = SinusoidalPosition(), np.zeros((1, 6, WIDTH), "float32")
    here, there = (array(layer(x, positions=ops.array(p)))[0] for p in (places, places + k))
    angle = k * 10000.0 ** (-2 * np.arange(WIDTH // 2) / WIDTH)
    sin, cos = here[:, 0::2], here[:, 1::2]
    turned = sin * np.cos(angle) + cos * np.sin(angle), cos * np.cos(angle) - sin * np.sin(angle)
    return there, np.stack(turned, axis=-1).reshape(there.shape)


# Keras


def _keras(peer, **arguments):
    layer, x = built(**arguments), sample(BATCH, TIME, WIDTH)
    peer.build(x.shape, x.shape)
    pairs = zip(layer.weights, peer.weights, strict=True)
    peer.set_weights([array(mine).reshape(theirs.shape) for mine, theirs in pairs])
    theirs = peer(x, x, use_causal_mask=True, attention_mask=MASK[:, None])
    return array(layer(x, mask=MASK))[MASK], array(theirs)[MASK]


@reference("keras MultiHeadAttention")
def keras_multi_head():
    return _keras(keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS), causal=True)


@reference("keras GroupQueryAttention")
def keras_grouped():
    peer = keras.layers.GroupQueryAttention(WIDTH // HEADS, HEADS, 2)
    return _keras(peer, causal=True, key_value_heads=2)


# Our own forms against each other


def _sparse_and_dense(pattern):
    layer = built(pattern=pattern, causal=True, position=Rotary())
    x, all_pairs = sample(BATCH, TIME, WIDTH), np.ones((1, TIME, TIME), bool)
    return layer(x, mask=MASK), layer(x, mask=MASK, attention_mask=all_pairs)


for _pattern in (Local(3), Atrous(5), Sparse(2, 5)):
    reference(f"{_pattern}, dense with its mask")(lambda p=_pattern: _sparse_and_dense(p))


@reference("one step at a time with a cache, the whole text")
def cached():
    layer, x = built(causal=True, position=Rotary(), key_value_heads=2), sample(BATCH, TIME, WIDTH)
    cache, outputs = layer.make_cache(BATCH, TIME), []
    for t in range(TIME):
        output, cache = layer(x[:, t : t + 1], cache=cache, cache_index=t)
        outputs.append(array(output))
    return np.concatenate(outputs, axis=1), layer(x)


# torch


@reference("torch MultiheadAttention")
def torch_multi_head():
    import torch

    layer, x = built(causal=True), sample(BATCH, TIME, WIDTH)
    peer = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    parts = [kernel(layer, name) for name in ("query", "key", "value")]
    output = kernel(layer, "output")
    state = {
        "in_proj_weight": np.concatenate([k.T for k, _ in parts]),
        "in_proj_bias": np.concatenate([b for _, b in parts]),
        "out_proj.weight": output[0].T,
        "out_proj.bias": output[1],
    }
    peer.load_state_dict({k: torch.tensor(v, dtype=torch.float32) for k, v in state.items()})
    x_torch, later = torch.tensor(x), torch.ones(TIME, TIME).triu(1).bool()
    theirs, _ = peer(
        x_torch, x_torch, x_torch, key_padding_mask=torch.tensor(~MASK), attn_mask=later
    )
    return array(layer(x, mask=MASK))[MASK], array(theirs)[MASK]


# transformers


def _llama(scaling, **parameters):
    """Llama turns halves; its tables come from the configuration, as for each scaling."""
    import torch
    from transformers.models.llama import modeling_llama as llama

    config = llama.LlamaConfig(
        hidden_size=WIDTH * HEADS,
        num_attention_heads=HEADS,
        max_position_embeddings=64,
        rope_parameters={"rope_theta": 10000.0, **parameters},
    )
    x, y = sample(BATCH, TIME, HEADS, WIDTH), sample(BATCH, TIME, HEADS, WIDTH, seed=1)
    places = torch.arange(TIME)[None]
    cos, sin = llama.LlamaRotaryEmbedding(config)(torch.tensor(x), places)
    theirs = llama.apply_rotary_pos_emb(torch.tensor(x), torch.tensor(y), cos, sin, unsqueeze_dim=2)
    layer = Rotary(scaling=scaling)
    ours = [layer(z) for z in (x, y)]
    return np.stack([array(z) for z in ours]), np.stack([array(z) for z in theirs])


@reference("transformers Llama rotary, halves")
def llama_plain():
    return _llama(None, rope_type="default")


@reference("transformers linear scaling")
def llama_linear():
    return _llama(LinearScaling(4.0), rope_type="linear", factor=4.0)


@reference("transformers dynamic NTK at 4 times the length")
def llama_ntk():
    """At n times the length, dynamic NTK with factor 1 has the base of NTK by n."""
    import torch  # noqa: F401  transformers computes with it, and imports without
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.llama import LlamaConfig

    config = LlamaConfig(
        hidden_size=WIDTH * HEADS,
        num_attention_heads=HEADS,
        max_position_embeddings=64,
        rope_parameters={"rope_theta": 10000.0, "rope_type": "dynamic", "factor": 1.0},
    )
    theirs, _ = ROPE_INIT_FUNCTIONS["dynamic"](config, "cpu", seq_len=256)
    return NTKScaling(4.0).apply(WIDTH, 10000.0)[0], theirs


@reference("transformers YaRN")
def llama_yarn():
    return _llama(
        YaRNScaling(4.0, length=64),
        rope_type="yarn",
        factor=4.0,
        original_max_position_embeddings=64,
    )


@reference("transformers GPT-J rotary, neighbours, part of a head")
def gptj():
    import torch
    from transformers.models.gptj import modeling_gptj as gptj

    x, width = sample(BATCH, TIME, HEADS, WIDTH), WIDTH // 2
    sin, cos = torch.chunk(gptj.create_sinusoidal_positions(TIME, width)[None], 2, dim=-1)
    part = gptj.apply_rotary_pos_emb(torch.tensor(x[..., :width]), sin, cos)
    theirs = np.concatenate([array(part), x[..., width:]], axis=-1)
    return Rotary(width, interleaved=True)(x), theirs


@reference("transformers RoFormer rotary, neighbours")
def roformer():
    import torch
    from transformers.models.roformer import modeling_roformer as roformer

    x = sample(BATCH, HEADS, TIME, WIDTH)
    table = roformer.RoFormerSinusoidalPositionalEmbedding(TIME, WIDTH)
    table.weight.data = table.create_weight()
    apply = roformer.RoFormerSelfAttention.apply_rotary_position_embeddings
    theirs, _ = apply(table((BATCH, TIME))[None, None], torch.tensor(x), torch.tensor(x))
    ours = Rotary(interleaved=True)(x.transpose(0, 2, 1, 3))
    return array(ours).transpose(0, 2, 1, 3), theirs


@reference("transformers T5 buckets, 1,200 distances")
def t5_buckets():
    import torch
    from transformers.models.t5.modeling_t5 import T5Attention

    distance, ours, theirs = np.arange(-300, 300), [], []
    for bidirectional in (True, False):
        arguments = bidirectional, 32, 128
        theirs.append(
            array(T5Attention._relative_position_bucket(torch.tensor(distance), *arguments))
        )
        ours.append(array(relative_bucket(ops.array(distance), 32, 128, bidirectional)))
    return np.stack(ours), np.stack(theirs)


@reference("transformers T5 attention")
def t5_attention():
    import torch
    from transformers.models.t5 import modeling_t5 as t5

    config = t5.T5Config(d_model=WIDTH, d_kv=3, num_heads=HEADS, dropout_rate=0.0)
    config._attn_implementation = "eager"
    peer = t5.T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    layer = built(head_width=3, use_bias=False, scale=1.0, position=T5Bias(HEADS))
    weights = {
        f"{letter}.weight": kernel(layer, name)[0].T
        for letter, name in zip("qkvo", ("query", "key", "value", "output"), strict=True)
    }
    weights["relative_attention_bias.weight"] = array(layer.position.embeddings)
    peer.load_state_dict({k: torch.tensor(v, dtype=torch.float32) for k, v in weights.items()})
    x = sample(BATCH, TIME, WIDTH)
    hidden = torch.tensor(np.where(MASK, 0.0, -1e30)[:, None, None, :], dtype=torch.float32)
    theirs = peer(torch.tensor(x), mask=hidden)[0]
    return array(layer(x, mask=MASK))[MASK], array(theirs)[MASK]


@reference("transformers BLOOM ALiBi, probabilities")
def bloom():
    import torch
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    heads = 6  # no power of two
    ones = torch.ones(1, TIME, dtype=torch.int64)
    theirs = array(build_alibi_tensor(ones, heads, torch.float32)).reshape(1, heads, 1, TIME)
    ours = array(ALiBi(heads)(np.zeros((1, TIME, 1))))
    seen = np.tril(np.ones((TIME, TIME), bool))
    # BLOOM's bias differs by a number for each query, which no softmax sees.
    probabilities = []
    for bias in (ours, np.broadcast_to(theirs, ours.shape)):
        weights = np.where(seen, np.exp(bias), 0)
        probabilities.append(weights / weights.sum(-1, keepdims=True))
    return tuple(probabilities)
