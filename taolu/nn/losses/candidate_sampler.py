"""Ids drawn as candidates, with the exact logarithm of how often each is expected.

A correction by `log E[count]` is as good as that number. So frequencies are first rounded to whole
numbers of an integer line, one stretch for each id, and ids are drawn by drawing integers: the
expected count is then the length of the stretch and no approximation. Two ways to draw n of them:

    with replacement     n integers anywhere on the line;  E[count] = n p, ids may repeat
    without              one integer in the first n-th of the line, and the same place in each
                         other n-th (systematic sampling); E[count] = min(1, c p), each id once

where c is such that the expected counts add up to n. A stretch is at most an n-th of the line, so
no id is met twice, and the frequent ones, c p >= 1, come every time.
"""

import keras
import numpy as np
from keras import ops

LINE = 2**30  # integers; with twice as many a sum could leave int32
MOST = 2**24  # ids, so that the rarest still get a stretch
MOST_DRAWN = 2**18  # without replacement, so that an n-th of the line still has 4096 integers


def log_uniform(size):
    """Probabilities of ids that are sorted by falling frequency, as Zipf's law has them.

    `p(i) = log((i + 2) / (i + 1)) / log(size + 1)`: a whole number is log-uniform if the logarithm
    of where it was cut off is uniform.

    Args:
        size: Number of ids, at least 1.

    Returns:
        Float64 (size,), summing to 1.

    Raises:
        ValueError: `size` is below 1.

    Example:
        >>> log_uniform(3).round(4)
        array([0.5   , 0.2925, 0.2075])
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1. Received: size={size}.")
    return np.diff(np.log(np.arange(1, size + 2))) / np.log(size + 1)


@keras.saving.register_keras_serializable(package="taolu")
class CandidateSampler(keras.layers.Layer):
    """Draws ids by their frequencies, and knows how often each is expected among them.

    A layer so that a model that has it as an attribute keeps its seed and its table; there is
    nothing to call, only to `draw`. O(log size) for each id.

    Args:
        frequencies: How often each id occurs, numbers of at least 0, of any sum; say `counts` or
            `counts**0.75`. Where ids are only sorted by frequency, `log_uniform(size)`. An id of
            frequency 0 is never drawn. Others below 2^-29 of the sum are raised to that.
        count: Number of ids drawn at once, n.
        replacement: Whether an id may be drawn again. Without, no draw is lost to repetitions, and
            sums over candidates vary less; which ids come together is then not independent.
        seed: Whole number, or None for another one each time.

    Raises:
        ValueError: The frequencies are not finite numbers of at least 0 in one row, there are too
            many, or fewer ids than must be drawn; `count` is no whole number of at least 1.

    Example:
        >>> sampler = CandidateSampler([3.0, 1.0, 0.0], count=2, seed=0)
        >>> ops.convert_to_numpy(ops.exp(sampler.log_expected_count(np.arange(3)))).tolist()
        [1.5, 0.5, 0.0]
        >>> ids, log_expected = sampler.draw((5,))
        >>> tuple(ids.shape), bool(ops.all(ids < 2))
        ((5, 2), True)

    References:
        Bengio, Senécal, Adaptive importance sampling to accelerate training of a neural
        probabilistic language model, 2008.
        Madow, On the theory of systematic sampling II, 1949.
    """

    def __init__(self, frequencies, count, replacement=True, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        frequencies = _check_frequencies(frequencies)
        able = LINE if replacement else min(int(np.count_nonzero(frequencies)), MOST_DRAWN)
        if not isinstance(count, int | np.integer) or not 1 <= int(count) <= able:
            raise ValueError(
                "`count` must be a whole number, at least 1, and without replacement at most the "
                f"number of ids with a frequency above 0 and {MOST_DRAWN}. Received: "
                f"count={count}, for {np.count_nonzero(frequencies)} such ids."
            )
        self.frequencies = frequencies
        self.count = int(count)
        self.replacement = replacement
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self._step = LINE if replacement else LINE // self.count
        ends = _stretches(frequencies, self._step, 1 if replacement else self.count)
        with np.errstate(divide="ignore"):  # an id that is never drawn
            expected = np.log(np.diff(ends, prepend=0)) - np.log(self._step)
        expected += np.log(self.count) if replacement else 0.0
        self._ends = self._constant(ends, "int32", "ends")
        self._log_expected = self._constant(expected, "float32", "log_expected_count")
        self.built = True

    def draw(self, shape=()):
        """New candidates.

        Args:
            shape: How many times to draw `count` ids: () for one row that a batch shares, (batch,)
                for one each.

        Returns:
            The pair of ids, int32 (*shape, count), and of the logarithm of how often each is
            expected in a row, float32 of the same shape, in nats.
        """
        if self.replacement:
            shape = (*shape, self.count)
            place = keras.random.randint(shape, 0, self._step, seed=self.seed_generator)
        else:
            first = keras.random.randint((*shape, 1), 0, self._step, seed=self.seed_generator)
            place = first + self._step * ops.arange(self.count, dtype="int32")
        # TensorFlow searches rows of a table of rows, so all are made one row.
        found = ops.searchsorted(self._ends, ops.reshape(place, (-1,)), side="right")
        ids = ops.reshape(ops.cast(found, "int32"), ops.shape(place))
        return ids, self.log_expected_count(ids)

    def log_expected_count(self, ids):
        """Logarithm of how often each id is expected in a row, float32 of the shape of `ids`.

        Minus infinity for an id that is never drawn. Less `log(count)` it is the log U of
        `noise_contrastive`, in nats.

        Args:
            ids: Int (...), in [0, size).
        """
        return ops.take(self._log_expected, ids, axis=0)

    def get_config(self):
        config = {
            "frequencies": self.frequencies.tolist(),
            "count": self.count,
            "replacement": self.replacement,
            "seed": self.seed,
        }
        return {**super().get_config(), **config}

    def _constant(self, values, dtype, name):
        return self.add_weight(
            shape=values.shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(values.astype(dtype)),
            dtype=dtype,
            trainable=False,
            autocast=False,
            name=name,
        )


def _check_frequencies(frequencies):
    frequencies = np.asarray(frequencies, dtype="float64")
    if frequencies.ndim != 1 or not 0 < frequencies.size <= MOST:
        raise ValueError(
            f"`frequencies` must be one row of at most {MOST} numbers. "
            f"Received: shape {frequencies.shape}."
        )
    low, high = frequencies.min(), frequencies.max()
    if not (np.isfinite(frequencies).all() and low >= 0 and high > 0):
        raise ValueError(
            "`frequencies` must be finite, at least 0, and not all 0. "
            f"Received: numbers from {low} to {high}."
        )
    return frequencies


def _stretches(frequencies, longest, count):
    """Where the stretch of each id ends on a line of `longest * count` integers, int32 (size,)."""
    share = frequencies / frequencies.max()  # the sum of huge numbers may be infinite
    share /= share.sum()
    share = np.where(frequencies > 0, np.maximum(share, 2 / LINE), 0.0)
    expected, certain = share * (count / share.sum()), np.zeros(share.size, bool)
    while (expected[~certain] > 1 + 1e-12).any():  # each round makes one more id certain, or ends
        certain |= expected > 1
        left = count - np.count_nonzero(certain)
        expected = np.where(certain, 1.0, share * (left / share[~certain].sum()))
    # Ends are rounded, not lengths, so that the lengths add up.
    ends = np.rint(np.cumsum(expected) * (longest * count / expected.sum()))
    lengths = np.diff(ends, prepend=0.0)
    over = int(np.maximum(lengths - longest, 0).sum())  # by the rounding of those that are certain
    lengths = np.minimum(lengths, longest)
    lengths[np.flatnonzero((lengths > 0) & (lengths < longest))[:over]] += 1
    return np.cumsum(lengths).astype("int32")
