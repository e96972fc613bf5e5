"""Limits on the number of threads of a fit.

The size of the polars pool is fixed by `POLARS_MAX_THREADS` when polars is imported; it is not limited here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from matinee.errors import SpecError
from matinee.process import SharedSetting


def available_threads() -> int:
    """Threads of a fit without a limit.

    All cores, unless OMP_NUM_THREADS or NUMBA_NUM_THREADS was set to fewer.
    """
    from numba.core import config

    return int(config.NUMBA_NUM_THREADS)  # pyright: ignore[reportAttributeAccessIssue]


def check_threads(n: int | None) -> int | None:
    """`n` if at least `n` threads are available; None means all."""
    if n is not None and not 1 <= n <= available_threads():
        todo = "Use fewer threads, or raise NUMBA_NUM_THREADS or OMP_NUM_THREADS."
        raise SpecError("threads", f"found {n}", f"1 to {available_threads()}, the threads this process may use", todo)
    return n


@contextmanager
def limit_threads(n: int | None) -> Generator[None]:
    """Limit the libraries of this thread to `n` threads each; None means no limit.

    The libraries are BLAS, OpenMP, numba and torch. BLAS has one limit for the whole process: if two
    threads set different limits, the smaller one applies to both.
    """
    if check_threads(n) is None or n is None:
        yield
        return
    import numba
    from threadpoolctl import threadpool_limits

    import_module("scipy.linalg")  # threadpoolctl limits only libraries that are loaded
    torch = sys.modules.get("torch")
    torch_threads = torch.get_num_threads() if torch else 0
    numba_threads = numba.get_num_threads()
    openmp = threadpool_limits(limits=n, user_api="openmp")
    try:
        numba.set_num_threads(n)
        if torch:
            torch.set_num_threads(n)
        with BLAS.at(n):
            yield
    finally:
        if torch:
            torch.set_num_threads(torch_threads)
        numba.set_num_threads(numba_threads)
        openmp.restore_original_limits()


def _blas() -> list[Any]:
    """Controllers of all loaded BLAS libraries."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set_blas(limits: Iterable[tuple[Any, int]]) -> None:
    """Set the number of threads of each library."""
    from threadpoolctl import OpenBLASController

    for library, n in limits:
        library.set_num_threads(n)
    # threadpoolctl 3.8 lets only the first thread that sets a limit change it until this is called
    getattr(OpenBLASController, "clear_controlling_thread", bool)()


def _save_blas() -> Callable[[], None]:
    before = [(library, library.num_threads) for library in _blas()]
    return lambda: _set_blas(before)


BLAS = SharedSetting[int](_save_blas, lambda n: _set_blas((library, n) for library in _blas()), min)
"""The number of BLAS threads of the whole process."""
