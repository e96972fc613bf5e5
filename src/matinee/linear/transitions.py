"""Decayed counts of items after other items: the moments of a regression of later items on earlier ones.

They are sums over all positions of all histories, computed without listing the positions.
"""

from __future__ import annotations

import numpy as np

from matinee.arrays import F32, F64, I32, I64
from matinee.kernel import parallel_kernel, prange
from matinee.linear.columns import balanced_order, entries_by_column, largest_repeats
from matinee.linear.gram import check_summable


def transition_moments(offsets: I64, item: I32, n: int, past: float, coming: float) -> tuple[F32, F32]:
    """The moments (S, T), both (n, n) float32.

    S = Σ_t s_t s_t' and T = Σ_t s_t y_t'. Only the upper triangle of S is set. t runs over all positions but the first
    of every history item[offsets[u]:offsets[u + 1]], oldest first. Input: s_t = Σ_{p<t} exp(−(t−1−p) / past) e_{item
    p}. Target: y_t = Σ_{q≥t} exp(−(q−t) / coming) e_{item q}.

    Two interactions at distance d contribute at every t between or after them, which are geometric sums: T gets the
    convolution of both decays at d, S gets exp(−d / past) times a sum over the remaining positions. Each pair of
    interactions of a history is visited once, in rows of 4 n bytes that stay in the cache: Σ_u L_u² / 2 adds to each
    of S and T. Raises `DataError` where a sum could have more than 2²⁴ terms.
    """
    start, position, stop = entries_by_column(offsets, item, n)
    count = np.diff(start)
    check_summable("transitions", max_terms(offsets, item, n))
    longest = int(np.diff(offsets).max(initial=0))
    decay, meet, left = _tables(longest, past, coming)
    S, T = np.zeros((n, n), dtype=np.float32), np.zeros((n, n), dtype=np.float32)
    _sum_pairs((start, position, stop), item, balanced_order(count), (decay, meet, left), (S, T))
    _fold(S)
    return S, T


def max_terms(offsets: I64, item: I32, n: int) -> int:
    """Upper bound of the number of terms of an entry of S or T.

    It is tight if no history repeats an item.
    """
    repeats = np.repeat(largest_repeats(offsets, item, n), np.diff(offsets))
    return int(np.bincount(item, repeats, minlength=n).max(initial=0))


def _tables(longest: int, past: float, coming: float) -> tuple[F64, F64, F64]:
    """By distance d: exp(−d / past) and the convolution of both decays; by remaining positions: Σ exp(−2 s / past)."""
    d = np.arange(longest + 1)
    a, b = np.exp(-d / past), np.exp(-d / coming)
    meet = np.zeros(longest + 1)
    for k in range(longest):  # meet_{k+1} = Σ_{s≤k} a_s b_{k−s}
        meet[k + 1] = meet[k] * b[min(1, longest)] + a[k]
    left = np.concatenate([[0.0], np.cumsum(a**2)])[: longest + 1]
    return a, meet, left


@parallel_kernel
def _sum_pairs(
    entries: tuple[I64, I64, I64], item: I32, order: I64, tables: tuple[F64, F64, F64], out: tuple[F32, F32]
) -> None:
    start, position, stop = entries
    decay, meet, left = tables
    S, T = out
    for o in prange(len(order)):
        i = order[o]
        row_s, row_t = S[i], T[i]
        alone = np.float32(0.0)
        for e in range(start[i], start[i + 1]):
            p, end = position[e], stop[e]
            alone += np.float32(left[end - 1 - p])
            for q in range(p + 1, end):
                row_s[item[q]] += np.float32(decay[q - p] * left[end - 1 - q])
                row_t[item[q]] += np.float32(meet[q - p])
        row_s[i] = 2 * row_s[i] + alone  # a repeated item counts on both sides


@parallel_kernel
def _fold(S: F32) -> None:
    """Add the lower triangle to the upper one, in place; pairs were counted at the earlier interaction."""
    n = len(S)
    for i in prange(n):
        for j in range(i + 1, n):
            S[i, j] += S[j, i]
