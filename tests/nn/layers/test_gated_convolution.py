"""Gated convolution: its formula tap by tap, and padding that one layer would hand to the next."""

import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy, prefixes

from taolu.nn.layers.gated_convolution import GatedConvolution
from taolu.nn.masking import apply_mask

pytestmark = pytest.mark.usefixtures("fast_compile")

X = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
MASK = prefixes((6, 3))


def shaken(layer):
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return [numpy(weight).astype("float64") for weight in layer.trainable_weights]


def by_hand(x, kernel, bias, projection, size, dilation, causal):
    """y = x (1 - g) + c g at each step, the taps outside the text being zeros."""
    time, width = len(x), kernel.shape[-1] // 2
    back = (size - 1) * dilation if causal else (size - 1) * dilation // 2
    out = np.zeros((time, width))
    for t in range(time):
        both = bias.copy()
        for tap in range(size):
            at = t - back + tap * dilation
            if 0 <= at < time:
                both += x[at] @ kernel[tap]
        candidate, gate = both[:width], 1 / (1 + np.exp(-both[width:]))
        old = x[t] if projection is None else x[t] @ projection
        out[t] = old * (1 - gate) + candidate * gate
    return out


@pytest.mark.parametrize(
    ("size", "width", "dilation", "causal"),
    [
        (3, None, 1, False),
        (3, 2, 2, False),
        (2, None, 1, False),
        (2, 2, 1, True),
        (3, None, 2, True),
    ],
)
def test_each_text_gives_what_the_formula_gives(size, width, dilation, causal):
    layer = GatedConvolution(size, width, dilation, causal)
    kernel, bias, *rest = shaken(layer)
    found = numpy(compiled(lambda x, mask: layer(x, mask=mask))(X, MASK))
    for row, real in enumerate(MASK):
        text = X[row, real].astype("float64")
        wanted = by_hand(text, kernel, bias, rest[0] if rest else None, size, dilation, causal)
        np.testing.assert_allclose(found[row, real], wanted, rtol=0, atol=1e-5)
        assert not found[row, ~real].any()


def test_a_stack_masks_before_each_convolution():
    """The first convolution fills padding next to the text; the second must not read it."""
    layers = [GatedConvolution(3), GatedConvolution(3), GatedConvolution(3)]
    for layer in layers:
        shaken(layer)

    def stack(x, mask):
        for layer in layers:
            x = layer(x, mask=mask)
        return x

    def masked_once(x, mask):
        x = apply_mask(ops.convert_to_tensor(x), mask)
        for layer in layers:
            x = layer(x)
        return x

    padded = numpy(compiled(stack)(X, MASK))[1, :3]
    alone = numpy(compiled(stack)(X[1:, :3], MASK[1:, :3]))[0]
    np.testing.assert_allclose(padded, alone, rtol=0, atol=1e-5)
    assert np.abs(numpy(compiled(masked_once)(X, MASK))[1, :3] - alone).max() > 0.01


def test_a_gate_that_is_shut_passes_the_input():
    layer = GatedConvolution(3)
    layer.build(X.shape)
    kernel, bias = layer.trainable_weights
    kernel.assign(np.zeros(kernel.shape))
    for gate, wanted in ((-100.0, X), (100.0, np.full_like(X, 2.0))):
        bias.assign(np.repeat([2.0, gate], 3))
        np.testing.assert_allclose(numpy(layer(X)), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["kernel_size", "width", "dilation"])
def test_sizes_are_at_least_one(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be at least 1\. Received: {name}=0"):
        GatedConvolution(**{name: 0})
