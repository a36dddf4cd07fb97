"""Best paths, sums over paths and draws, beside the list of all paths."""

import itertools

import numpy as np
import pytest

from taolu.chain.forward import forward, log_partition, posterior_decode
from taolu.chain.ragged import FORBIDDEN, penalties
from taolu.chain.sample import sample
from taolu.chain.viterbi import k_best, viterbi

SHAPES = [(t, k) for t in (1, 2, 3, 6) for k in (1, 2, 3, 4)]


def every_path(scores, transitions, start, end):
    """All paths and their scores, in the order in which equals are taken: by the last states."""
    time, states = scores.shape
    paths = [p[::-1] for p in itertools.product(range(states), repeat=time)]
    found = []
    for path in paths:
        score = start[path[0]] + end[path[-1]]
        score += sum(scores[t, y] for t, y in enumerate(path))
        score += sum(transitions[a, b] for a, b in itertools.pairwise(path))
        found.append(score)
    return np.array(paths), np.array(found)


def truth(scores, transitions, start, end):
    """Log partition, marginals, expected transitions and entropy, from the list of all paths."""
    paths, values = every_path(scores, transitions, start, end)
    log_z = np.logaddexp.reduce(values)
    p = np.exp(values - log_z)
    marginals, pairs = np.zeros(scores.shape), np.zeros(transitions.shape)
    for path, share in zip(paths, p, strict=True):
        for t, y in enumerate(path):
            marginals[t, y] += share
        for a, b in itertools.pairwise(path):
            pairs[a, b] += share
    logs = np.log(p, where=p > 0, out=np.zeros_like(p))
    return log_z, marginals, pairs, -np.sum(p * logs)


def drawn(time, states, seed=0, scale=2.0, forbid=0.0):
    rng = np.random.default_rng([seed, time, states])
    arrays = [rng.normal(0, scale, shape) for shape in [(time, states), (states, states)]]
    arrays += [rng.normal(0, scale, states) for _ in range(2)]
    if forbid:
        for array in arrays[:2]:
            array[rng.random(array.shape) < forbid] = -np.inf
    return arrays


def agree(found, expected, rtol=1e-12, figure=lambda name, value: None):
    log_z, marginals, pairs, entropy = expected
    names = ("log_partition", "marginals", "transitions", "entropy")
    for name, value in zip(names, expected, strict=True):
        figure(f"chain, {name}, beside all paths", np.abs(getattr(found, name) - value).max())
    np.testing.assert_allclose(found.log_partition, log_z, rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(found.marginals, marginals, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.transitions, pairs, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.entropy, entropy, rtol=1e-9, atol=1e-10)


# beside the list of all paths


@pytest.mark.parametrize(("time", "states"), SHAPES)
def test_best_paths_are_those_of_the_list(time, states, figure):
    scores, transitions, start, end = drawn(time, states)
    paths, values = every_path(scores, transitions, start, end)
    best = viterbi(scores, transitions, start=start, end=end)
    np.testing.assert_array_equal(best.path, paths[values.argmax()])
    assert best.score == pytest.approx(values.max(), rel=1e-12)
    order = np.argsort(-values, kind="stable")
    for k in (1, 3, len(paths), len(paths) + 5):
        ranked = k_best(scores, transitions, k, start=start, end=end)
        np.testing.assert_array_equal(ranked.paths, paths[order[:k]])
        np.testing.assert_allclose(ranked.scores, values[order[:k]], rtol=1e-12)
        figure("chain, k best, beside all paths", np.abs(ranked.scores - values[order[:k]]).max())


@pytest.mark.parametrize(("time", "states"), SHAPES)
def test_sums_are_those_of_the_list(time, states, figure):
    arguments = drawn(time, states)
    scores, transitions, start, end = arguments
    found = forward(scores, transitions, start=start, end=end)
    agree(found, truth(*arguments), figure=figure)
    assert log_partition(scores, transitions, start=start, end=end) == found.log_partition


@pytest.mark.parametrize("seed", range(12))
def test_what_is_impossible_stays_so(seed):
    arguments = drawn(5, 3, seed, forbid=0.25)
    scores, transitions, start, end = arguments
    paths, values = every_path(*arguments)
    found = forward(scores, transitions, start=start, end=end)
    best = viterbi(scores, transitions, start=start, end=end)
    ranked = k_best(scores, transitions, len(paths), start=start, end=end)
    assert len(ranked.scores) == np.isfinite(values).sum()
    if np.isfinite(values.max()):
        agree(found, truth(*arguments))
        np.testing.assert_array_equal(best.path, paths[values.argmax()])
    else:
        assert found.log_partition == best.score == -np.inf
        assert not found.marginals.any()
        assert not found.transitions.any()
        assert found.entropy == 0


@pytest.mark.parametrize("scale", [50.0, 400.0, 1e4])
@pytest.mark.parametrize("seed", range(4))
def test_sums_hold_at_any_scale(scale, seed):
    # exp(-1e4) is zero in any float: products of probabilities would lose what matters here
    arguments = drawn(6, 3, seed, scale)
    scores, transitions, start, end = arguments
    agree(forward(scores, transitions, start=start, end=end), truth(*arguments), rtol=1e-11)


def test_a_path_that_was_hopeless_can_win_late():
    # state 1 is e**-700 behind at the first two steps, and e**2100 ahead at the end
    scores = np.array([[0.0, -700.0], [0.0, -700.0], [-2100.0, 0.0]])
    stay = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    found = forward(scores, stay)
    assert found.log_partition == -1400.0
    # the same, behind at the start
    late = forward(np.array([[0.0, 0.0], [-2100.0, 0.0]]), stay, start=[0.0, -1400.0])
    assert late.log_partition == -1400.0
    np.testing.assert_allclose(late.marginals, [[0, 1]] * 2, atol=1e-300)
    np.testing.assert_allclose(found.marginals, [[0, 1]] * 3, atol=1e-300)


def test_without_any_start_end_or_transition_nothing_is_possible():
    never = np.full(2, -np.inf)
    zeros = np.zeros((3, 2)), np.zeros((2, 2))
    for options in ({"start": never}, {"end": never}):
        assert forward(*zeros, **options).log_partition == -np.inf
    assert forward(zeros[0], np.full((2, 2), -np.inf)).log_partition == -np.inf
    assert forward(zeros[0][:1], np.full((2, 2), -np.inf)).log_partition == pytest.approx(np.log(2))


# worked examples


def test_the_umbrella_of_three_days():
    # SPEC R07: pi = (.6, .4), A = [[.7, .3], [.4, .6]], B = [[.5, .4, .1], [.1, .3, .6]], (0, 1, 2)
    emission = np.log([[0.5, 0.1], [0.4, 0.3], [0.1, 0.6]])
    transition, start = np.log([[0.7, 0.3], [0.4, 0.6]]), np.log([0.6, 0.4])
    assert np.exp(log_partition(emission, transition, start=start)) == pytest.approx(0.03628)
    assert viterbi(emission, transition, start=start).path.tolist() == [0, 0, 1]


def test_equal_paths_are_taken_in_order():
    zeros = np.zeros((4, 3)), np.zeros((3, 3))
    assert viterbi(*zeros).path.tolist() == [0, 0, 0, 0]
    assert k_best(*zeros, k=4).paths.tolist() == [[0] * 4, [1, 0, 0, 0], [2, 0, 0, 0], [0, 1, 0, 0]]


# many sequences


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_many_sequences_are_what_each_is_alone(threads):
    lengths = np.array([0, 3, 1, 0, 6, 2, 2, 5, 0])
    scores, transitions, start, end = drawn(int(lengths.sum()), 3, forbid=0.1)
    options = {"start": start, "end": end}
    best = viterbi(scores, transitions, lengths=lengths, threads=threads, **options)
    found = forward(scores, transitions, lengths=lengths, threads=threads, **options)
    sums = log_partition(scores, transitions, lengths=lengths, threads=threads, **options)
    np.testing.assert_array_equal(sums, found.log_partition)
    pairs, begin = np.zeros_like(transitions), 0
    for s, stop in enumerate(np.cumsum(lengths)):
        rows = scores[begin:stop]
        alone, one = viterbi(rows, transitions, **options), forward(rows, transitions, **options)
        assert alone.score == best.score[s]
        np.testing.assert_array_equal(alone.path, best.path[begin:stop])
        assert (one.log_partition, one.entropy) == (found.log_partition[s], found.entropy[s])
        np.testing.assert_array_equal(one.marginals, found.marginals[begin:stop])
        pairs += one.transitions
        begin = stop
    np.testing.assert_allclose(pairs, found.transitions, rtol=1e-13)


def test_no_sequences_at_all():
    assert viterbi(np.zeros((0, 2)), np.zeros((2, 2)), lengths=[]).score.shape == (0,)
    assert viterbi(np.zeros((0, 2)), np.zeros((2, 2))).score == 0.0
    assert forward(np.zeros((0, 2)), np.zeros((2, 2))).log_partition == 0.0
    assert k_best(np.zeros((0, 2)), np.zeros((2, 2)), 3).paths.shape == (1, 0)
    assert sample(np.zeros((0, 2)), np.zeros((2, 2)), np.random.default_rng(0), 3).shape == (3, 0)


# rules, posterior decoding, draws


@pytest.mark.parametrize("seed", range(20))
def test_forbidden_pairs_are_never_taken(seed):
    rng = np.random.default_rng(seed)
    allowed = rng.random((4, 4)) < 0.5
    np.fill_diagonal(allowed, True)  # so a legal path exists
    scores, transitions = rng.normal(0, 30, (9, 4)), rng.normal(0, 30, (4, 4))
    ruled = transitions + penalties(allowed)
    strict = np.where(allowed, transitions, -np.inf)
    best = viterbi(scores, ruled)
    assert allowed[best.path[:-1], best.path[1:]].all()
    np.testing.assert_array_equal(best.path, viterbi(scores, strict).path)
    found, exact = forward(scores, ruled), forward(scores, strict)
    np.testing.assert_allclose(found.marginals, exact.marginals, atol=1e-13)
    assert not found.transitions[~allowed].any()
    path = posterior_decode(found.marginals, allowed)
    assert allowed[path[:-1], path[1:]].all()


def test_without_a_legal_path_fewest_rules_are_broken():
    # A to B and B to A only; the last two steps insist on A
    allowed = np.array([[False, True], [True, False]])
    must = penalties([[True, True], [True, False], [True, False]])
    best = viterbi(must + np.array([0.0, 5.0]), penalties(allowed))
    assert best.path.tolist() == [1, 0, 1]
    assert round(best.score / FORBIDDEN) == 1
    found = forward(must + np.array([0.0, 5.0]), penalties(allowed))
    assert found.log_partition == pytest.approx(FORBIDDEN)
    np.testing.assert_allclose(found.marginals.sum(axis=1), 1.0, rtol=1e-3)


def test_posterior_decoding_expects_most_right_steps():
    scores, transitions, start, end = drawn(5, 3, seed=3)
    paths, values = every_path(scores, transitions, start, end)
    p = np.exp(values - np.logaddexp.reduce(values))
    right = [sum(p[(paths[:, t] == y)].sum() for t, y in enumerate(path)) for path in paths]
    marginals = forward(scores, transitions, start=start, end=end).marginals
    np.testing.assert_array_equal(posterior_decode(marginals), paths[np.argmax(right)])


@pytest.mark.parametrize("forbid", [0.0, 0.25])
def test_draws_are_as_frequent_as_they_are_probable(forbid):
    scores, transitions, start, end = drawn(4, 3, seed=5, scale=1.0, forbid=forbid)
    paths, values = every_path(scores, transitions, start, end)
    p = np.exp(values - np.logaddexp.reduce(values))
    n = 40_000
    options = {"start": start, "end": end}
    found = sample(scores, transitions, np.random.default_rng(0), n, **options)
    code = 3 ** np.arange(4)
    counts = np.bincount(found @ code, minlength=81)[paths @ code]
    assert not counts[p == 0].any()
    expected = n * p[p > 0]
    surprise = np.sum((counts[p > 0] - expected) ** 2 / expected)
    assert surprise < expected.size + 5 * np.sqrt(2 * expected.size)  # chi squared, five sigma
    again = sample(scores, transitions, np.random.default_rng(0), n, **options)
    np.testing.assert_array_equal(found, again)


# what is refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scores": np.zeros(3)}, r"`scores` must have the shape \(time, states\).*shape \(3,\)"),
        ({"transitions": np.zeros((2, 3))}, r"`transitions` must have the shape \(2, 2\)"),
        ({"start": np.zeros(3)}, r"`start` must have the shape \(2,\)"),
        ({"end": [0.0, np.nan]}, "`end` must be below infinity and not NaN. Received: nan"),
        ({"scores": [[np.inf, 0.0]]}, "`scores` must be below infinity and not NaN"),
        ({"lengths": [1, 1]}, "add up to the 3 steps there are. Received: sum 2"),
        ({"lengths": [4, -1]}, "must not be negative.*least -1"),
        ({"lengths": [1.0, 2.0]}, "one whole number for each sequence. Received: float64"),
        ({"threads": 0}, "`threads` must be at least 1. Received: threads=0"),
    ],
)
@pytest.mark.parametrize("function", [viterbi, forward, log_partition])
def test_what_does_not_fit_is_named(function, arguments, said):
    with pytest.raises(ValueError, match=said):
        function(**({"scores": np.zeros((3, 2)), "transitions": np.zeros((2, 2))} | arguments))


def test_other_arguments_that_do_not_fit_are_named():
    zeros = np.zeros((3, 2)), np.zeros((2, 2))
    with pytest.raises(ValueError, match="Received: k=0"):
        k_best(*zeros, 0)
    with pytest.raises(ValueError, match="`size` must not be negative"):
        sample(*zeros, np.random.default_rng(0), -1)
    with pytest.raises(ValueError, match="at least one path possible"):
        sample(zeros[0], np.full((2, 2), -np.inf), np.random.default_rng(0))
