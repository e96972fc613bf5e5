"""Environment variables that decide how idle threads wait; set before numpy, numba or torch are loaded.

numpy, scipy, numba and torch each bring a pool of threads. An idle thread of one pool keeps a core busy for a while in
case more work comes, and with several pools, or other processes, that core is taken from a thread that has work. With
these variables idle threads sleep instead. The libraries read them when they are loaded, so `import matinee` has to
come first: what the user loaded earlier keeps its own rule. Values that the user has set are kept.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import MappingProxyType

WAITING: Mapping[str, str] = MappingProxyType({"OMP_WAIT_POLICY": "passive", "OPENBLAS_THREAD_TIMEOUT": "4"})
"""OpenMP's idle threads sleep at once, OpenBLAS's after 2⁴ processor cycles instead of 2²⁶."""


def set_environment() -> None:
    """Set how threads wait, and how many numba has, where the user has set neither."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    # numba ignores OMP_NUM_THREADS, and raises an error where its own variable changes after its threads have started
    if wanted.isdecimal() and int(wanted) > 0 and "numba" not in sys.modules:
        os.environ.setdefault("NUMBA_NUM_THREADS", str(min(int(wanted), cores())))


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
