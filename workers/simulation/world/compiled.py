"""How the world's kernels are compiled: reproducible bits (no fastmath), cached, no GIL."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
config: Any = numba.config
njit: Any = numba.njit


def _cache_folder() -> str:
    """A folder under the digest of all sources of the world.

    numba looks only at the file that a kernel is in: after a change of a function that it calls,
    the old machine code would stay in use.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(
        b"\0".join(path.read_bytes() for path in sorted(here.glob("*.py")))
    ).hexdigest()
    return str(Path(config.CACHE_DIR or here / "__pycache__") / f"world-{digest[:16]}")


CACHE = _cache_folder()


def kernel(function: Kernel) -> Kernel:
    """Compile with numba; division by zero gives inf as in numpy, never an exception."""
    usual = config.CACHE_DIR
    config.CACHE_DIR = CACHE
    try:
        return cast(Kernel, njit(cache=True, nogil=True, error_model="numpy")(function))
    finally:
        config.CACHE_DIR = usual


def device(function: Kernel) -> Kernel:
    """As `kernel`, for functions that other kernels call: inlined there, with no cache file.

    They cannot allocate arrays, and so count no references to them. The counting alone would take
    four fifths of a look-up's time.
    """
    return cast(
        Kernel, njit(nogil=True, error_model="numpy", forceinline=True, _nrt=False)(function)
    )
