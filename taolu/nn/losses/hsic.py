"""Independence as a loss: HSIC of a batch, with a gradient.

To keep features z from telling about a nuisance s, say the device an image was taken with, add
`weight * HSIC(z, s)` to the loss. With K the Gram matrix of the n samples of a batch, take from
each entry off the diagonal what its row and column say alone,

    K~_ij = K_ij - (r_i + r_j) / (n-2) + r / ((n-1)(n-2)),   r_i = sum_j K_ij,   r = sum_i r_i

and likewise L~; then `HSIC = sum_ij K~_ij L~_ij / (n (n-3))`, sums without the diagonal, is the
unbiased estimate of `taolu.bits.hsic`, which defines what this file must give. In a mini-batch the
biased one adds about 1/n, which a network can lower without becoming any more independent.
"""

import math

import keras
from keras import ops

from taolu.bits.gram import MEDIAN, Gaussian, Linear
from taolu.nn.masking import apply_mask

LEAST = 4  # samples for which an unbiased estimate exists
INFINITY_BITS = 0x7F800000  # of a float32


def hsic(x, y, *, kernel_x=MEDIAN, kernel_y=MEDIAN, mask=None):
    """The unbiased estimate of the HSIC of two variables, as a scalar to minimise.

    Per batch, in units of the kernels; its mean over batches is the truth whatever their size, so
    it is often below 0 near independence and must not be clipped. Computed in float32 whatever the
    policy. The median bandwidth is a constant to the gradient. O(batch^2 width) time, and memory
    where the backend does not fuse.

    Args:
        x: Samples of one variable, (batch,) or (batch, width), at least 4; categories as one-hot.
        y: Samples of the other, as many, of any width.
        kernel_x: `Gaussian()` with the median distance within the batch as bandwidth,
            `Gaussian(bandwidth)` or `Linear()`, all of `taolu.bits`. A given bandwidth a network
            can escape by stretching or shrinking x; the median follows.
        kernel_y: The same for y.
        mask: Bool (batch,), True where a sample counts, or None for all. Where fewer than 4 do,
            the result is 0.

    Returns:
        Float32 scalar.

    Raises:
        ValueError: x and y differ in length, have fewer than 4 samples, or a wrong shape; the mask
            is not bool (batch,).
        TypeError: A kernel is neither Gaussian nor Linear.

    Example:
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 100)
        >>> bool(hsic(x, x**2) > 0.03)
        True

    References:
        Song et al., Feature selection via dependence maximization, 2012.
        Su Jianlin, 用 HSIC 衡量独立性 (spaces.ac.cn/archives/6910), 2019.
    """
    k, l, count = _centred_pair(x, y, kernel_x, kernel_y, mask)  # noqa: E741
    return _mean_product(k, l, count)


def cka(x, y, *, kernel_x=MEDIAN, kernel_y=MEDIAN, mask=None):
    """The normalised HSIC: 1 for the same Gram matrices up to scale, near 0 for independence.

    `HSIC(x, y) / sqrt(HSIC(x, x) HSIC(y, y))`, from unbiased estimates; comparable across kernels
    and, with `Linear()`, blind to the scale of x. 0, with gradient 0, where x or y does not vary.

    Args:
        x: As in `hsic`.
        y: As in `hsic`.
        kernel_x: As in `hsic`.
        kernel_y: As in `hsic`.
        mask: As in `hsic`.

    Returns:
        Float32 scalar, at most 1; may be below 0.

    Raises:
        ValueError: As in `hsic`.
        TypeError: As in `hsic`.

    Example:
        >>> round(float(cka([1.0, 2.0, 3.0, 5.0, 9.0], [3.0, 5.0, 7.0, 11.0, 19.0])), 5)
        1.0

    References:
        Kornblith et al., Similarity of neural network representations revisited, 2019.
    """
    k, l, count = _centred_pair(x, y, kernel_x, kernel_y, mask)  # noqa: E741
    # Roots before the product, which would leave the range of float32 early.
    sizes = [_mean_product(a, a, count) for a in (k, l)]
    varies = ops.logical_and(sizes[0] > 0, sizes[1] > 0)
    roots = [ops.sqrt(ops.where(varies, size, 1.0)) for size in sizes]
    return ops.where(varies, _mean_product(k, l, count), 0.0) / roots[0] / roots[1]


@keras.saving.register_keras_serializable(package="taolu")
class IndependencePenalty(keras.layers.Layer):
    """Features as they came, with `weight * HSIC(features, nuisance)` added to the loss.

    Gaussian kernels; for others call `hsic` and `add_loss` in a layer of your own. The penalty is
    one number per batch, in training as in evaluation, and does not grow with the batch. A batch
    of fewer than 4 samples, such as a last one or one sample to predict, has no unbiased estimate
    and adds 0.

    Masking: samples that the mask hides do not count and get no gradient from the penalty, say
    those whose nuisance is not known; one class only asks for independence within that class. The
    mask is passed on unchanged.

    Args:
        weight: Factor of the penalty, at least 0.
        bandwidth: Of the kernel of the features; None takes the median distance in the batch.
        nuisance_bandwidth: The same for the nuisance.

    Call arguments:
        features: Float (batch, width) or (batch,).
        nuisance: Numbers (batch, width) or (batch,); categories as one-hot.
        mask: Bool (batch,), True where a sample counts.

    Returns:
        The features.

    Raises:
        ValueError: The weight is below 0, a bandwidth not above 0, or one of them not finite.

    Example:
        >>> penalty = IndependencePenalty(weight=10.0)
        >>> features = ops.reshape(ops.linspace(-1.0, 1.0, 100), (100, 1))
        >>> kept = penalty(features, features**2)
        >>> len(penalty.losses), bool(penalty.losses[0] > 0.3)
        (1, True)

    References:
        Su Jianlin, 用 HSIC 衡量独立性 (spaces.ac.cn/archives/6910), 2019.
    """

    def __init__(self, weight=1.0, bandwidth=None, nuisance_bandwidth=None, **kwargs):
        # The features are handed on as they are, and a nuisance may not fit into half precision.
        super().__init__(autocast=False, **kwargs)
        if not 0 <= weight < math.inf:
            raise ValueError(f"`weight` must be at least 0 and finite. Received: weight={weight}.")
        for name, value in (("bandwidth", bandwidth), ("nuisance_bandwidth", nuisance_bandwidth)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(
                    f"`{name}` must be above 0 and finite, or None for the median. "
                    f"Received: {name}={value}."
                )
        self.weight = weight
        self.bandwidth = bandwidth
        self.nuisance_bandwidth = nuisance_bandwidth
        self.supports_masking = True

    def build(self, features_shape, nuisance_shape=None):
        pass

    def call(self, features, nuisance, mask=None):
        batch = features.shape[0]
        if batch is None or batch >= LEAST:
            kernels = {
                "kernel_x": Gaussian(self.bandwidth),
                "kernel_y": Gaussian(self.nuisance_bandwidth),
            }
            self.add_loss(self.weight * hsic(features, nuisance, mask=mask, **kernels))
        return features

    def compute_output_spec(self, features, nuisance, mask=None):
        return keras.KerasTensor(features.shape, features.dtype)

    def compute_output_shape(self, features_shape, nuisance_shape=None):
        return features_shape

    def get_config(self):
        config = {
            "weight": self.weight,
            "bandwidth": self.bandwidth,
            "nuisance_bandwidth": self.nuisance_bandwidth,
        }
        return {**super().get_config(), **config}


def _centred_pair(x, y, kernel_x, kernel_y, mask):
    """Both centred Gram matrices, float32 (batch, batch), and how many samples count."""
    x, y = _samples(x, "x"), _samples(y, "y")
    lengths = x.shape[0], y.shape[0]
    known = [n for n in lengths if n is not None]
    if len(set(known)) > 1 or (known and known[0] < LEAST):
        raise ValueError(
            f"`x` and `y` must be pairs of samples, as many of each and at least {LEAST}. "
            f"Received: {lengths[0]} samples of x, {lengths[1]} of y."
        )
    real = _sample_mask(mask, x)
    place = ops.arange(ops.shape(x)[0])
    pairs = ops.logical_and(real[:, None], real[None, :])
    pairs = ops.logical_and(pairs, place[:, None] != place[None, :])
    count = ops.sum(ops.cast(real, "float32"))
    k = _gram(x, kernel_x, "kernel_x", real, pairs)
    l = _gram(y, kernel_y, "kernel_y", real, pairs)  # noqa: E741
    return _centred(k, pairs, count), _centred(l, pairs, count), count


def _gram(x, kernel, name, real, pairs):
    """The Gram matrix up to a constant, float32 (batch, batch); it holds only for `pairs`."""
    x = apply_mask(x, real[:, None])  # what is hidden may be NaN
    if isinstance(kernel, Linear):
        # HSIC does not see where zero is, but rounding does.
        count = ops.maximum(ops.sum(ops.cast(real, "float32")), 1.0)
        x = x - ops.sum(x, axis=0) / count
        return ops.matmul(x, ops.transpose(x))
    if not isinstance(kernel, Gaussian):
        raise TypeError(f"`{name}` must be Gaussian or Linear. Received: {name}={kernel!r}.")
    # Differences, as |x|^2 + |x'|^2 - 2 x.x' would not give exactly 0 for the same category.
    squares = ops.sum(ops.square(x[:, None, :] - x[None, :, :]), axis=-1)
    # Less 1, which centring takes away again: a wide kernel is 1 but for its last digits.
    if kernel.bandwidth is None:
        return ops.expm1(-squares / _median_square(squares, pairs))
    return ops.expm1(-squares / kernel.bandwidth**2)


def _median_square(squares, pairs):
    """The square of the median distance of some pairs, a constant to the gradient.

    The lower middle; of the distances above 0 where it is 0, and 1 where all are.
    """
    squares = ops.where(pairs, ops.stop_gradient(squares), math.inf)
    total = ops.sum(ops.cast(pairs, "int32"))
    zeros = ops.sum(ops.cast(squares == 0, "int32"))
    # Each pair stands there twice, as (i, j) and (j, i): ranks are twice those among pairs.
    middle = (total // 2 - 1) // 2
    above = zeros // 2 + (total // 2 - zeros // 2 - 1) // 2
    rank = 2 * ops.where(2 * middle >= zeros, middle, above)

    def halve(_, bounds):
        low, high = bounds
        half = low + (high - low) // 2
        found = ops.sum(ops.cast(squares <= ops.view(half, "float32"), "int32")) > rank
        return ops.where(found, low, half + 1), ops.where(found, half, high)

    # Read as integers, the bits of floats of at least 0 are in the order of the floats, so that 31
    # halvings find the middle exactly: on JAX in a tenth of the time of sorting.
    bounds = ops.cast(0, "int32"), ops.cast(INFINITY_BITS, "int32")
    square = ops.view(ops.fori_loop(0, 31, halve, bounds)[1], "float32")
    return ops.where(total > zeros, square, 1.0)


def _centred(gram, pairs, count):
    """A Gram matrix less what rows and columns say alone, 0 off the `pairs`."""
    gram = ops.where(pairs, gram, 0.0)
    rows = ops.sum(gram, axis=1) / ops.maximum(count - 2, 1.0)
    total = ops.sum(rows) / ops.maximum(count - 1, 1.0)
    return ops.where(pairs, gram - rows[:, None] - rows[None, :] + total, 0.0)


def _mean_product(k, l, count):  # noqa: E741
    """HSIC from centred Gram matrices, or 0 of fewer than 4 samples."""
    enough = count >= LEAST
    pairs = ops.where(enough, count * (count - 3), 1.0)
    return ops.where(enough, ops.sum(k * l) / pairs, 0.0)


def _samples(x, name):
    """Samples as float32 (batch, width)."""
    x = ops.cast(ops.convert_to_tensor(x), "float32")
    if len(x.shape) == 1:
        x = x[:, None]
    if len(x.shape) != 2:
        raise ValueError(
            f"`{name}` must have the shape (batch,) or (batch, width). "
            f"Received: {name} of shape {tuple(x.shape)}."
        )
    return x


def _sample_mask(mask, x):
    """A mask of samples as bool (batch,), or one that hides none."""
    if mask is None:
        return ops.ones(ops.shape(x)[:1], "bool")
    mask = ops.convert_to_tensor(mask)
    dtype, shape = keras.backend.standardize_dtype(mask.dtype), tuple(mask.shape)
    batch = x.shape[0]
    if dtype != "bool" or len(shape) != 1 or (None not in (batch, *shape) and shape[0] != batch):
        raise ValueError(
            "`mask` must be bool (batch,), True where a sample counts. "
            f"Received: dtype {dtype}, shape {shape}, for {batch} samples."
        )
    return mask
