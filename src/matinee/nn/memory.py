"""Process-wide settings of a training: memory that freed blocks return to, and the precision of matrix products."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch

from matinee.process import SharedSetting

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, from glibc's malloc.h."""

KEEP_BYTES, DEFAULT_BYTES = 2**31 - 1, 2**25
"""Thresholds in bytes: while training, and the largest that glibc sets by itself."""

STATM = Path("/proc/self/statm")


def resident() -> int:
    """Bytes of this process in memory; 0 on systems other than Linux."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE if STATM.exists() else 0


def _keep_memory(_: bool) -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(TRIM_THRESHOLD, KEEP_BYTES)
    libc.mallopt(MMAP_THRESHOLD, KEEP_BYTES)


def _return_memory() -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(TRIM_THRESHOLD, DEFAULT_BYTES)
    libc.mallopt(MMAP_THRESHOLD, DEFAULT_BYTES)
    libc.malloc_trim(0)


FREED_MEMORY = SharedSetting[bool](lambda: _return_memory, _keep_memory, all)
"""Whether freed memory stays with the process."""


@contextmanager
def keep_freed_memory(ceiling: int) -> Generator[Callable[[], None]]:
    """A context that keeps freed memory; yields a function to call between steps.

    glibc returns freed blocks over 32 MB to the kernel. Steps allocate blocks of the same sizes again, and page faults
    of the new ones cost half an epoch at 466 users × 41,000 items. While the context is active, freed blocks are kept.
    Smaller blocks may split them until large ones no longer fit, so the yielded function returns all free memory to the
    kernel if the process has more than `ceiling` bytes. If contexts of several threads overlap, memory is kept until
    the last one ends. Without glibc nothing changes.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        yield lambda: None
        return

    def trim() -> None:
        if resident() > ceiling:
            libc.malloc_trim(0)

    with FREED_MEMORY.at(True):  # noqa: FBT003
        yield trim


BACKENDS: tuple[Any, ...] = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)  # pyright: ignore[reportAttributeAccessIssue]
"""The precision settings of torch for products of float32 matrices."""


def _save_precision() -> Callable[[], None]:
    before = [backend.fp32_precision for backend in BACKENDS]

    def restore() -> None:
        for backend, precision in zip(BACKENDS, before, strict=True):
            backend.fp32_precision = precision

    return restore


def _reduce_precision(_: bool) -> None:
    BACKENDS[0].fp32_precision, BACKENDS[1].fp32_precision = "bf16", "tf32"


PRECISION = SharedSetting[bool](_save_precision, _reduce_precision, lambda values: all(values) or None)
"""Whether the factors of matrix products are rounded."""


def bf16_matmul(quick: bool = True) -> AbstractContextManager[None]:
    """A context in which products of float32 matrices may use bf16 units.

    They are two to three times as fast. Factors are rounded to 8 bits (TF32 on CUDA), sums are not; weights, losses and
    optimizer state stay float32. Use it for training only, where this error is far below the noise of a batch. torch
    has one such setting per process: if contexts of several threads overlap, factors are rounded only while all
    contexts allow it, so a validation in one thread is exact while another thread trains.
    """
    return PRECISION.at(quick)
