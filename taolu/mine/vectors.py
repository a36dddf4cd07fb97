"""Word vectors from mutual information: words in the same company point the same way.

The company of a word is what stands right before and right after it. A cell of the table of words
against company holds

    sqrt(n_ab) * max(0, log2(n_ab * N / (n_a * n_b))),

how much more often than by chance the two meet, trusted by how often they were seen to. Its best
approximation of low rank gives every word a short vector.
"""

import numpy as np
from scipy import sparse

WIDTH = 32
SPARE = 10  # directions carried along beyond those asked for
ROUNDS = 4  # of the power iteration that sharpens them


def context_vectors(counts, words: int, *, width: int = WIDTH, rng=0) -> np.ndarray:
    """Returns a vector for each word, from what stands before and after it.

    Takes time and memory linear in the nonzero counts, times `width`.

    Args:
        counts: How often the row's word stands before the column's, a `scipy.sparse` array
            (size, size); see `transitions`.
        words: Rows that get a vector, the first ones; the others are company only.
        width: Numbers in a vector; a small table gives shorter ones.
        rng: Seed, or NumPy generator, of the directions the search starts from.

    Returns:
        float32 (words, width), the strongest direction first.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> after = np.array([[0, 0, 9, 1], [0, 0, 9, 1], [1, 1, 0, 9], [9, 9, 0, 0]])
        >>> one, other, third = context_vectors(sparse.csr_array(after), 3, width=2)
        >>> bool(np.allclose(one, other, atol=1e-5)), bool(np.allclose(one, third))
        (True, False)

    References:
        Levy, Goldberg, Neural word embedding as implicit matrix factorization, 2014. Stratos,
        Collins, Hsu, Model-based word embeddings from decompositions of count matrices, 2015.
        Halko, Martinsson, Tropp, Finding structure with randomness, 2011.
    """
    if not 1 <= words <= counts.shape[0]:
        raise ValueError(
            f"`words` must lie in 1 to {counts.shape[0]}, the rows. Received: words={words}."
        )
    if width < 1:
        raise ValueError(f"`width` must be at least 1. Received: width={width}.")
    after = sparse.csr_array(counts)
    after.eliminate_zeros()
    before = after.T.tocsr()
    table = sparse.hstack([_surprise(after)[:words], _surprise(before)[:words]]).tocsr()
    return strongest(table, width, np.random.default_rng(rng))


def mutual_information(counts) -> np.ndarray:
    """Returns log2(n_ab * N / (n_a * n_b)) of each stored count, float64 (stored,).

    Args:
        counts: A `scipy.sparse` array without stored zeros; the result is in the order of its
            coordinates.
    """
    cells = counts.tocoo()
    rows, columns = (np.asarray(counts.sum(axis)).ravel() for axis in (1, 0))
    first, second = cells.coords
    # Logs, not a product of three counts: that could pass what an int64 holds.
    logs = np.log2(cells.data) + np.log2(float(cells.data.sum()))
    return logs - np.log2(rows[first]) - np.log2(columns[second])


def _surprise(counts) -> sparse.csr_array:
    cells = counts.tocoo()
    known = mutual_information(cells)
    value = np.sqrt(cells.data) * np.maximum(known, 0.0)
    some = value > 0
    coords = cells.coords[0][some], cells.coords[1][some]
    return sparse.csr_array((value[some].astype(np.float32), coords), shape=counts.shape)


def strongest(table, width: int, rng: np.random.Generator, *, power: float = 1.0) -> np.ndarray:
    """Returns rows of U S**power of a table's singular value decomposition U S V, float32.

    Only the largest singular values are found, by products with few random directions.

    Args:
        table: A `scipy.sparse` array in compressed rows, (rows, columns).
        width: Columns of the result, fewer for a small table.
        rng: Gives the directions the search starts from.
        power: 0 makes all directions count alike; 1 gives the best approximation of the table.

    References:
        Halko, Martinsson, Tropp, Finding structure with randomness, 2011.
    """
    size = min(width + SPARE, *table.shape)
    across = table.T.tocsr()
    start = rng.standard_normal((table.shape[1], size)).astype(np.float32)
    basis = _at_right_angles(table @ start)
    for _ in range(ROUNDS):
        basis = _at_right_angles(table @ (across @ basis))
    # table = basis @ (across @ basis).T nearly.
    squares, turns = _squares_and_turns(across @ basis)
    found = basis @ (turns * np.sqrt(squares) ** power)
    return np.ascontiguousarray(found[:, :width], dtype=np.float32)


def _at_right_angles(tall) -> np.ndarray:
    """Columns of length one that span what those of a tall array do; zeros for those in excess."""
    squares, turns = _squares_and_turns(tall)
    some = squares > 1e-12 * squares[0]
    scales = np.where(some, 1 / np.sqrt(np.where(some, squares, 1.0)), 0.0)
    return (tall @ (turns * scales)).astype(np.float32)


def _squares_and_turns(tall) -> tuple[np.ndarray, np.ndarray]:
    """Squares of the singular values, the largest first, and the right singular vectors.

    By the small matrix of the products of the columns: the time of LAPACK on a tall array is that
    of its many small steps, on a busy machine that of the other programs.
    """
    tall = tall.astype(np.float64)
    squares, turns = np.linalg.eigh(tall.T @ tall)
    return np.maximum(squares[::-1], 0.0), turns[:, ::-1]
