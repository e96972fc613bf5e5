"""Numba, typed: the two decorators every compiled loop of the house uses.

Compiled code is cached beside the source (or in numba's user cache where that is read-only), so only the
first call on a machine waits for the compiler. `fastmath` stays off: sums must not depend on the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """A sequential loop, compiled; it releases the interpreter lock."""
    return cast(F, numba.njit(cache=True, nogil=True)(function))


def parallel_kernel(function: F) -> F:
    """A loop over `prange`, compiled, on numba's threads."""
    return cast(F, numba.njit(cache=True, nogil=True, parallel=True)(function))


prange: type[range] = numba.prange  # pyright: ignore[reportAssignmentType]
"""`numba.prange`: iterations of this loop may run side by side."""
