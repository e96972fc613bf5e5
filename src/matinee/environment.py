"""Environment variables for the waiting of idle threads; set before numpy, numba or torch are imported.

numpy, scipy, numba and torch each have a thread pool. Idle threads of a pool spin for a while; with several pools or
processes they occupy cores that other threads need. With these variables idle threads sleep instead. The libraries
read them at import, so `import matinee` must come first. Values that the user has set are kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

WAITING: Mapping[str, str] = MappingProxyType({"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"})
"""Idle threads sleep at once (OpenMP) or after 2⁴ instead of 2²⁶ cycles (OpenBLAS)."""


def set_environment() -> None:
    """Set `WAITING` and numba's number of threads, unless the user has set them."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    limit = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    # numba ignores OMP_NUM_THREADS and raises an error if its own variable changes after its threads have started
    if limit.isdecimal() and int(limit) > 0 and "numba" not in sys.modules:
        os.environ.setdefault("NUMBA_NUM_THREADS", str(min(int(limit), cores())))


def cores() -> int:
    """Number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
