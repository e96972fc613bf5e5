"""Bootstrap over users; the draws depend only on (seed, replicate, number of users).

Two evaluations of the same users therefore use the same draws, and their differences are paired. Replicate b draws m
users with replacement; position i uses half of the 64-bit word splitmix64(key(seed, b) + (i // 2)·golden)
(Steele, Lea & Flood 2014), scaled to 0..m−1 by multiplication (Lemire 2019; bias below m / 2³²).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matinee.hashing import GOLDEN, mix64
from matinee.kernel import kernel, parallel_kernel, prange

BLOCK = 8
"""Replicates per thread block; each row of numbers is read once for all of them."""


def bootstrap_sums(rows: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Column sums of `rows` (m, c) over the users of each replicate, (resamples, c)."""
    key = np.uint64(seed % 2**64)
    return _sums(np.ascontiguousarray(rows), resamples, key)


@kernel
def draw(count: NDArray[np.int32], seed: np.uint64, replicate: int) -> None:
    """Add to `count` (m,) how often this replicate draws each user.

    The m draws are independent and uniform.
    """
    state = mix64(mix64(seed + GOLDEN) + np.uint64(replicate) * GOLDEN)
    m = np.uint64(len(count))
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    for i in range(0, len(count), 2):
        state += GOLDEN
        word = mix64(state)
        count[np.int64(((word >> half) * m) >> half)] += 1
        if i + 1 < len(count):
            count[np.int64(((word & low) * m) >> half)] += 1


@parallel_kernel
def _sums(rows: NDArray[np.float64], resamples: int, seed: np.uint64) -> NDArray[np.float64]:
    m, c = rows.shape
    out = np.zeros((resamples, c))
    for block in prange((resamples + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        size = min(BLOCK, resamples - first)
        count = np.zeros((size, m), dtype=np.int32)
        for b in range(size):
            draw(count[b], seed, first + b)
        for r in range(m):
            for b in range(size):
                times = np.float64(count[b, r])
                if times > 0.0:
                    for j in range(c):
                        out[first + b, j] += times * rows[r, j]
    return out
