"""Layers: attention and what stands around it, heads that tag sequences, with masks done right."""

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
from taolu.nn.layers.pooling import (
    AttentionPooling,
    FirstPooling,
    LastPooling,
    LogSumExpPooling,
    MaxPooling,
    MeanPooling,
    SumPooling,
)
from taolu.nn.layers.position import PositionEmbedding, SinusoidalPosition
from taolu.nn.layers.rotary import LinearScaling, NTKScaling, Rotary, YaRNScaling
from taolu.nn.layers.softmax_head import SoftmaxHead
from taolu.nn.layers.tied_projection import TiedProjection

__all__ = [
    "CRF",
    "MEMM",
    "ALiBi",
    "Atrous",
    "Attention",
    "AttentionPooling",
    "Bidirectional",
    "ConditionalLayerNormalization",
    "FeedForward",
    "FirstPooling",
    "GatedAttentionUnit",
    "GatedConvolution",
    "GlobalPointer",
    "LastPooling",
    "LinearScaling",
    "Local",
    "LogSumExpPooling",
    "MaxPooling",
    "MeanPooling",
    "MixedEmbedding",
    "NTKScaling",
    "Nezha",
    "PositionEmbedding",
    "Rotary",
    "ScaleOffset",
    "SecondOrderMEMM",
    "SinusoidalPosition",
    "SoftmaxHead",
    "Sparse",
    "SumPooling",
    "T5Bias",
    "TiedProjection",
    "YaRNScaling",
]
