"""The one Numba decorator of the package.

Compiled code is cached on disk, so only the first run on a machine compiles; it releases the
interpreter lock, so threads run kernels side by side; division by zero gives infinity as in
NumPy instead of a Python exception.
"""

from functools import partial

import numba

_compiled = partial(numba.njit, nogil=True, error_model="numpy")
# Sums in any order, products and sums in one step: what vector registers need. Unlike the whole of
# `fastmath` it takes nothing for granted: infinities and NaN come out as they would in order.
_reordered = partial(_compiled, fastmath={"reassoc", "contract"})


def kernel(function):
    """Returns the function, compiled by Numba when it is first called."""
    return _cached(_compiled, function)


def sum_kernel(function):
    """Returns the same, with sums that are added in whatever order is fastest."""
    return _cached(_reordered, function)


def _cached(compiled, function):
    try:
        return compiled(cache=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's takes a cache, as in a container without a
        # home: every run compiles. NUMBA_CACHE_DIR names a folder that does.
        return compiled()(function)
