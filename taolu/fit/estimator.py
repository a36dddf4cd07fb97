"""What scikit-learn asks of an estimator, without scikit-learn.

`clone`, `Pipeline` and `GridSearchCV` look for `get_params`, `set_params` and `fit`; an estimator
whose constructor only stores its arguments can answer from its own signature.
"""

import inspect
from importlib import import_module

import numpy as np
from scipy import sparse

LARGEST = 1e140  # of a value: sums of its square stay finite


class Estimator:
    """An object that scikit-learn's tools can copy, tune and chain.

    The constructor of a subclass stores its arguments under their own names and does nothing else.

    Example:
        >>> class Ruler(Estimator):
        ...     def __init__(self, *, length=30):
        ...         self.length = length
        >>> Ruler().set_params(length=20)
        Ruler(length=20)
    """

    _sparse = False  # whether `fit` takes sparse data

    def get_params(self, deep: bool = True) -> dict:
        """The arguments of the constructor by name; `deep` changes nothing here."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params):
        """Replaces arguments of the constructor by name, and returns the object itself."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"`{name}` must be an argument of {type(self).__name__}: "
                    f"{', '.join(known)}. Received: {name}={value!r}."
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        signature = inspect.signature(type(self).__init__).parameters
        given = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if np.ndim(value) or value != signature[name].default
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_tags__(self):
        # Only scikit-learn calls this, so only then it must be there.
        utils = import_module("sklearn.utils")
        tags = utils.Tags(
            estimator_type=getattr(self, "_estimator_type", None),
            target_tags=utils.TargetTags(required=False),
        )
        tags.input_tags.sparse = self._sparse
        return tags


def check_fitted(model) -> None:
    """Raises ValueError if the model has not been fitted."""
    if not hasattr(model, "n_features_in_"):
        raise ValueError(
            f"{type(model).__name__} must be fitted before it is asked; call `fit` or "
            "`partial_fit` first. Received: a model without parameters."
        )


def check_matrix(x, columns: int | None = None, rows: int = 1) -> np.ndarray:
    """The data as float64 (observations, features), C-contiguous, finite and not beyond reason.

    Args:
        x: What the caller gave.
        columns: Width the data must have, if known.
        rows: Fewest rows.

    Raises:
        ValueError: Another shape, too few rows, or a value that is not finite.

    Example:
        >>> check_matrix([[1, 2]])
        array([[1., 2.]])
    """
    if sparse.issparse(x):
        raise ValueError(
            "`X` must be dense here: its zeros are values like any other. "
            f"Received: {type(x).__name__}."
        )
    x = np.ascontiguousarray(x, dtype=np.float64)
    _check_shape(x, columns, rows)
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(
            "`X` must be finite; drop or fill the missing values. "
            f"Received: {x[row, column]} in row {row}, column {column}."
        )
    if np.abs(x).max() > LARGEST:
        raise ValueError(
            f"`X` must lie within ±{LARGEST:g}, so that sums of squares stay finite; scale the "
            f"data. Received: values up to {np.abs(x).max():g}."
        )
    return x


def check_counts(x, columns: int | None = None, rows: int = 1, most: float = np.inf):
    """The counts as a sparse array in rows, float64 (documents, words), without negative values.

    Args:
        x: Dense or any sparse format of scipy.
        columns: Width the data must have, if known.
        rows: Fewest rows.
        most: Largest value allowed; with 1 the values must be 0 or 1.

    Raises:
        ValueError: Another shape, too few rows, or a value that is no count.

    Example:
        >>> check_counts([[0, 2]]).toarray()
        array([[0., 2.]])
    """
    if not sparse.issparse(x):
        x = np.asarray(x)
        _check_shape(x, columns, rows)
    found = sparse.csr_array(x, dtype=np.float64)
    found.sum_duplicates()
    found.eliminate_zeros()
    _check_shape(found, columns, rows)
    values = found.data
    wrong = ~((values > 0) & np.isfinite(values))
    rule = "finite and not negative"
    if most == 1:
        wrong, rule = values != 1, "0 or 1"
    if wrong.any():
        raise ValueError(f"`X` must be {rule}. Received: the value {values[wrong][0]:g}.")
    return found


def check_weights(weights, rows: int) -> np.ndarray:
    """The weight of each observation, float64 (rows,): ones if None was given.

    Raises:
        ValueError: Another shape, a negative or infinite weight, or nothing but zeros.

    Example:
        >>> check_weights(None, 2)
        array([1., 1.])
    """
    if weights is None:
        return np.ones(rows)
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    if weights.shape != (rows,):
        raise ValueError(
            f"`sample_weight` must have one value for each of the {rows} rows of `X`. "
            f"Received: an array of shape {weights.shape}."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        wrong = weights[~(np.isfinite(weights) & (weights >= 0))][0]
        raise ValueError(
            f"`sample_weight` must be finite and not negative. Received: the weight {wrong:g}."
        )
    if not weights.any():
        raise ValueError("`sample_weight` must not be all zero. Received: only zeros.")
    return weights


def check_whole(name: str, value, least: int) -> int:
    """The number, if it is whole and at least `least`.

    Raises:
        ValueError: It is not.

    Example:
        >>> check_whole("n_init", 3, 1)
        3
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ValueError(
            f"`{name}` must be a whole number, at least {least}. Received: {name}={value!r}."
        )
    return int(value)


def _check_shape(x, columns, rows) -> None:
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"`X` must have the shape (observations, features). Received: the shape {x.shape}."
        )
    if columns is not None and x.shape[1] != columns:
        raise ValueError(
            f"`X` must have {columns} features, as the data of `fit`. Received: {x.shape[1]}."
        )
    if x.shape[0] < rows:
        raise ValueError(
            f"`X` must have at least {rows} rows, one for each component. "
            f"Received: {x.shape[0]} rows."
        )
