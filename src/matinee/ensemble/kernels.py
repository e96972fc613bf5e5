"""Compiled loops over pools: where answers come to stand, and members that take turns. Each has a slow twin in
`tests/ensemble/`; the layout of a pool is that of `matinee.candidates.kernels`.
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
    """The rank, from 1, of candidate `at` among the scores (n,) of a row: one vectorised count."""
    s = total[at]
    better = np.int32(0)
    for i in range(at):
        better += np.int32(total[i] >= s)
    for i in range(at + 1, len(total)):
        better += np.int32(total[i] > s)
    return np.int64(better) + 1  # pyright: ignore[reportReturnType]


@kernel
def _total(total: F32, base: tuple[F32, Bool], own: tuple[F32, U16], weight: float) -> None:
    """Total (n,) = base + weight · own; −inf where neither the base nor, with a weight above 0, the member lists it."""
    (score, listed), (points, rank) = base, own
    if len(listed) == 0:
        for p in range(len(total)):
            total[p] = score[p] + weight * points[p]
        return
    plays = weight > 0
    for p in range(len(total)):
        there = listed[p] | (plays & (rank[p] > 0))
        total[p] = score[p] + weight * points[p] if there else np.float32(-np.inf)


@parallel_kernel
def score_trials(
    rows: tuple[I64, Bool],
    base: tuple[F32, Bool],
    own: tuple[F32, U16],
    trial: tuple[I64, F32],
    answers: tuple[I64, I64, I8],
    label: I8,
) -> None:
    """For every trial t the scores base + weight[t] · points[member[t]], and which ranks of a list are then hits.

    `rows` are (offsets, asked (m,): whom it is about), `base` (score (c,), listed (c,) or, where nothing is to be left
    out, (0,)), `own` (points (M, c), rank (M, c)), `trial` (member, weight), `answers` (start (m + 1,), place, part):
    the candidates that are answers, by row. `label` (T, m, k) comes in as −1; a hit gets its part; −inf is no hit.
    Floor: T · c adds and T · c compares an answer that is a candidate, 16 at a time.
    """
    offsets, asked = rows
    score, listed = base
    points, rank = own
    member, weight = trial
    start, place, part = answers
    k = label.shape[2]
    for r in prange(len(offsets) - 1):
        low, high = offsets[r], offsets[r + 1]
        if not asked[r] or start[r] == start[r + 1]:
            continue
        total = np.empty(high - low, dtype=np.float32)
        for t in range(len(member)):
            a = member[t]
            _total(total, (score[low:high], listed[low:high]), (points[a, low:high], rank[a, low:high]), weight[t])
            for b in range(start[r], start[r + 1]):
                if total[place[b] - low] == -np.inf:
                    continue
                stand = _rank_of(total, place[b] - low)
                if stand <= k:
                    label[t, r, stand - 1] = part[b]


@parallel_kernel
def count_listed(offsets: I64, rank: U16, listed: Bool, trial: tuple[I64, F32], length: I64) -> None:
    """Length (T, m): for every trial how many candidates the base (c,) or, by weight above 0, its member lists; k
    where it comes in as k, and counted no further.
    """
    member, weight = trial
    for r in prange(len(offsets) - 1):
        for t in range(len(member)):
            found, p, most = np.int64(0), offsets[r], length[t, r]
            while p < offsets[r + 1] and found < most:
                found += np.int64(listed[p] or (weight[t] > 0 and rank[member[t], p] > 0))
                p += 1
            length[t, r] = found


@parallel_kernel
def cross_entropy(
    rows: tuple[I64, Bool], points: F32, weight: F64, answers: tuple[I64, I64], loss: F64, slope: F64
) -> None:
    """−mean over a row's answers of log softmax(Σ_m weight[r, m] points[m]), and its gradient in weight[r], by row.

    `weight` (m, M) or (1, M) for everybody alike; `loss` (m,) and `slope` (m, M) come in as zeros.
    """
    offsets, asked = rows
    start, place = answers
    for r in prange(len(offsets) - 1):
        low, high = offsets[r], offsets[r + 1]
        n = start[r + 1] - start[r]
        if not asked[r] or n == 0:
            continue
        w = weight[r * np.int64(len(weight) > 1)]
        total = np.zeros(high - low)
        for m in range(len(points)):
            for p in range(low, high):
                total[p - low] += w[m] * points[m, p]
        most = total.max()
        answered = 0.0
        for a in range(start[r], start[r + 1]):
            answered += total[place[a] - low]
        total = np.exp(total - most)
        norm = total.sum()
        loss[r] = most + np.log(norm) - answered / n
        for m in range(len(points)):
            grad = 0.0
            for p in range(low, high):
                grad += total[p - low] * points[m, p]
            grad /= norm
            for a in range(start[r], start[r + 1]):
                grad -= points[m, place[a]] / n
            slope[r, m] = grad


@parallel_kernel
def round_robin(offsets: I64, rank: U16, who: tuple[I64, I64], shared: int, out: F64) -> None:
    """Members name their next item in turn; `out` (c,) comes in as −inf and gets minus the position of what is named.

    `who` is (turns (t,), the members that play (M',)); a turn of somebody with nothing left is passed over. With
    `shared` > 0, candidates that at least so many players list come first: most lists, then least sum of ranks there.
    """
    turns, players = who
    for r in prange(len(offsets) - 1):
        low, n = offsets[r], offsets[r + 1] - offsets[r]
        position = 0
        if shared > 0:
            position = _name_shared(rank[:, low : low + n], players, shared, out[low : low + n])
        place, following = _by_rank(rank, players, low, n)
        for turn in turns:
            a = np.searchsorted(players, turn)
            while following[a] < place.shape[1]:
                p = place[a, following[a]]
                following[a] += 1
                if p >= 0 and out[low + p] == -np.inf:
                    out[low + p] = -position
                    position += 1
                    break


@kernel
def _name_shared(rank: U16, players: I64, shared: int, out: F64) -> int:
    """Name what at least `shared` of the players list in `rank` (M, n); how many that were."""
    n = rank.shape[1]
    nowhere = 2**60
    key = np.full(n, np.int64(nowhere))
    for p in range(n):
        listed, total = 0, 0
        for a in players:
            listed += rank[a, p] > 0
            total += np.int64(rank[a, p])
        if listed >= shared:
            key[p] = total - listed * 2**40
    named = 0
    for p in np.argsort(key, kind="mergesort"):
        if key[p] < nowhere:
            out[p] = -named
            named += 1
    return named


@kernel
def _by_rank(rank: U16, players: I64, low: int, n: int) -> tuple[I64, I64]:
    """place[a, r − 1], the candidate (from 0) that player a has at rank r, −1 none; and zeros, one a player."""
    deepest = 0
    for a in players:
        for p in range(n):
            deepest = max(deepest, np.int64(rank[a, low + p]))
    place = np.full((len(players), deepest), np.int64(-1))
    for at in range(len(players)):
        for p in range(n):
            if rank[players[at], low + p] > 0:
                place[at, rank[players[at], low + p] - 1] = p
    return place, np.zeros(len(players), dtype=np.int64)
