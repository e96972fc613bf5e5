"""Negative sampling: items without an interaction of the user, drawn in compiled loops.

A draw is a function of (seed, position in the result), so it does not depend on threads.
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
"""Maximum number of rejected draws before one exact draw, which takes n operations."""


@dataclass(frozen=True, eq=False)
class NegativeSampler:
    """Draws items without an interaction of the user, with probability ∝ popularity^power.

    `matrix` (users, n) has the interactions, items ascending in a row. `probs` (n,) sum to 1; `uniform` means that all
    are equal.
    """

    kind: str
    """Kind of the model, for messages."""

    matrix: csr_array
    probs: F64
    uniform: bool = True

    @staticmethod
    def of(kind: str, matrix: csr_array, power: float = 0.0) -> NegativeSampler:
        """The sampler ∝ popularity^power; unless power is 0, items without interactions are never drawn."""
        if not matrix.has_sorted_indices:
            matrix = matrix.sorted_indices()
        if power == 0:
            return NegativeSampler(kind, matrix, np.full(matrix.shape[1], 1.0 / matrix.shape[1]))
        count = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float64)
        law = np.power(count, power, where=count > 0, out=np.zeros_like(count))
        return NegativeSampler(kind, matrix, law / law.sum(), uniform=False)

    def draw(self, user: NDArray[np.integer], m: int, rng: np.random.Generator) -> I32:
        """Negatives (b, m), drawn with repeats, for rows (b,) of the matrix.

        Raises `UnsupportedError` for a user without an item to draw.
        """
        rows, items = self.matrix.indptr.astype(np.int64), self.matrix.indices
        user_rows = np.ascontiguousarray(user, dtype=np.int64)
        self._refuse_full(user_rows, rows, items)
        seed = rng.integers(0, 2**63, dtype=np.uint64)
        found = np.empty((len(user_rows), m), dtype=np.int32)
        if self.uniform:
            _uniform(rows, items, user_rows, self.matrix.shape[1], seed, found)
        else:
            _by_law(rows, items, user_rows, (self.probs, self._reach), seed, found)
        return found

    def _refuse_full(self, user_rows: NDArray[np.int64], rows: NDArray[np.int64], items: I32) -> None:
        n = int(np.count_nonzero(self.probs))
        if ((rows[1:] - rows[:-1])[user_rows] >= n).any():
            wanted = f"draw a negative for a user with interactions with all {n:,} items"
            raise UnsupportedError(self.kind, wanted, "Use a loss over the whole catalogue, or remove such users.")

    def is_negative(self, user: NDArray[np.integer], item: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which items (c,) are negatives of each row (b,), (b, c)."""
        rows, items = self.matrix.indptr.astype(np.int64), self.matrix.indices
        found = np.empty((len(user), len(item)), dtype=np.bool_)
        _outside(rows, items, np.ascontiguousarray(user, dtype=np.int64), item.astype(np.int32), found)
        return found

    def log_expected(self, item: NDArray[np.integer], m: int, user: NDArray[np.integer] | None = None) -> F64:
        """log(m · q) of the items (b, c), the log expected counts among m draws.

        q is the probability over the whole catalogue, as of in-batch negatives. For negatives that `draw` returned for
        `user` (b,) it is q / (1 − Q), Q the probability of the items of the user. For `losses.sampled_softmax`.
        """
        expected = np.log(m * self.probs[item])
        return expected if user is None else expected - np.log(self._left[user])[:, None]

    @cached_property
    def _reach(self) -> F64:
        """Cumulative probabilities, (n,)."""
        return np.cumsum(self.probs)

    @cached_property
    def _left(self) -> F64:
        """Total probability of the negatives of each user, (users,)."""
        starts, items = self.matrix.indptr, self.matrix.indices
        row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        left: F64 = 1.0 - np.bincount(row, self.probs[items], len(starts) - 1).astype(np.float64)
        for r in np.flatnonzero(left < 1e-6):  # too small for the subtraction to be exact
            left[r] = np.delete(self.probs, items[starts[r] : starts[r + 1]]).sum()
        return left


def hardest_negative(candidates: Tensor, scores: Tensor) -> Tensor:
    """The candidate (b, m) with the highest score (b, m), the first of equals: (b,)."""
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
    """Whether `wanted` is in items[low:high], ascending."""
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
    rows: NDArray[np.int64], items: I32, user_rows: NDArray[np.int64], n: int, seed: np.uint64, found: I32
) -> None:
    """The u-th missing item of a row, u uniform: one binary search, since items[i] − i are missing before place i."""
    m = found.shape[1]
    for r in prange(len(user_rows)):
        start, stop = rows[user_rows[r]], rows[user_rows[r] + 1]
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
    rows: NDArray[np.int64],
    items: I32,
    user_rows: NDArray[np.int64],
    laws: tuple[F64, F64],
    seed: np.uint64,
    found: I32,
) -> None:
    """Rejection sampling; an exact draw after TRIES rejections."""
    law, reach = laws
    m, n = found.shape[1], len(reach)
    for r in prange(len(user_rows)):
        start, stop = int(rows[user_rows[r]]), int(rows[user_rows[r] + 1])
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
    """The item at quantile u of the probabilities of the items not in items[start:stop]."""
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
    rows: NDArray[np.int64], items: I32, user_rows: NDArray[np.int64], item: I32, found: NDArray[np.bool_]
) -> None:
    for r in prange(len(user_rows)):
        start, stop = int(rows[user_rows[r]]), int(rows[user_rows[r] + 1])
        for c in range(len(item)):
            found[r, c] = not _contains(items, start, stop, item[c])
