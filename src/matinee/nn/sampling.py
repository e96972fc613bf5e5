"""Negatives: items a person did not take, drawn without a loop in Python and never a positive.

A draw is decided by (seed, place in the answer) alone, so threads cannot change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from matinee.errors import UnsupportedError
from matinee.hashing import GOLDEN, mix64
from matinee.kernel import kernel, parallel_kernel, prange

I32: TypeAlias = NDArray[np.int32]
F64: TypeAlias = NDArray[np.float64]
TRIES = 32
"""Draws that may hit a positive before the rest is counted out, which takes n operations."""


@dataclass(frozen=True, eq=False)
class NegativeSampler:
    """Draws from popularity^power over what a person did not take; power 0 is uniform.

    `matrix` (users, n) says who took what, items ascending in a row. `law` (n,) sums to 1; `even` says that it is the
    uniform one.
    """

    kind: str
    """Of the model that asks, for its complaints."""

    matrix: csr_array
    probs: F64
    uniform: bool = True

    @staticmethod
    def of(kind: str, matrix: csr_array, power: float = 0.0) -> NegativeSampler:
        """The law of popularity^power; with any other power than 0 an item nobody took is never drawn."""
        if not matrix.has_sorted_indices:
            matrix = matrix.sorted_indices()
        if power == 0:
            return NegativeSampler(kind, matrix, np.full(matrix.shape[1], 1.0 / matrix.shape[1]))
        count = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
        law = np.power(count, power, where=count > 0, out=np.zeros_like(count))
        return NegativeSampler(kind, matrix, law / law.sum(), uniform=False)

    def draw(self, user: NDArray[np.integer], m: int, rng: np.random.Generator) -> I32:
        """Negatives, m with repeats, for each asked row of the matrix (b,): (b, m).

        Raises `CannotDo` for a person who took everything there is to draw.
        """
        rows, items = self.matrix.indptr.astype(np.int64), self.matrix.indices
        asked = np.ascontiguousarray(user, dtype=np.int64)
        self._refuse_full(asked, rows, items)
        seed = rng.integers(0, 2**63, dtype=np.uint64)
        found = np.empty((len(asked), m), dtype=np.int32)
        if self.uniform:
            _uniform(rows, items, asked, self.matrix.shape[1], seed, found)
        else:
            _by_law(rows, items, asked, (self.probs, self._reach), seed, found)
        return found

    def _refuse_full(self, asked: NDArray[np.int64], rows: NDArray[np.int64], items: I32) -> None:
        n = int(np.count_nonzero(self.probs))
        if ((rows[1:] - rows[:-1])[asked] >= n).any():
            wanted = f"draw a negative for a person who took all {n:,} items there are to draw"
            raise UnsupportedError(self.kind, wanted, "Use a loss over the whole catalogue, or leave such people out.")

    def is_negative(self, user: NDArray[np.integer], item: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of the items (c,) each asked row (b,) did not take, (b, c): what in-batch negatives are masked with."""
        rows, items = self.matrix.indptr.astype(np.int64), self.matrix.indices
        found = np.empty((len(user), len(item)), dtype=np.bool_)
        _outside(rows, items, np.ascontiguousarray(user, dtype=np.int64), item.astype(np.int32), found)
        return found

    def log_expected(self, item: NDArray[np.integer], m: int, user: NDArray[np.integer] | None = None) -> F64:
        """How often each of the items (b, c) is expected among m draws: log(m · q), for `losses.sampled_softmax`.

        q is the law over the whole catalogue, which is that of in-batch negatives. Of negatives that `draw` gave to
        `user` (b,) it is q / (1 − Q), Q what of the law falls on the items they took, which cannot be drawn.
        """
        expected = np.log(m * self.probs[item])
        return expected if user is None else expected - np.log(self._left[user])[:, None]

    @cached_property
    def _reach(self) -> F64:
        """The running sum of the law, (n,)."""
        return np.cumsum(self.probs)

    @cached_property
    def _left(self) -> F64:
        """What of the law falls on what each person did not take, (users,)."""
        starts, items = self.matrix.indptr, self.matrix.indices
        row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        left: F64 = 1.0 - np.bincount(row, self.probs[items], len(starts) - 1).astype(np.float64)
        for r in np.flatnonzero(left < 1e-6):  # so little that the subtraction has rounded it
            left[r] = np.delete(self.probs, items[starts[r] : starts[r + 1]]).sum()
        return left


def hardest_negative(candidates: Tensor, scores: Tensor) -> Tensor:
    """Of the drawn candidates (b, m) the one with the highest score (b, m), the first of equals: (b,)."""
    return candidates.gather(1, torch.argmax(scores, dim=1, keepdim=True))[:, 0]


@kernel
def _bits(seed: np.uint64, counter: np.uint64) -> np.uint64:
    """Number `counter` of the stream `seed` of splitmix64."""
    return mix64(seed + (counter + np.uint64(1)) * GOLDEN)


@kernel
def _unit(seed: np.uint64, counter: np.uint64) -> float:
    """The same as a number in [0, 1)."""
    return np.float64(_bits(seed, counter) >> np.uint64(11)) / 9007199254740992.0


@kernel
def _contains(items: I32, low: int, high: int, wanted: int) -> bool:
    """Whether `wanted` stands in items[low:high], ascending."""
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        elif items[middle] > wanted:
            high = middle
        else:
            return True
    return False


@parallel_kernel
def _uniform(
    rows: NDArray[np.int64], items: I32, asked: NDArray[np.int64], n: int, seed: np.uint64, found: I32
) -> None:
    """The u-th missing item of a row, u uniform: one binary search, since items[i] − i are missing before place i."""
    m = found.shape[1]
    for r in prange(len(asked)):
        start, stop = rows[asked[r]], rows[asked[r] + 1]
        free = np.uint64(n - (stop - start))
        for j in range(m):
            u = np.int64(_bits(seed, np.uint64(r * m + j)) % free)
            low, high = start, stop
            while low < high:
                middle = (low + high) // 2
                if items[middle] - (middle - start) <= u:
                    low = middle + 1
                else:
                    high = middle
            found[r, j] = u + (low - start)


@parallel_kernel
def _by_law(
    rows: NDArray[np.int64], items: I32, asked: NDArray[np.int64], laws: tuple[F64, F64], seed: np.uint64, found: I32
) -> None:
    """Draw, and draw again while it is a positive; who took nearly everything is counted out exactly."""
    law, reach = laws
    m, n = found.shape[1], len(reach)
    for r in prange(len(asked)):
        start, stop = int(rows[asked[r]]), int(rows[asked[r] + 1])
        for j in range(m):
            drawn = -1
            for t in range(TRIES):
                u = _unit(seed, np.uint64((r * m + j) * (TRIES + 1) + t))
                item = min(np.searchsorted(reach, u * reach[n - 1], side="right"), n - 1)
                if not _contains(items, start, stop, item):
                    drawn = item
                    break
            if drawn < 0:
                drawn = _draw_exact(items, start, stop, law, _unit(seed, np.uint64((r * m + j + 1) * (TRIES + 1) - 1)))
            found[r, j] = drawn


@kernel
def _draw_exact(items: I32, start: int, stop: int, law: F64, u: float) -> int:
    """The item at share u of the law over what does not stand in items[start:stop]."""
    total, last = 0.0, -1
    for sweep in range(2):
        wanted, running, at = u * total, 0.0, start
        for item in range(len(law)):
            if at < stop and items[at] == item:
                at += 1
                continue
            if law[item] <= 0.0:
                continue
            running += law[item]
            last = item
            if sweep == 1 and running > wanted:
                return item
        total = running
    return last


@parallel_kernel
def _outside(
    rows: NDArray[np.int64], items: I32, asked: NDArray[np.int64], item: I32, found: NDArray[np.bool_]
) -> None:
    for r in prange(len(asked)):
        start, stop = int(rows[asked[r]]), int(rows[asked[r] + 1])
        for c in range(len(item)):
            found[r, c] = not _contains(items, start, stop, item[c])
