"""Compiled loops over pools: ranks of targets, cross-entropy, and round robin.

Each has a slow twin in `tests/ensemble/`; the layout of a pool is that of `matinee.candidates.kernels`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matinee.kernel import kernel, parallel_kernel, prange

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]


@kernel
def _rank_of(total: F32, at: int) -> int:
    """Rank, from 1, of candidate `at` among the scores (n,) of a row, by one vectorized count."""
    s = total[at]
    better = np.int32(0)
    for i in range(at):
        better += np.int32(total[i] >= s)
    for i in range(at + 1, len(total)):
        better += np.int32(total[i] > s)
    return np.int64(better) + 1  # pyright: ignore[reportReturnType]


@kernel
def _total(total: F32, base: tuple[F32, Bool], own: tuple[F32, U16], weight: float) -> None:
    """Total (n,) = base + weight · own; −inf for candidates that neither lists.

    A member with weight 0 lists nothing.
    """
    (score, listed), (points, rank) = base, own
    if len(listed) == 0:
        for p in range(len(total)):
            total[p] = score[p] + weight * points[p]
        return
    counts = weight > 0
    for p in range(len(total)):
        is_listed = listed[p] | (counts & (rank[p] > 0))
        total[p] = score[p] + weight * points[p] if is_listed else np.float32(-np.inf)


@parallel_kernel
def score_trials(
    rows: tuple[I64, Bool],
    base: tuple[F32, Bool],
    own: tuple[F32, U16],
    trial: tuple[I64, F32],
    targets: tuple[I64, I64, I8],
    label: I8,
) -> None:
    """Fill in the hits of every trial t under base + weight[t] · points[member[t]].

    `rows` are (offsets (m + 1,), selected (m,)); `base` (score (c,), listed (c,), or (0,) if all are listed);
    `own` (points (M, c), rank (M, c)); `trial` (member (T,), weight (T,)); `targets` (start (m + 1,), place, part): the
    candidates that are targets, by row. `label` (T, m, k) must be −1; a hit gets its part; a score of −inf is no hit.
    Lower bound: T · c adds, and T · c compares per target among the candidates, 16 at a time.
    """
    offsets, selected = rows
    score, listed = base
    points, rank = own
    member, weight = trial
    start, place, part = targets
    k = label.shape[2]
    for r in prange(len(offsets) - 1):
        low, high = offsets[r], offsets[r + 1]
        if not selected[r] or start[r] == start[r + 1]:
            continue
        total = np.empty(high - low, dtype=np.float32)
        for t in range(len(member)):
            a = member[t]
            _total(total, (score[low:high], listed[low:high]), (points[a, low:high], rank[a, low:high]), weight[t])
            for b in range(start[r], start[r + 1]):
                if total[place[b] - low] == -np.inf:
                    continue
                at_rank = _rank_of(total, place[b] - low)
                if at_rank <= k:
                    label[t, r, at_rank - 1] = part[b]


@parallel_kernel
def count_listed(offsets: I64, rank: U16, listed: Bool, trial: tuple[I64, F32], length: I64) -> None:
    """Fill in the list length of every trial, `length` (T, m).

    A candidate counts if the base `listed` (c,) or, with weight above 0, the trial's member lists it. `length` must
    contain the largest length that is counted.
    """
    member, weight = trial
    for r in prange(len(offsets) - 1):
        for t in range(len(member)):
            count, p, most = np.int64(0), offsets[r], length[t, r]
            while p < offsets[r + 1] and count < most:
                count += np.int64(listed[p] or (weight[t] > 0 and rank[member[t], p] > 0))
                p += 1
            length[t, r] = count


@parallel_kernel
def cross_entropy(
    rows: tuple[I64, Bool], points: F32, weight: F64, targets: tuple[I64, I64], loss: F64, slope: F64
) -> None:
    """Fill in the cross-entropy of each row and its gradient in weight[r].

    −mean over the row's targets of log softmax(Σ_m weight[r, m] points[m]). `weight` (m, M), or (1, M) for common
    weights; `loss` (m,) and `slope` (m, M) must be zeros.
    """
    offsets, selected = rows
    start, place = targets
    for r in prange(len(offsets) - 1):
        low, high = offsets[r], offsets[r + 1]
        n = start[r + 1] - start[r]
        if not selected[r] or n == 0:
            continue
        w = weight[r * np.int64(len(weight) > 1)]
        total = np.zeros(high - low)
        for m in range(len(points)):
            for p in range(low, high):
                total[p - low] += w[m] * points[m, p]
        most = total.max()
        target_total = 0.0
        for a in range(start[r], start[r + 1]):
            target_total += total[place[a] - low]
        total = np.exp(total - most)
        norm = total.sum()
        loss[r] = most + np.log(norm) - target_total / n
        for m in range(len(points)):
            grad = 0.0
            for p in range(low, high):
                grad += total[p - low] * points[m, p]
            grad /= norm
            for a in range(start[r], start[r + 1]):
                grad -= points[m, place[a]] / n
            slope[r, m] = grad


@parallel_kernel
def round_robin(offsets: I64, rank: U16, members: tuple[I64, I64], shared: int, out: F64) -> None:
    """Fused lists of members that add their next item in turn.

    `out` (c,) must be −inf and gets minus the position in the list.
    `members` are (turns (t,), active members (M',)); the turn of a member without further items is skipped. With
    `shared` > 0, candidates of at least that many active members come first, by most lists, then least sum of ranks.
    """
    turns, active = members
    for r in prange(len(offsets) - 1):
        low, n = offsets[r], offsets[r + 1] - offsets[r]
        position = 0
        if shared > 0:
            position = _list_shared(rank[:, low : low + n], active, shared, out[low : low + n])
        place, following = _by_rank(rank, active, low, n)
        for turn in turns:
            a = np.searchsorted(active, turn)
            while following[a] < place.shape[1]:
                p = place[a, following[a]]
                following[a] += 1
                if p >= 0 and out[low + p] == -np.inf:
                    out[low + p] = -position
                    position += 1
                    break


@kernel
def _list_shared(rank: U16, active: I64, shared: int, out: F64) -> int:
    """List the candidates that at least `shared` active members list; return their number.

    `rank` (M, n), `out` (n,).
    """
    n = rank.shape[1]
    nowhere = 2**60
    key = np.full(n, np.int64(nowhere))
    for p in range(n):
        listed, total = 0, 0
        for a in active:
            listed += rank[a, p] > 0
            total += np.int64(rank[a, p])
        if listed >= shared:
            key[p] = total - listed * 2**40
    n_listed = 0
    for p in np.argsort(key, kind="mergesort"):
        if key[p] < nowhere:
            out[p] = -n_listed
            n_listed += 1
    return n_listed


@kernel
def _by_rank(rank: U16, active: I64, low: int, n: int) -> tuple[I64, I64]:
    """place[a, r − 1], the candidate of active member a at rank r (−1: none); and a zero per member."""
    deepest = 0
    for a in active:
        for p in range(n):
            deepest = max(deepest, np.int64(rank[a, low + p]))
    place = np.full((len(active), deepest), np.int64(-1))
    for at in range(len(active)):
        for p in range(n):
            if rank[active[at], low + p] > 0:
                place[at, rank[active[at], low + p] - 1] = p
    return place, np.zeros(len(active), dtype=np.int64)
