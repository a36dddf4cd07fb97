"""A global pointer scores spans by their ends, and learns them against all cells that are none."""

import keras
import numpy as np
import pytest
from keras import ops
from samples import compiled, floats, lay_out, move, noise, numpy, prefixes

from taolu.nn.differentiate import grad
from taolu.nn.layers.global_pointer import GlobalPointer

pytestmark = pytest.mark.usefixtures("fast_compile")

LENGTHS = (5, 1, 4, 0)
MASK = prefixes(LENGTHS)
X = floats(6, lengths=LENGTHS)
KINDS = [(low_rank, rotary) for low_rank in (False, True) for rotary in (False, True)]


def layer(labels=3, head_width=4, **options):
    head = GlobalPointer(labels, head_width, **options)
    head.build((None, None, X.shape[-1]))
    rng = np.random.default_rng(0)
    for weight in head.weights:
        weight.assign(rng.normal(size=weight.shape))
    return head


def run(function, *arrays):
    """The result as NumPy; one program on JAX."""
    return numpy(compiled(function)(*[ops.convert_to_tensor(x) for x in arrays]))


def cells(mask):
    """Where spans may be, bool (batch, 1, time, time)."""
    ordered = np.triu(np.ones((mask.shape[1], mask.shape[1]), bool))
    return (mask[:, :, None] & mask[:, None, :] & ordered)[:, None]


def sample(labels=2, seed=0):
    """Scores and labels, both (batch, labels, time, time)."""
    rng = np.random.default_rng(seed)
    shape = (len(LENGTHS), labels, 5, 5)
    return (3 * rng.normal(size=shape)).astype("float32"), rng.integers(2, size=shape)


def turned(x, distance):
    """Pairs (i, i + d/2) of a vector as complex numbers, turned by their angles."""
    half = len(x) // 2
    speed = 10000.0 ** (-np.arange(half) / half)
    z = (x[:half] + 1j * x[half:]) * np.exp(1j * distance * speed)
    return np.concatenate([z.real, z.imag])


def truth(head, rows):
    """Scores of single rows without padding, by loops over labels and pairs of steps."""
    weights, d = [numpy(w).astype("float64") for w in head.weights], head.head_width
    projected = rows.astype("float64") @ weights[0] + weights[1]
    heads = 1 if head.low_rank else head.labels
    time = len(rows)
    queries, keys = np.split(projected.reshape(time, 2 * heads, d), 2, axis=1)
    scores = np.zeros((head.labels, time, time))
    for a in range(head.labels):
        at = 0 if head.low_rank else a
        for i in range(time):
            for j in range(i, time):
                key = turned(keys[j, at], j - i) if head.rotary else keys[j, at]
                scores[a, i, j] = queries[i, at] @ key / np.sqrt(d)
                if head.low_rank:
                    ends = np.concatenate([queries[i, 0], keys[i, 0], queries[j, 0], keys[j, 0]])
                    w = np.concatenate([weights[2][:, a], weights[2][:, head.labels + a]])
                    scores[a, i, j] += w @ ends
    return scores


@pytest.mark.parametrize(("low_rank", "rotary"), KINDS)
def test_scores_are_those_of_loops_over_pairs(low_rank, rotary):
    head = layer(low_rank=low_rank, rotary=rotary)
    moved = move(MASK, "holes", 3)
    laid = lay_out({"x": X}, ("x",), MASK, moved, noise)["x"]
    laid[~moved] = np.nan
    call = compiled(lambda x, mask: head(x, mask=mask))
    for x, mask in ((X, MASK), (laid, moved)):
        found = numpy(call(ops.convert_to_tensor(x), ops.convert_to_tensor(mask)))
        assert not found[~np.broadcast_to(cells(mask), found.shape)].any()
        for row, real, scores in zip(x, mask, found, strict=True):
            inner = scores[:, real][:, :, real]
            np.testing.assert_allclose(inner, truth(head, row[real]), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("low_rank", [False, True])
def test_only_distances_count(low_rank):
    """The same steps further to the right, with other real steps before them."""
    head = layer(low_rank=low_rank)
    longer = np.concatenate([floats(6, lengths=(7,), seed=1), X[:1]], axis=1)
    near, far = run(head, X[:1]), run(head, longer)
    np.testing.assert_allclose(far[:, :, 7:, 7:], near, rtol=1e-4, atol=1e-4)


def test_a_label_costs_few_weights_at_low_rank():
    width, d = X.shape[-1], 4
    dense, low = layer(9), layer(9, low_rank=True)
    assert dense.count_params() == 9 * 2 * d * (width + 1)
    assert low.count_params() == 2 * d * (width + 1) + 9 * 4 * d < dense.count_params()


def test_loss_of_a_worked_example():
    """Two steps: one span at (0, 1), which scores 2, and two others, at 0 and at log 3."""
    scores = np.array([[[[0, 2], [99, np.log(3)]]]], "float32")
    labels = np.array([[[[0, 1], [1, 0]]]])
    head = GlobalPointer(1)
    wanted = np.log1p(np.exp(-2)) + np.log(1 + 1 + 3)
    assert run(head.loss, labels, scores)[0] == pytest.approx(wanted, rel=1e-6)
    assert run(head.loss, labels > 0, scores)[0] == pytest.approx(wanted, rel=1e-6)
    labels[0, 0, 1, 1] = -1  # not known
    wanted = np.log1p(np.exp(-2)) + np.log(1 + 1)
    assert run(head.loss, labels, scores)[0] == pytest.approx(wanted, rel=1e-6)
    # With the last step gone there is no span, and one cell.
    mask = np.array([[True, False]])
    assert run(head.loss, labels, scores, mask)[0] == pytest.approx(np.log(2), rel=1e-6)


def test_the_loss_and_its_gradient_are_sums_over_the_cells():
    scores, labels = sample()
    scores[0] *= 100  # e^300 is no float32
    real = np.broadcast_to(cells(MASK), scores.shape)
    head = GlobalPointer(2)
    wanted, by_scores = np.zeros(len(LENGTHS)), np.zeros(scores.shape)
    s = scores.astype("float64")
    for kind, sign in ((1, -1), (0, 1)):
        at = real & (labels == kind)
        weights = np.where(at, np.exp(sign * s), 0)
        sums = 1 + weights.sum(axis=(2, 3), keepdims=True)
        assert np.isfinite(sums).all()
        wanted += np.log(sums).sum(axis=(1, 2, 3))
        by_scores += sign * weights / sums

    def call(scores, labels, mask):
        losses = head.loss(labels, scores, mask)
        return losses, grad(lambda x: ops.sum(head.loss(labels, x, mask)), scores)

    scores[~real] = np.nan
    given = [ops.convert_to_tensor(x) for x in (scores, labels, MASK)]
    loss, gradient = map(numpy, compiled(call)(*given))
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(gradient, by_scores, rtol=1e-4, atol=1e-6)
    assert loss[3] == 0
    assert not gradient[3].any()


@pytest.mark.parametrize("where", ["left", "holes"])
def test_padding_may_stand_anywhere(where):
    head = layer(2, low_rank=True)
    moved = move(MASK, where, 3)
    laid = lay_out({"x": X}, ("x",), MASK, moved, noise)["x"]
    _, labels = sample()
    placed = np.ones((len(LENGTHS), 2, moved.shape[1], moved.shape[1]), labels.dtype)
    for row, (old, new) in enumerate(zip(MASK, moved, strict=True)):
        placed[np.ix_([row], [0, 1], new, new)] = labels[np.ix_([row], [0, 1], old, old)]

    def call(labels, x, mask):
        scores = head(x, mask=mask)
        return head.loss(labels, scores, mask), head.decode(scores, mask)

    program, answers = compiled(call), []
    for y, x, mask in ((labels, X, MASK), (placed, laid, moved)):
        given = [ops.convert_to_tensor(value) for value in (y, x, mask[..., None])]
        loss, found = map(numpy, program(*given))
        inner = [row[:, m][:, :, m].ravel() for row, m in zip(found, mask, strict=True)]
        answers.append((loss, np.concatenate(inner)))
    assert answers[0][1].any()
    for one, other in zip(*answers, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_found_is_what_scores_above_zero_and_agreement_compares_spans():
    scores, labels = sample()
    labels[0, 0, 0, 0] = -1
    head = GlobalPointer(2)
    real = np.broadcast_to(cells(MASK), scores.shape)
    found = real & (scores > 0)
    np.testing.assert_array_equal(run(head.decode, scores, MASK), np.where(found, scores, 0))
    known = real & (labels >= 0)
    given = [ops.convert_to_tensor(x) for x in (labels, scores, MASK)]
    both, either = map(numpy, compiled(head.agreement)(*given))
    np.testing.assert_array_equal(both, known & found & (labels == 1))
    np.testing.assert_array_equal(either, known & (found | (labels == 1)))


def test_half_precision_scores_in_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = layer(low_rank=True)
    finally:
        keras.config.set_dtype_policy(before)
    wanted = run(layer(low_rank=True), X[:1])
    found = half(ops.convert_to_tensor(X[:1]))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    # Queries and keys are rounded to float16, their products are not.
    np.testing.assert_allclose(numpy(found), wanted, atol=5e-3 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": 0}, "`labels` must be at least 1. Received: labels=0"),
        ({"labels": 1, "head_width": 3}, "even with rotary=True. Received: head_width=3"),
        ({"labels": 1, "head_width": 0, "rotary": False}, "at least 1, .* Received: head_width=0"),
    ],
)
def test_bad_arguments_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        GlobalPointer(**options)


def test_bad_calls_are_named():
    scores, labels = sample()
    head = GlobalPointer(2)
    with pytest.raises(ValueError, match=r"`labels` must be bool or whole.* Received: float32"):
        head.loss(labels.astype("float32"), scores)
    with pytest.raises(ValueError, match=r"Received: int\d+, shape \(4, 2, 4, 5\)"):
        head.loss(labels[:, :, :4], scores)
    with pytest.raises(ValueError, match=r"`scores` must have the shape \(batch, 3, time, time\)"):
        GlobalPointer(3).decode(scores)
    with pytest.raises(ValueError, match=r"`inputs` must have the shape .* Received: .*4, 6"):
        head.build((4, 6))
