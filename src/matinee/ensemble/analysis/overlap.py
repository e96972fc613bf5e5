"""Compiled loop over pairs of members: overlap of their lists. The slow twin is in `tests/ensemble/test_members.py`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matinee.kernel import kernel, parallel_kernel, prange

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]

CHUNKS = 64
"""Portions of the rows with separate sums, so that results do not depend on the number of threads."""


@parallel_kernel
def pairwise_overlap(offsets: I64, rank: U16, length: I64, cut: tuple[int, float], depth: int) -> F64:
    """Sums over users of Jaccard and RBO_ext for every pair of members, (3, M, M).

    For a < b: Σ Jaccard, Σ RBO_ext, and the number of users with at least one non-empty list. `rank` (M, c) as in a
    `CandidatePool`; `length` (M, m) items in each list, at most `depth`; `cut` is (k of Jaccard, p of RBO). An item at
    ranks i and j is shared from depth D = max(i, j) on and adds Σ_{d ≥ D} (1 − p) / p · p^d / d to RBO_ext, a
    difference of two precomputed sums. Lower bound: one update per shared item and pair, i.e. m · M (M − 1) / 2 ·
    depth · (fraction shared), and one pass over `rank`. Measured: 50 million updates (m = 2,000, M = 30, depth 100)
    in 0.9 s on two cores under a load of 7.
    """
    M, m = length.shape
    k, p = cut
    powers = np.zeros((2, depth + 1))
    for d in range(1, depth + 1):
        powers[0, d] = powers[0, d - 1] + p**d
        powers[1, d] = powers[1, d - 1] + p**d / d
    out = np.zeros((CHUNKS, 3, M, M))
    for c in prange(CHUNKS):
        common, before = np.empty((3, M, M), dtype=np.int64), np.empty((M, M))
        for r in range(c * m // CHUNKS, (c + 1) * m // CHUNKS):
            own = length[:, r]
            common[:] = 0
            before[:] = 0.0
            _count_shared(rank[:, offsets[r] : offsets[r + 1]], own, (k, powers[1]), common, before)
            for a in range(M):
                for b in range(a + 1, M):
                    if own[a] + own[b] > 0:
                        s, l = min(own[a], own[b]), max(own[a], own[b])
                        both = common[2, a, b]
                        out[c, 0, a, b] += both / (min(s, k) + min(l, k) - both)
                        out[c, 1, a, b] += _rbo(powers, (s, l), common[:2, a, b], before[a, b], p)
                        out[c, 2, a, b] += 1.0
    return out.sum(axis=0)


@kernel
def _count_shared(rank: U16, length: I64, cut: tuple[int, F64], common: I64, before: F64) -> None:
    """Add up the shared items of each pair a < b of one user's lists with ranks `rank` (M, n).

    `common` (3, M, M): items shared within the depth of the shorter list, of the longer list, and within k; `before`
    (M, M): Σ powers[D − 1].
    """
    k, powers = cut
    M, n = rank.shape
    at, member = np.empty(M, dtype=np.int64), np.empty(M, dtype=np.int64)
    for q in range(n):
        n_lists = 0
        for a in range(M):
            if rank[a, q] > 0:
                at[n_lists], member[n_lists] = np.int64(rank[a, q]), a
                n_lists += 1
        for i in range(n_lists):
            for j in range(i + 1, n_lists):
                a, b = member[i], member[j]
                deep = max(at[i], at[j])
                common[0, a, b] += np.int64(deep <= min(length[a], length[b]))
                common[1, a, b] += 1
                common[2, a, b] += np.int64(deep <= k)
                before[a, b] += powers[deep - 1]


@kernel
def _rbo(powers: F64, lengths: tuple[int, int], common: I64, before: float, p: float) -> float:
    """RBO_ext of a pair of lists: equation 32 of Webber, Moffat and Zobel (2010).

    `powers` are Σ_{i ≤ d} p^i and Σ_{i ≤ d} p^i / i for d = 0, 1, …; `lengths` (s, l), `common` (X_s, X_l), and
    `before` is Σ of powers[1, D − 1] over the shared items.
    """
    s, l = lengths
    if s == 0:
        return 0.0
    agreed = common[1] * powers[1, l] - before
    beyond = common[0] * ((powers[0, l] - powers[0, s]) / s - (powers[1, l] - powers[1, s]))
    return (1.0 - p) / p * (agreed + beyond) + ((common[1] - common[0]) / l + common[0] / s) * p**l
