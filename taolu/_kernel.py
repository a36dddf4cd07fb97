"""The one Numba decorator of the package.

Compiled code is cached on disk, so only the first run on a machine compiles; it releases the
interpreter lock, so threads run kernels side by side; division by zero gives infinity as in
NumPy instead of a Python exception.
"""

import numba

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
