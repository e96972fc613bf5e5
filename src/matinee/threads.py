"""How many threads a fit uses.

The pool of polars is fixed by `POLARS_MAX_THREADS` when polars is imported; nothing here limits it.
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
    """Threads of a fit without a limit: all cores, or fewer where OMP_NUM_THREADS or NUMBA_NUM_THREADS says so."""
    from numba.core import config

    return int(config.NUMBA_NUM_THREADS)  # pyright: ignore[reportAttributeAccessIssue]


def check_threads(n: int | None) -> int | None:
    """`n`, if so many threads are available; None means all of them."""
    if n is not None and not 1 <= n <= available_threads():
        todo = "Lower it; NUMBA_NUM_THREADS and OMP_NUM_THREADS may hold the limit down."
        raise SpecError("threads", f"found {n}", f"1 to {available_threads()}, the threads this process may use", todo)
    return n


@contextmanager
def limit_threads(n: int | None) -> Generator[None]:
    """At most `n` threads for BLAS, OpenMP, numba and torch in what this thread computes; None changes nothing.

    BLAS has one limit for the whole process: where two threads ask for different ones, the smaller one holds for both.
    """
    if check_threads(n) is None or n is None:
        yield
        return
    import numba
    from threadpoolctl import threadpool_limits

    import_module("scipy.linalg")  # the threads of a library can be limited once it is loaded
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
    """What controls the libraries of BLAS that are loaded."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


def _set_blas(numbers: Iterable[tuple[Any, int]]) -> None:
    """Set the threads of each library."""
    from threadpoolctl import OpenBLASController

    for library, n in numbers:
        library.set_num_threads(n)
    # threadpoolctl 3.8 lets only the first thread that sets a limit change it until this is called
    getattr(OpenBLASController, "clear_controlling_thread", bool)()


def _save_blas() -> Callable[[], None]:
    before = [(library, library.num_threads) for library in _blas()]
    return lambda: _set_blas(before)


BLAS = SharedSetting[int](_save_blas, lambda n: _set_blas((library, n) for library in _blas()), min)
"""The threads of BLAS, one number for the whole process."""
