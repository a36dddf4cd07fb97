"""The k best paths of the heads are those of `taolu.chain`, and those of a list of all paths."""

import itertools

import numpy as np
import pytest
from keras import ops
from samples import compiled, lay_out, move, noise, numpy, prefixes

from taolu import chain
from taolu.nn.layers.crf import CRF
from taolu.nn.layers.memm import MEMM
from taolu.nn.layers.softmax_head import SoftmaxHead
from taolu.text.schemes import BMES, Legality, legality

pytestmark = pytest.mark.usefixtures("fast_compile")

LENGTHS = (5, 1, 4, 0)
MASK = prefixes(LENGTHS)
RULES = legality("BMES", BMES)
TABLES = ("transitions", "start", "end")


def sample(states=3, seed=0):
    """Scores (batch, time, states), and tables by name."""
    rng = np.random.default_rng(seed)
    scores = 2 * rng.normal(size=(*MASK.shape, states)).astype("float32")
    return scores, {n: rng.normal(size=(states,) * (1 + (n == TABLES[0]))) for n in TABLES}


def crf_of(tables, **options):
    crf = CRF(**options)
    crf.build((None, None, len(tables["transitions"])))
    crf.assign(**tables)
    return crf


def listed(head, scores, k, mask=MASK):
    """Paths and scores as NumPy; one program on JAX."""
    program = compiled(lambda x, m: head.k_best(x, k, m))
    return map(numpy, program(ops.convert_to_tensor(scores), ops.convert_to_tensor(mask)))


def assert_lists(found, truths):
    """The paths and scores of each row are those of a `KBest`, and nothing after them."""
    paths, scores = found
    assert paths.dtype == np.int32
    for row, real, value, truth in zip(paths, MASK, scores, truths, strict=True):
        n = len(truth.scores)
        np.testing.assert_allclose(value[:n], truth.scores, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(row[:n, real], truth.paths)
        assert (row[:, ~real] == -1).all()
        assert (row[n:] == -1).all()
        assert (value[n:] == -np.inf).all()


@pytest.mark.parametrize(("states", "rules"), [(3, None), (4, RULES), (1, None)])
def test_crf_lists_what_the_numpy_half_lists(states, rules):
    scores, tables = sample(states, states)
    ruled = dict(tables)
    if rules is not None:
        forbid = {n: chain.penalties(getattr(rules, n), -np.inf) for n in TABLES}
        ruled = {n: tables[n] + forbid[n] for n in TABLES}
    crf = crf_of(tables, legal=rules, learning_rate_multiplier=5.0)
    rows = [row[real].astype("float64") for row, real in zip(scores, MASK, strict=True)]
    ends = {name: ruled[name] for name in ("start", "end")}
    truths = [chain.k_best(row, ruled["transitions"], 7, **ends) for row in rows]
    found = tuple(listed(crf, scores, 7))
    assert_lists(found, truths)
    # Legal paths are scored as ever.
    best = np.maximum(found[0][:, 0], 0)
    wanted = numpy(crf.score(best, scores, MASK))
    np.testing.assert_allclose(found[1][:, 0], wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[0][:, 0], numpy(crf.decode(scores, MASK)))


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("decoding", ["local", "raw"])
def test_memm_lists_paths_as_it_decodes(bidirectional, decoding):
    scores, tables = sample(3, 5)
    g = tables["transitions"]
    memm = MEMM(bidirectional=bidirectional, decoding=decoding)
    memm.build((None, None, 3))
    memm.weights[0].assign(g)
    paths, found = listed(memm, scores, 4)
    np.testing.assert_array_equal(paths[:, 0], numpy(memm.decode(scores, MASK)))

    def log_softmax(x):
        return x - np.log(np.exp(x).sum())

    for row, (x, time) in enumerate(zip(scores.astype("float64"), LENGTHS, strict=True)):
        totals = {}
        for y in itertools.product(range(3), repeat=time):
            if decoding == "raw":
                links = sum(g[a, b] for a, b in itertools.pairwise(y))
                totals[y] = sum(x[t, y[t]] for t in range(time)) + links
                continue
            terms = [log_softmax(x[t] + (g[y[t - 1]] if t else 0))[y[t]] for t in range(time)]
            if bidirectional:
                after = [g[:, y[t + 1]] if t + 1 < time else 0 for t in range(time)]
                terms += [log_softmax(x[t] + after[t])[y[t]] for t in range(time)]
            totals[y] = sum(terms)
        best = sorted(totals, key=totals.get, reverse=True)[:4]
        n = len(best)
        wanted = [totals[y] for y in best]
        np.testing.assert_allclose(found[row, :n], wanted, rtol=1e-5, atol=1e-5)
        assert [tuple(path[:time]) for path in paths[row, :n]] == best
        assert (found[row, n:] == -np.inf).all()


def test_a_softmax_lists_probabilities():
    scores, _ = sample(4)
    log_p = scores - np.log(np.exp(scores.astype("float64")).sum(axis=-1, keepdims=True))
    for rules in (None, RULES):
        links, start, end = np.zeros((4, 4)), np.zeros(4), np.zeros(4)
        if rules is not None:
            links, start, end = (chain.penalties(getattr(rules, n), -np.inf) for n in TABLES)
        rows = [row[real] for row, real in zip(log_p, MASK, strict=True)]
        truths = [chain.k_best(row, links, 5, start=start, end=end) for row in rows]
        assert_lists(listed(SoftmaxHead(rules), scores, 5), truths)


def test_every_path_is_listed_once():
    scores, tables = sample()
    crf = crf_of(tables)
    paths, found = listed(crf, scores, 3**5 + 2)
    assert len({tuple(path) for path in paths[0, : 3**5]}) == 3**5
    assert (np.diff(found[0, : 3**5]) <= 0).all()
    total = np.log(np.exp(found.astype("float64")).sum(axis=1))
    np.testing.assert_allclose(total, numpy(crf.log_partition(scores, MASK)), atol=1e-5)


def test_of_equals_those_with_lower_last_states_come_first():
    scores, links = np.zeros((1, 3, 2), "float32"), np.zeros((2, 2))
    paths, found = listed(crf_of({"transitions": links}), scores, 8, np.ones((1, 3), bool))
    assert paths[0].tolist() == chain.k_best(scores[0], links, 8).paths.tolist()
    assert not found.any()


@pytest.mark.parametrize("where", ["left", "holes"])
def test_padding_may_stand_anywhere(where):
    scores, tables = sample()
    moved = move(MASK, where, 3)
    laid = lay_out({"scores": scores}, ("scores",), MASK, moved, noise)["scores"]
    laid[~moved] = np.nan
    crf = crf_of(tables)
    one, other = listed(crf, scores, 3), listed(crf, laid, 3, moved[..., None])
    (paths, wanted), (others, found) = one, other
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    for a, b, old, new in zip(paths, others, MASK, moved, strict=True):
        np.testing.assert_array_equal(b[:, new], a[:, old])
        assert (b[:, ~new] == -1).all()


def test_where_nothing_is_legal_nothing_is_listed():
    never = Legality(np.zeros((2, 2), bool), np.ones(2, bool), np.ones(2, bool))
    crf = crf_of({"transitions": np.zeros((2, 2))}, legal=never)
    scores, mask = np.zeros((2, 3, 2), "float32"), prefixes((3, 1))
    paths, found = listed(crf, scores, 3, mask)
    assert (paths[0] == -1).all()
    assert found.tolist() == [[-np.inf] * 3, [0, 0, -np.inf]]
    assert paths[1, :, 0].tolist() == [0, 1, -1]


def test_fewer_than_one_path_is_refused():
    scores, tables = sample()
    with pytest.raises(ValueError, match=r"`k` must be at least 1\. Received: k=0"):
        crf_of(tables).k_best(scores, 0)
