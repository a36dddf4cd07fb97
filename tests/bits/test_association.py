"""Mutual information of a table: by hand, beside scikit-learn, dense and sparse alike."""

import numpy as np
import pytest
from scipy import sparse, stats

from taolu.bits import (
    entropy,
    miller_madow_mutual_information,
    mutual_information,
    normalized_mutual_information,
    normalized_pointwise_mutual_information,
    pointwise_mutual_information,
)

TABLES = [
    np.random.default_rng(seed).poisson(0.7, size=shape) + np.eye(*shape, dtype=int)
    for seed, shape in enumerate([(4, 4), (3, 8), (9, 2), (1, 5)])
]


def labels_of(table):
    """Two lists of labels with these joint counts."""
    rows, columns = np.nonzero(table)
    times = table[rows, columns]
    return np.repeat(rows, times), np.repeat(columns, times)


def test_pointwise_by_hand():
    # n = 4, rows 2 2, columns 3 1: PMI of the first pair is log2(4 * 2 / (2 * 3)).
    expected = [[np.log2(4 / 3), -np.inf], [np.log2(2 / 3), 1.0]]
    np.testing.assert_allclose(pointwise_mutual_information([[2, 0], [1, 1]]), expected, atol=1e-15)


@pytest.mark.parametrize("table", TABLES)
def test_pointwise_beside_the_definition(table):
    n, x, y = table.sum(), table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log2(table * n / (x * y))
        expected = np.where(table > 0, expected, -np.inf)
    np.testing.assert_allclose(pointwise_mutual_information(table), expected, atol=1e-12)
    # The average of the pointwise is the whole.
    seen = table > 0
    mean = (table[seen] / n * expected[seen]).sum()
    assert mutual_information(table) == pytest.approx(mean, abs=1e-12)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.coo_array, sparse.csc_matrix])
def test_sparse_stays_sparse_and_agrees_with_dense(table, form):
    for measure in (pointwise_mutual_information, normalized_pointwise_mutual_information):
        result, dense = measure(form(table)), measure(table)
        assert result.format == "csr"
        assert result.nnz == np.count_nonzero(table)  # chance itself, 0, is stored
        rows, columns = np.nonzero(table)
        np.testing.assert_allclose(result.data, dense[rows, columns], atol=1e-12)
    for whole in (mutual_information, normalized_mutual_information):
        assert whole(form(table)) == pytest.approx(whole(table), abs=1e-12)


def test_sparse_input_is_left_alone_and_its_duplicates_add_up():
    pairs = ([1.0, 1.0, 2.0, 0.0], ([0, 0, 1, 1], [0, 0, 1, 0]))
    table = sparse.coo_array(pairs, shape=(2, 2))
    result = pointwise_mutual_information(table)
    np.testing.assert_array_equal(result.toarray(), [[1, 0], [0, 1]])
    assert result.nnz == 2
    assert table.nnz == 4


def test_a_million_words_stay_sparse():
    size = 1_000_000
    words = np.arange(size)
    table = sparse.coo_array((np.ones(size), (words, words)), shape=(size, size))
    result = pointwise_mutual_information(table)
    np.testing.assert_allclose(result.data, np.log2(size), rtol=1e-12)


def test_mutual_information_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    for table in TABLES:
        nats = metrics.mutual_info_score(None, None, contingency=table)
        assert mutual_information(table) == pytest.approx(nats / np.log(2), abs=1e-12)
        share = metrics.normalized_mutual_info_score(*labels_of(table))
        assert normalized_mutual_information(table) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize("table", TABLES)
def test_mutual_information_is_what_the_entropies_leave(table):
    x, y = table.sum(axis=1), table.sum(axis=0)
    left = sum(stats.entropy(part, base=2) for part in (x, y)) - entropy(table.ravel())
    assert mutual_information(table) == pytest.approx(left, abs=1e-12)
    assert mutual_information(table.T) == pytest.approx(mutual_information(table), abs=1e-12)


def test_bounds_are_reached():
    assert mutual_information(np.diag([1, 1, 1, 1])) == 2.0
    assert mutual_information(np.outer([1, 2, 3], [4, 5])) == pytest.approx(0, abs=1e-12)
    assert normalized_mutual_information([[7]]) == 1.0
    assert normalized_mutual_information(np.diag([1, 2, 3])) == pytest.approx(1, abs=1e-12)


def test_normalized_pointwise_runs_from_never_to_always():
    table = np.array([[3, 0, 0], [0, 2, 2], [0, 2, 2]])
    share = normalized_pointwise_mutual_information(table)
    assert share[0, 0] == pytest.approx(1, abs=1e-12)
    assert share[0, 1] == -1
    assert (np.abs(share) <= 1 + 1e-12).all()
    independent = normalized_pointwise_mutual_information(np.outer([1, 2], [3, 4]))
    np.testing.assert_allclose(independent, 0, atol=1e-12)
    assert normalized_pointwise_mutual_information([[5]])[0, 0] == 1


def test_miller_madow_by_hand_and_on_average():
    # Kxy = 2, Kx = Ky = 2, n = 10.
    expected = 1 + 1 / 20 / np.log(2)
    assert miller_madow_mutual_information([[5, 0], [0, 5]]) == pytest.approx(expected, abs=1e-12)
    rng = np.random.default_rng(3)
    draws = rng.multinomial(200, np.full(16, 1 / 16), size=1000).reshape(-1, 4, 4)
    plug_in = np.mean([mutual_information(table) for table in draws])
    corrected = np.mean([miller_madow_mutual_information(table) for table in draws])
    assert plug_in == pytest.approx(9 / 400 / np.log(2), rel=0.1)  # truth is 0
    assert abs(corrected) < 0.1 * plug_in


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([1, 2], r"shape \(rows, columns\).*\(2,\)"),
        ([[1, -2]], "finite and at least 0.*with -2.0"),
        ([[1, np.nan]], "finite and at least 0.*with nan"),
        (sparse.csr_array([[1, -2.0]]), "finite and at least 0.*with -2.0"),
        ([[0, 0]], "something above 0.*zeros only"),
        (sparse.csr_array((3, 3)), "something above 0.*zeros only"),
    ],
)
def test_errors_name_the_argument_and_what_came(table, message):
    for measure in (
        pointwise_mutual_information,
        normalized_pointwise_mutual_information,
        mutual_information,
        miller_madow_mutual_information,
        normalized_mutual_information,
    ):
        with pytest.raises(ValueError, match=f"(?s)`joint_counts` must .*{message}") as error:
            measure(table)
        assert "Received: " in str(error.value)


def test_the_correction_wants_whole_numbers():
    with pytest.raises(ValueError, match=r"whole numbers.*with 0\.5"):
        miller_madow_mutual_information([[0.5, 0.5]])
