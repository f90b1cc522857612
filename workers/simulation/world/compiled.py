"""How the world's kernels are compiled: reproducible bits (no fastmath), cached, without the GIL."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def kernel(function: Kernel) -> Kernel:
    """Compile with numba; division by zero gives inf as in numpy, never an exception."""
    return cast(Kernel, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def device(function: Kernel) -> Kernel:
    """As `kernel`, for functions that other kernels call: inlined there, with no cache file of their own. They cannot
    allocate arrays, and so need not count references to them: that alone is four fifths of a look-up's time."""
    return cast(Kernel, numba.njit(nogil=True, error_model="numpy", forceinline=True, _nrt=False)(function))
