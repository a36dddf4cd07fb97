"""Masks: worked examples, loops as the truth, rows without text, and what is refused."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, numpy, prefixes

from taolu.nn.differentiate import grad
from taolu.nn.masking import (
    additive_bias,
    apply_mask,
    as_mask,
    as_pair_mask,
    causal_mask,
    compact,
    lowest,
    masked_softmax,
    prefix_mask,
    reverse_sequence,
    segment_mask,
    segment_positions,
    spread,
)

pytestmark = pytest.mark.usefixtures("fast_compile")

RNG = np.random.default_rng(0)
HOLES = np.array([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
X = RNG.normal(size=(4, 5, 2)).astype("float32")


def run(function, *arguments):
    return numpy(compiled(function)(*arguments))


# What a mask is


def test_a_mask_has_one_shape_whatever_shape_it_came_in():
    for mask in (HOLES, HOLES[..., None], ops.convert_to_tensor(HOLES)):
        np.testing.assert_array_equal(numpy(as_mask(mask)), HOLES)
    assert as_mask(None) is None
    assert as_pair_mask(None) is None
    assert tuple(as_pair_mask(np.ones((2, 3, 4), bool)).shape) == (2, 3, 4)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (HOLES.astype("float32"), r"`mask` must be boolean, .* Received: dtype float32"),
        (HOLES.astype("int32"), r"compare ids with the id of padding .* Received: dtype int32"),
        (HOLES[0], r"`mask` must have the shape \(batch, time\) .* Received: \(5,\)"),
        (np.ones((2, 3, 4), bool), r"or \(batch, time, 1\)\. Received: \(2, 3, 4\)"),
    ],
    ids=["float", "int", "rank 1", "three channels"],
)
def test_what_is_no_mask_is_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        as_mask(mask)
    with pytest.raises(ValueError, match="`memory_mask`"):
        as_mask(mask, "memory_mask")


def test_a_mask_of_pairs_is_boolean_and_has_three_axes():
    with pytest.raises(ValueError, match=r"`attention_mask` must have the shape .*\(4, 5\)"):
        as_pair_mask(HOLES)
    with pytest.raises(ValueError, match="`attention_mask` must be boolean"):
        as_pair_mask(np.zeros((1, 2, 2), "float32"))


def test_a_step_of_zeros_is_text_and_an_unknown_id_is_not_padding():
    """0 is the id of padding, 1 of what is unknown; a value of 0 is a value."""
    ids = np.array([[5, 1, 3, 0, 0]])
    mask = ops.not_equal(ids, 0)
    assert numpy(mask).tolist() == [[True, True, True, False, False]]
    values = np.array([[1.0, 0.0, 3.0, 9.0, 9.0]], "float32")
    assert numpy(apply_mask(values, mask)).tolist() == [[1, 0, 3, 0, 0]]
    model = keras.layers.Embedding(6, 2, mask_zero=True)
    np.testing.assert_array_equal(numpy(model.compute_mask(ids)), numpy(mask))


# Values


@pytest.mark.parametrize("content", [np.nan, np.inf, 1e38])
def test_what_is_hidden_is_forgotten(content):
    x = np.where(HOLES[..., None], X, np.float32(content))
    np.testing.assert_array_equal(run(apply_mask, x, HOLES), np.where(HOLES[..., None], X, 0))
    np.testing.assert_array_equal(
        run(lambda x, m: apply_mask(x, m, -2.0), x, HOLES), np.where(HOLES[..., None], X, -2)
    )
    gradient = run(lambda x: grad(lambda x: ops.sum(apply_mask(x, HOLES) ** 2), x), x)
    np.testing.assert_array_equal(gradient, np.where(HOLES[..., None], 2 * X, 0))


def test_without_a_mask_nothing_changes():
    assert apply_mask(X, None) is X


@pytest.mark.parametrize("axis", [1, -1])
def test_softmax_is_that_of_the_entries_shown(axis):
    mask = HOLES if axis == 1 else HOLES.T
    scores = (3 * X[..., 0] if axis == 1 else 3 * X[..., 0].T).astype("float32")
    weight = RNG.normal(size=scores.shape).astype("float32")

    def both(scores, mask):
        def loss(scores):
            p = masked_softmax(scores, mask, axis=axis if axis == 1 else 0)
            return ops.sum(p * ops.convert_to_tensor(weight)), p

        gradient, p = grad(loss, scores, has_aux=True)
        return ops.stack([p, gradient])

    found, gradient = run(both, scores, mask)
    for row, shown in enumerate(HOLES):
        pick = (row, shown) if axis == 1 else (shown, row)
        hide = (row, ~shown) if axis == 1 else (~shown, row)
        assert not found[hide].any()
        assert not gradient[hide].any()
        if not shown.any():
            continue
        p = np.exp(scores[pick].astype("float64"))
        p /= p.sum()
        np.testing.assert_allclose(found[pick], p, rtol=0, atol=1e-6)
        # dp_i/ds_j = p_i (1[i=j] - p_j): nothing at all where one entry is shown
        truth = p * (weight[pick] - (p * weight[pick]).sum())
        np.testing.assert_allclose(gradient[pick], truth, rtol=0, atol=1e-6)


def test_softmax_without_a_mask_is_that_of_keras():
    found = run(masked_softmax, X)
    np.testing.assert_allclose(found, numpy(ops.softmax(X, axis=-1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
def test_softmax_is_finite_in_every_precision(kind):
    scores = ops.cast(np.where(HOLES, 6e4, -6e4), kind)
    p = masked_softmax(scores, HOLES)
    assert keras.backend.standardize_dtype(p.dtype) == kind
    room = {"float16": 1e-3, "bfloat16": 1e-2, "float32": 1e-6}[kind]
    np.testing.assert_allclose(numpy(p).sum(axis=1), HOLES.any(axis=1), rtol=0, atol=room)


def test_softmax_is_computed_in_float32():
    """A thousand equal entries: in float16 the sum of their weights would be rounded."""
    scores = ops.cast(np.zeros((1, 3000)), "float16")
    p = numpy(masked_softmax(scores, np.ones((1, 3000), bool)))
    assert p.astype("float64").sum() == pytest.approx(1, abs=5e-4)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
def test_a_bias_hides_and_stays_finite_when_a_score_is_added(kind):
    bias = additive_bias(ops.convert_to_tensor(HOLES), kind)
    assert keras.backend.standardize_dtype(bias.dtype) == kind
    total = numpy(bias + ops.cast(lowest(kind) / 2, kind))
    assert np.isfinite(total).all()
    assert not numpy(bias)[HOLES].any()
    weights = numpy(ops.softmax(ops.cast(bias, "float32"), axis=-1))
    assert np.isfinite(weights).all()  # a row without text included
    assert not weights[:2][~HOLES[:2]].any()


def test_the_lowest_scores_are_those_of_the_dtype():
    assert lowest("float16") == -65504 / 2
    assert lowest("float32") == float(np.finfo("float32").min) / 2
    assert np.isfinite(np.float16(lowest("float16")))
    assert float(np.finfo("float16").min) > -1e10  # the constant of older code is infinite there


# Who may look at whom


def test_causal_and_prefix_masks_are_those_of_a_loop():
    time = 4
    assert numpy(causal_mask(time)).tolist() == [[j <= i for j in range(4)] for i in range(4)]
    prefix = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], bool)
    wanted = [
        [[bool(prefix[b, j]) or j <= i for j in range(time)] for i in range(time)] for b in range(2)
    ]
    assert numpy(prefix_mask(prefix)).tolist() == wanted
    assert numpy(prefix_mask(prefix[..., None])).tolist() == wanted
    with pytest.raises(ValueError, match="`prefix` must be boolean"):
        prefix_mask(prefix.astype("int32"))


def test_documents_of_a_packed_batch_do_not_see_each_other():
    segments = np.array([[1, 1, 2, 2, 2, 0, 0], [3, 1, 1, 1, 2, 2, 0]], "int32")
    found = run(segment_mask, segments)
    for row, query, key in np.ndindex(found.shape):
        a, b = segments[row, query], segments[row, key]
        assert found[row, query, key] == (a == b and a > 0)
    places = run(segment_positions, segments)
    assert places.tolist() == [[0, 1, 0, 1, 2, 0, 1], [0, 0, 1, 2, 0, 1, 0]]
    assert numpy(segment_positions(segments[:, :1])).tolist() == [[0], [0]]
    keys = np.array([[2, 2], [1, 9]], "int32")
    assert tuple(segment_mask(segments, keys).shape) == (2, 7, 2)
    assert numpy(segment_mask(segments, keys))[0, 2].tolist() == [True, True]


@pytest.mark.parametrize("wrong", [np.ones((2, 3), "float32"), np.ones((3,), "int32")])
def test_segments_are_whole_numbers_of_two_axes(wrong):
    for function in (segment_mask, segment_positions):
        with pytest.raises(ValueError, match=r"`segments` must be whole numbers .* Received:"):
            function(wrong)


def test_a_packed_row_gives_what_each_document_gives_alone():
    """Softmax attention over one row that holds two documents and padding."""
    segments = np.array([[1, 1, 2, 2, 2, 0]], "int32")
    x = RNG.normal(size=(1, 6, 3)).astype("float32")

    def attend(x, mask):
        return ops.matmul(masked_softmax(ops.matmul(x, ops.swapaxes(x, 1, 2)), mask), x)

    packed = run(lambda x: attend(x, segment_mask(segments)), x)
    for number in (1, 2):
        alone = run(lambda x: attend(x, None), x[:, segments[0] == number])
        np.testing.assert_allclose(packed[:, segments[0] == number], alone, rtol=0, atol=1e-6)
    assert not packed[segments == 0].any()


# Order


def loop_reverse(x, mask):
    out = x.copy()
    for row, real in enumerate(mask):
        out[row, real] = x[row, real][::-1]
    return out


@pytest.mark.parametrize("mask", [HOLES, prefixes((5, 0, 2, 1)), ~prefixes((0, 3, 1, 5))])
@pytest.mark.parametrize("axes", [2, 3])
def test_only_the_real_steps_are_reversed(mask, axes):
    x = X[..., 0] if axes == 2 else X
    found = run(reverse_sequence, x, mask)
    np.testing.assert_array_equal(found, loop_reverse(x, mask))
    np.testing.assert_array_equal(run(reverse_sequence, found, mask[..., None]), x)


def test_reversing_follows_the_formula():
    """x_b[t] = x[len - 1 - t] for t < len, x[t] otherwise; letters a b c and two of padding."""
    x = np.array([[1, 2, 3, 0, 0]], "int32")
    assert numpy(reverse_sequence(x, prefixes([3], 5))).tolist() == [[3, 2, 1, 0, 0]]
    assert numpy(reverse_sequence(x)).tolist() == [[0, 0, 3, 2, 1]]


def test_real_steps_move_to_the_front_and_back():
    packed = run(compact, X, HOLES)
    for row, real in enumerate(HOLES):
        np.testing.assert_array_equal(packed[row, : real.sum()], X[row, real])
    np.testing.assert_array_equal(
        run(spread, packed, HOLES), np.where(HOLES[..., None], X, np.float32(0))
    )


def test_gradients_go_where_the_values_went():
    weight = RNG.normal(size=X.shape).astype("float32")
    tensor = ops.convert_to_tensor(weight)
    gradient = run(lambda x: grad(lambda x: ops.sum(reverse_sequence(x, HOLES) * tensor), x), X)
    np.testing.assert_array_equal(gradient, loop_reverse(weight, HOLES))
