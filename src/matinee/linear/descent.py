"""Elastic-net regression of every column on all others, by coordinate descent on the Gram matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csc_array, csr_array

from matinee.arrays import F32, F64, I32, I64
from matinee.kernel import kernel, parallel_kernel, prange
from matinee.observer import SILENT, Observer

COLUMNS = 1024
"""Columns solved between two progress reports; their weights share one buffer."""

MIN_WORKING_SET = 64
"""Minimum number of violating candidates that enter the working set at once."""


class ElasticNetConfig(NamedTuple):
    """Objective of a column and options of its descent.

    ½‖x_j − Xw‖² + ½ l2 ‖w‖² + l1 ‖w‖₁ with w_j = 0, w ≥ 0 optional.
    """

    l1: float
    l2: float
    non_negative: bool
    candidates: int
    """Number of items that may have a weight: those of largest cosine with j."""
    tolerance: float
    """A column is solved when no optimality violation exceeds this fraction of its largest co-occurrence."""
    passes: int
    """Maximum number of sweeps over the working sets of a column."""


def coordinate_descent(
    G: F32, rule: ElasticNetConfig, observer: Observer = SILENT, start: csr_array | None = None
) -> csr_array:
    """W (n, n) sparse from the Gram matrix G (n, n).

    Column j minimizes the objective of `rule`.

    A column has a small working set: the non-zero weights and the candidates with the largest violations of the
    optimality conditions. It is solved on its own dense Gram matrix (a, a) in the second-level cache; then the
    gradients of all m candidates are updated in a · m reads, until none violates. Floor: n · a · (m + sweeps · a) adds.
    Memory beside G: 8 bytes for each of 1024 × m weights, and per thread 4 a² for the working set, a ≤ m. Columns
    start at those of `start`, for example the W of another rule; the solution is the same, with fewer sweeps.
    """
    n = len(G)
    m = min(rule.candidates, n - 1)
    scale = 1.0 / np.sqrt(np.maximum(np.diag(G).astype(np.float64), 1.0))
    numbers = np.array([rule.l1, rule.l2, rule.non_negative, rule.tolerance, rule.passes], dtype=np.float64)
    first = csc_array((n, n), dtype=np.float32) if start is None else start.tocsc()
    first.sort_indices()
    given = first.indptr.astype(np.int64), first.indices.astype(np.int32), first.data.astype(np.float32)
    kept: list[tuple[I32, F32, I64]] = []
    with observer.progress("columns", n) as advance:
        for low in range(0, n, COLUMNS):
            high = min(n, low + COLUMNS)
            item = np.full((high - low, m), -1, dtype=np.int32)
            weight = np.zeros((high - low, m), dtype=np.float32)
            _columns((G, scale), low, numbers, given, item, weight)
            there = item >= 0
            kept.append((item[there], weight[there], there.sum(axis=1)))
            advance(high - low)
    indptr = np.concatenate([[0], *(size for _, _, size in kept)]).cumsum()
    data, rows = np.concatenate([w for _, w, _ in kept]), np.concatenate([i for i, _, _ in kept])
    W = csc_array((data, rows, indptr), shape=(n, n)).tocsr()
    W.sort_indices()
    return W


@parallel_kernel
def _columns(of: tuple[F32, F64], low: int, rule: F64, given: tuple[I64, I32, F32], item: I32, weight: F32) -> None:
    G, scale = of
    indptr, row, value = given
    for c in prange(len(item)):
        own = slice(indptr[low + c], indptr[low + c + 1])
        chosen = _candidates(G, scale, low + c, item.shape[1], rule[2] > 0.0)
        w = _initial(chosen, row[own], value[own], rule[2] > 0.0)
        _solve(G, low + c, chosen, rule, w)
        _compact(chosen, w, item[c], weight[c])


@kernel
def _initial(chosen: I32, row: I32, value: F32, non_negative: bool) -> F64:
    """Initial weights (m,) of the candidates `chosen`: `value` (a,) of those in `row` (a,); both ascending."""
    w = np.zeros(len(chosen), dtype=np.float64)
    at = 0
    for p in range(len(chosen)):
        while at < len(row) and row[at] < chosen[p]:
            at += 1
        if at < len(row) and row[at] == chosen[p] and (value[at] > 0.0 or not non_negative):
            w[p] = value[at]
    return w


@kernel
def _compact(chosen: I32, w: F64, item: I32, weight: F32) -> None:
    """Move the non-zero weights to the front of `item` (filled with −1) and `weight`, both (m,)."""
    size = 0
    for p in range(len(chosen)):
        if w[p] != 0.0:
            item[size], weight[size] = chosen[p], w[p]
            size += 1


@kernel
def _candidates(G: F32, scale: F64, j: int, m: int, non_negative: bool) -> I32:
    """The m items of largest cosine with j, ascending, without j; ties at the m-th go to the smaller code.

    Items without common users can only have negative weights; with `non_negative` they are excluded.
    """
    n = len(G)
    cosine = np.empty(n, dtype=np.float64)
    co_occurring = 0
    for i in range(n):
        cosine[i] = G[j, i] * scale[i]
        co_occurring += i != j and G[j, i] > 0.0
    cosine[j] = -1.0
    n_chosen = min(m, co_occurring) if non_negative else m
    chosen = np.empty(n_chosen, dtype=np.int32)
    if n_chosen == 0:
        return chosen
    least = np.partition(cosine, n - n_chosen)[n - n_chosen]
    ties = n_chosen
    for i in range(n):
        ties -= cosine[i] > least
    size = 0
    for i in range(n):
        tied = cosine[i] == least and ties > 0
        if cosine[i] > least or tied:
            chosen[size] = i
            size += 1
            ties -= tied
    return chosen


@kernel
def _step(gradient: float, weight: float, curvature: float, l1: float, non_negative: bool) -> float:
    """Optimal value of one weight with the others fixed, by soft thresholding."""
    aim = curvature * weight - gradient
    if aim > l1:
        return (aim - l1) / curvature
    if aim < -l1 and not non_negative:
        return (aim + l1) / curvature
    return 0.0


@kernel
def _solve(G: F32, j: int, chosen: I32, rule: F64, w: F64) -> None:
    """Solve column j over its candidates `chosen` (m,), in place from w (m,).

    `rule` has the numbers of `ElasticNetConfig` as an array, without the candidates. At most `max_iter` sweeps, so
    gradients that never become small because of rounding cost no more.
    """
    l1, l2, non_negative = rule[0], rule[1], rule[2] > 0.0
    m = len(chosen)
    gradient = np.empty(m, dtype=np.float64)  # of ½‖x_j − Xw‖² + ½ l2 ‖w‖²
    off = np.empty(m, dtype=np.float64)
    largest = 0.0
    for p in range(m):
        gradient[p] = -G[j, chosen[p]]
        largest = max(largest, float(G[j, chosen[p]]))
    for q in range(m):
        if w[q] != 0.0:
            _update_gradient(G, chosen, q, w[q], l2, gradient)
    enough = rule[3] * largest
    own = rule.copy()
    own[3] = enough
    while own[4] > 0.0:
        worst, wrong, size = 0.0, 0, 0
        for p in range(m):
            curvature = G[chosen[p], chosen[p]] + l2
            off[p] = abs(_step(gradient[p], w[p], curvature, l1, non_negative) - w[p]) * curvature
            worst = max(worst, off[p])
            wrong += w[p] == 0.0 and off[p] > enough
            size += w[p] != 0.0
        if worst <= enough:
            break
        bar, limit = enough, max(MIN_WORKING_SET, size)
        if wrong > limit:
            idle = np.where(w == 0.0, off, 0.0)
            bar = max(enough, np.partition(idle, m - limit)[m - limit] * (1.0 - 1e-12))
        working = np.empty(m, dtype=np.int64)
        a = 0
        for p in range(m):
            if w[p] != 0.0 or off[p] > bar:
                working[a] = p
                a += 1
        own[4] -= _solve_working_set(G, chosen, working[:a], own, w, gradient)


@kernel
def _solve_working_set(G: F32, chosen: I32, working: I64, rule: F64, w: F64, gradient: F64) -> int:
    """Solve the working set, then update the gradients of all candidates; returns the number of sweeps."""
    l1, l2, non_negative, enough = rule[0], rule[1], rule[2] > 0.0, rule[3]
    a = len(working)
    small = _submatrix(G, chosen[working])
    here, before, slope = np.empty(a), np.empty(a), np.empty(a)
    for x in range(a):
        here[x], slope[x] = w[working[x]], gradient[working[x]]
        before[x] = here[x]
    sweeps, worst = 0, np.inf
    while sweeps < rule[4] and worst > 0.3 * enough:
        sweeps += 1
        worst = 0.0
        for x in range(a):
            curvature = small[x, x] + l2
            change = _step(slope[x], here[x], curvature, l1, non_negative) - here[x]
            if change != 0.0:
                row = small[x]
                for y in range(a):
                    slope[y] += change * row[y]
                slope[x] += change * l2
                here[x] += change
                worst = max(worst, abs(change) * curvature)
    for x in range(a):
        change = here[x] - before[x]
        if change != 0.0:
            w[working[x]] = here[x]
            _update_gradient(G, chosen, working[x], change, l2, gradient)
    return sweeps


@kernel
def _update_gradient(G: F32, chosen: I32, at: int, change: float, l2: float, gradient: F64) -> None:
    """Update the gradients (m,) for a change of weight `at` of the candidates."""
    row = G[chosen[at]]
    for p in range(len(chosen)):
        gradient[p] += change * row[chosen[p]]
    gradient[at] += change * l2


@kernel
def _submatrix(G: F32, item: I32) -> F32:
    """Rows and columns `item` (a,) of G, (a, a)."""
    small = np.empty((len(item), len(item)), dtype=np.float32)
    for x in range(len(item)):
        for y in range(len(item)):
            small[x, y] = G[item[x], item[y]]
    return small
