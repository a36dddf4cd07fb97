"""Every layer of the library passes the gate, and gives the same answer on every backend."""

import importlib
import importlib.util
import os
import pkgutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
import parity
import pytest
from check_layer import Case, Subject, check, check_half_precision
from samples import floats, ids

import taolu.nn
from taolu.nn.layers import pooling
from taolu.nn.layers.attention import Attention
from taolu.nn.layers.attention_bias import ALiBi, Nezha, T5Bias
from taolu.nn.layers.attention_pattern import Atrous, Local, Sparse
from taolu.nn.layers.bidirectional import Bidirectional
from taolu.nn.layers.crf import CRF
from taolu.nn.layers.feed_forward import FeedForward
from taolu.nn.layers.gated_attention_unit import GatedAttentionUnit
from taolu.nn.layers.gated_convolution import GatedConvolution
from taolu.nn.layers.global_pointer import GlobalPointer
from taolu.nn.layers.memm import MEMM
from taolu.nn.layers.memm_second_order import SecondOrderMEMM
from taolu.nn.layers.mixed_embedding import MixedEmbedding
from taolu.nn.layers.normalization import ConditionalLayerNormalization, ScaleOffset
from taolu.nn.layers.position import PositionEmbedding, SinusoidalPosition
from taolu.nn.layers.rotary import Rotary
from taolu.nn.layers.softmax_head import SoftmaxHead
from taolu.nn.layers.tied_projection import TiedProjection
from taolu.nn.losses import LogPartition
from taolu.text.schemes import BMES, legality

pytestmark = pytest.mark.usefixtures("fast_compile")

HERE = Path(__file__).parent
BACKENDS = ("jax", "torch", "tensorflow")
EVERYWHERE = ("right", "left", "holes")
SHIFTED = ("right", "left")  # for layers that see distances but no absolute places
# What is added to all keys adds one number to a row of scores, which a softmax does not see.
UNSEEN = ("key/bias", "key/beta")
X = floats(4)
ROWS = np.random.default_rng(6).normal(size=(3, 2)).astype("float32")


@keras.saving.register_keras_serializable(package="tests")
class Scan(keras.layers.Layer):
    """A causal layer that knows no masks: the mean of all steps so far."""

    def call(self, inputs):
        count = keras.ops.arange(1, keras.ops.shape(inputs)[1] + 1, dtype="float32")[:, None]
        return keras.ops.cumsum(inputs, axis=1) / keras.ops.cast(count, inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="tests")
class Scored(keras.layers.Layer):
    """A head that tags, by what it says of labels, and by another of its methods.

    The labels follow from the inputs, so that they are padded with them; some are not known.
    """

    def __init__(self, head, method, **kwargs):
        super().__init__(**kwargs)
        self.head, self.method = head, method
        self.supports_masking = True

    def build(self, input_shape):
        if not self.head.built:  # as one from a configuration is
            self.head.build(input_shape)

    def call(self, inputs, mask=None):
        labels = keras.ops.argmax(inputs, axis=-1)
        labels = keras.ops.where(inputs[..., 0] > 0.5, -1, keras.ops.cast(labels, "int32"))
        scores = self.head(inputs, mask=mask)
        return self.head.loss(labels, scores, mask), getattr(self.head, self.method)(scores, mask)

    def compute_mask(self, inputs, previous_mask=None):
        return None, None

    def compute_output_shape(self, input_shape):
        whole = input_shape if self.method == "marginals" else input_shape[:2]
        return [input_shape[:1], whole]

    def get_config(self):
        config = {"head": keras.saving.serialize_keras_object(self.head), "method": self.method}
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        head = keras.saving.deserialize_keras_object(config["head"])
        return cls(**{**config, "head": head})


@keras.saving.register_keras_serializable(package="tests")
class Pointed(Scored):
    """A head that scores spans: its loss, and how much it finds to begin at each step."""

    def call(self, inputs, mask=None):
        first, last = inputs[:, :, None, :2], inputs[:, None, :, 2:]
        labels = keras.ops.transpose(first + last > 0.5, (0, 3, 1, 2))
        scores = self.head(inputs, mask=mask)
        found = getattr(self.head, self.method)(scores, mask)
        return self.head.loss(labels, scores, mask), keras.ops.sum(found, axis=(1, 3))


def head(make, method, wrapper=Scored):
    """A case of a head; called by itself, it hands its inputs on."""
    return Case(
        lambda: wrapper(make(), method),
        X,
        layouts=EVERYWHERE,
        follows=("row", "time"),
        passes_mask=False,
        output_dtype="float32",
    )


def tied():
    embedding = keras.layers.Embedding(7, 4)
    embedding.build()
    return TiedProjection(embedding, activation="tanh")


def attention(make, layouts=SHIFTED):
    options = {"padding_zeros": True, "empty_zeros": True, "idle": UNSEEN}
    return Case(make, X, layouts=layouts, **options)


def unit(layouts=SHIFTED, idle=(), **options):
    make = partial(GatedAttentionUnit, 6, 4, **options)
    return Case(make, X, layouts=layouts, padding_zeros=True, empty_zeros=True, idle=idle)


def pool(make):
    options = {"follows": ("row",), "passes_mask": False, "empty_zeros": True}
    return Case(make, X, layouts=EVERYWHERE, **options)


def each_step(make, inputs=X, **options):
    """A case of a layer that computes each step by itself."""
    return Case(make, inputs, layouts=EVERYWHERE, **options)


def both_ways(make, layouts=EVERYWHERE, **options):
    return Case(make, X, layouts=layouts, empty_zeros=True, **options)


CASES = {
    **{
        name: pool(getattr(pooling, name))
        for name in (
            *("MeanPooling", "MaxPooling", "SumPooling", "FirstPooling", "LastPooling"),
            *("LogSumExpPooling", "AttentionPooling"),
        )
    },
    "Bidirectional cell": both_ways(
        lambda: Bidirectional(keras.layers.SimpleRNNCell(3), merge="mul"), padding_zeros=True
    ),
    "Bidirectional RNN, last": both_ways(
        lambda: Bidirectional(keras.layers.SimpleRNN(3)), follows=("row",), passes_mask=False
    ),
    "Bidirectional scan": both_ways(
        lambda: Bidirectional(Scan(), merge=None), padding_zeros=True, follows=("time", "time")
    ),
    "FeedForward": each_step(partial(FeedForward, 6, "squared_relu")),
    "FeedForward, gated": each_step(
        partial(FeedForward, 6, "silu", gated=True, output_width=3, dropout=0.1)
    ),
    "ScaleOffset": each_step(ScaleOffset),
    "ConditionalLayerNormalization": each_step(
        ConditionalLayerNormalization, {"inputs": X, "condition": ROWS}
    ),
    "ConditionalLayerNormalization, RMS": each_step(
        partial(ConditionalLayerNormalization, center=False, hidden_width=3),
        {"inputs": X, "condition": ROWS},
    ),
    "GatedAttentionUnit": unit(layouts=EVERYWHERE),
    "GatedAttentionUnit, softmax": unit(idle=UNSEEN, softmax=True, causal=True, dropout=0.1),
    "GatedConvolution": Case(
        partial(GatedConvolution, 3, dilation=2),
        X,
        layouts=SHIFTED,
        padding_zeros=True,
        empty_zeros=True,
    ),
    "GatedConvolution, causal": Case(
        partial(GatedConvolution, 2, width=3, causal=True),
        X,
        layouts=SHIFTED,
        padding_zeros=True,
        empty_zeros=True,
    ),
    "TiedProjection": each_step(tied),
    "LogPartition": each_step(partial(LogPartition, 0.5), output_dtype="float32"),
    "CRF": head(lambda: CRF(legality("BMES", BMES), learning_rate_multiplier=2.0), "marginals"),
    "CRF, by matrices": head(lambda: CRF(use_ends=False, parallel=True), "marginals"),
    "SoftmaxHead": head(lambda: SoftmaxHead(legality("BMES", BMES)), "marginals"),
    "MEMM": head(lambda: MEMM(learning_rate_multiplier=2.0), "decode"),
    "MEMM, both ways, low rank": head(lambda: MEMM(rank=2, bidirectional=True), "decode"),
    "SecondOrderMEMM": head(lambda: SecondOrderMEMM(learning_rate_multiplier=2.0), "decode"),
    "SecondOrderMEMM, low rank": head(lambda: SecondOrderMEMM(2, "raw"), "decode"),
    "GlobalPointer": head(lambda: GlobalPointer(2, 4), "decode", Pointed),
    "GlobalPointer, low rank": head(
        lambda: GlobalPointer(2, 3, low_rank=True, rotary=False), "decode", Pointed
    ),
    "Attention": attention(lambda: Attention(2), EVERYWHERE),
    "Attention, causal, rotary, grouped": attention(
        lambda: Attention(4, 2, key_value_heads=2, causal=True, position=Rotary())
    ),
    "Attention, T5, atrous": attention(
        lambda: Attention(2, position=T5Bias(2), pattern=Atrous(2), project_output=False)
    ),
    "Attention, Nezha, local": attention(
        lambda: Attention(2, position=Nezha(2, max_distance=2), pattern=Local(1), log_length=4)
    ),
    "Attention, ALiBi, sparse": attention(
        lambda: Attention(2, position=ALiBi(2), pattern=Sparse(1, 2), normalize=True, dropout=0.1)
    ),
    "Attention to a memory": Case(
        partial(Attention, 2),
        {"inputs": floats(4, lengths=(2, 2, 2), seed=7), "memory": X},
        padded=("memory",),
        mask_name="memory_mask",
        layouts=EVERYWHERE,
        follows=("row",),
        empty_zeros=True,
        idle=UNSEEN,
    ),
    "SinusoidalPosition": Case(SinusoidalPosition, X),
    "PositionEmbedding": Case(partial(PositionEmbedding, 8), X),
    "MixedEmbedding": each_step(
        partial(MixedEmbedding, 7, 6, 4, word_width=3),
        {"characters": ids(7), "words": ids(6, seed=1)},
        padded=("characters", "words"),
    ),
}

# Layers that are tested elsewhere, each with its reason.
EXEMPT = {
    "IndependencePenalty": "compares samples of a batch, not steps, and hands on what it is given",
    "CandidateSampler": "draws ids, and has nothing to call",
    "MarkedEmbedding": "an Embedding of Keras, tested with the optimizer that reads its marks",
}


# Other forms of layers that pass in their plain form, and that XLA compiles for long.
LONG = ("CRF, by matrices", "MEMM, both ways, low rank", "SecondOrderMEMM, low rank")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in CASES]
)
def test_a_layer_passes_the_gate(name):
    check(CASES[name], ("mixed_float16",))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow  # half a minute together on JAX
def test_a_layer_knows_bfloat16(name):
    check_half_precision(Subject(CASES[name], "mixed_bfloat16"))


def public_layers():
    """Every public layer class of taolu.nn that is registered under the name of the package."""
    found = {}
    for module in pkgutil.walk_packages(taolu.nn.__path__, "taolu.nn."):
        for name, thing in vars(importlib.import_module(module.name)).items():
            if not (isinstance(thing, type) and issubclass(thing, keras.layers.Layer)):
                continue
            registered = keras.saving.get_registered_name(thing).startswith("taolu>")
            if registered and not name.startswith("_") and not issubclass(thing, keras.Model):
                found[thing.__name__] = thing
    return found


def test_every_public_layer_is_on_the_list():
    covered = set(EXEMPT)
    for case in CASES.values():
        covered |= {type(part).__name__ for part in case.built()._flatten_layers()}
    assert set(public_layers()) - covered == set(), "add these layers to CASES"
    assert set(EXEMPT) <= set(public_layers())


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_agree(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip(f"{backend} is the backend of this run")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed here")
    weights = parity.weights_of(CASES)
    np.savez(tmp_path / "weights.npz", **weights)
    paths = [str(HERE), str(HERE.parent.parent), str(HERE.parent.parent.parent)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    command = [sys.executable, HERE / "parity.py", tmp_path / "weights.npz", tmp_path / "out.npz"]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    wanted = parity.answers(CASES, weights)
    with np.load(tmp_path / "out.npz") as found:
        assert set(found) == set(wanted)
        for key, value in wanted.items():
            scale = max(1.0, np.abs(value).max(initial=0.0))
            np.testing.assert_allclose(found[key], value, rtol=0, atol=1e-5 * scale, err_msg=key)
