"""The one Numba decorator of the package.

Compiled code is cached on disk, so only the first run on a machine compiles; it releases the
interpreter lock, so threads run kernels side by side; division by zero gives infinity as in
NumPy instead of a Python exception.
"""

from functools import partial

import numba

_compiled = partial(numba.njit, nogil=True, error_model="numpy")


def kernel(function):
    """Returns the function, compiled by Numba when it is first called."""
    try:
        return _compiled(cache=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's takes a cache, as in a container without a
        # home: every run compiles. NUMBA_CACHE_DIR names a folder that does.
        return _compiled()(function)
