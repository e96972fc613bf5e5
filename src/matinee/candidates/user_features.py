"""Features of users from their query history and their candidate lists, for gates and re-rankers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.pool import CandidatePool
from matinee.data import Histories
from matinee.data.ragged import make_readonly
from matinee.errors import DataError, UnknownNameError
from matinee.kernel import parallel_kernel, prange

F64: TypeAlias = NDArray[np.float64]
I64: TypeAlias = NDArray[np.int64]

DAY = 86_400
NEWEST = 5
"""Number of last rows of a history that `recent` reads."""

TOP = 10
"""Number of items of each list that `agreement` compares."""

BINS = 10
"""Popularity bands, each with a tenth of all interactions."""

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "length": "Log of 1 + the number of rows of the history.",
        "repeats": "Fraction of the history's rows that repeat an earlier item; 0 if it is empty.",
        "popularity": "Mean log(1 + popularity) of the history's items; that of all interactions if it is empty.",
        "recent": "The same for the last five rows.",
        "breadth": "Entropy of the history's items over ten popularity bands; 0 if it is empty.",
        "steps": "Mean absolute change of log popularity from row to row; 0 with fewer than two rows.",
        "agreement": "Mean Jaccard index of two members' first ten items; 1 without a pair of non-empty lists.",
        "candidates": "Log of 1 + the number of items that any member lists.",
    }
)
TIME_FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "span": "Log of 1 + the days from the first row to the last; 0 with fewer than two rows.",
        "last_day": "Fraction of the rows within a day of the last; 1 if the history is empty.",
        "gap": "Log of 1 + the median minutes from row to row; 0 with fewer than two rows.",
    }
)
ALL_FEATURES: Mapping[str, str] = MappingProxyType({**FEATURES, **TIME_FEATURES})
"""Feature → definition; `TIME_FEATURES` exist only if times are seconds."""


@dataclass(frozen=True, eq=False)
class UserFeatures:
    """Features `values` (m, F) of m users; column f is `names[f]`.

    Values are finite and not standardized. Those of a user do not depend on the other users of the query.
    """

    names: tuple[str, ...]
    values: F64

    def __post_init__(self) -> None:
        make_readonly(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def select_rows(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> UserFeatures:
        """The features of some of the users."""
        return UserFeatures(self.names, self.values[which])

    def of(self, names: tuple[str, ...]) -> F64:
        """The columns of these names, (m, len(names))."""
        for name in names:
            if name not in self.names:
                raise UnknownNameError("user feature", name, self.names, "gate")
        return self.values[:, [self.names.index(name) for name in names]]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows of m histories, flat: user `row`, log popularity and band of each, (N,).

    `length` (m,) is the number of rows of each user.
    """

    query: Histories
    row: I64
    length: I64
    log_popularity: F64
    band: I64
    average: float
    """Mean log popularity of all interactions."""

    def mean(self, value: F64, which: NDArray[np.bool_], empty: float) -> F64:
        """Mean of `value` (N,) over the rows `which` (N,) of each user, (m,).

        `empty` for users without such a row.
        """
        n = np.bincount(self.row[which], minlength=len(self.length))
        total = np.bincount(self.row[which], value[which], len(self.length))
        return np.where(n > 0, total / np.maximum(n, 1), empty)

    @property
    def from_end(self) -> I64:
        """Number of later rows of the same user, (N,)."""
        return self.query.offsets[1:][self.row] - 1 - np.arange(len(self.row))

    @property
    def follows(self) -> NDArray[np.bool_]:
        """Whether an earlier row of the same user exists, (N,)."""
        return np.arange(len(self.row)) > self.query.offsets[:-1][self.row]


def user_features(
    query: Histories, pool: CandidatePool, popularity: NDArray[np.integer] | F64, *, real_time: bool
) -> UserFeatures:
    """Features of the users of the query; the rows of `pool` are the same users.

    `popularity` (n_items,) is the number of users of each item in the training set; `real_time` means that times are
    seconds.
    """
    if len(query) != len(pool) or not np.array_equal(query.user, pool.user):
        found = f"{len(query)} histories and {len(pool)} lists of other users or in another order"
        raise DataError("user features", found, "the same users in the same rows", "Make both from one split.")
    length = np.diff(query.offsets)
    log_popularity = np.log1p(np.asarray(popularity, dtype=np.float64))
    total = float(popularity.sum())
    rows = _Rows(
        query=query,
        row=np.repeat(np.arange(len(query), dtype=np.int64), length),
        length=length,
        log_popularity=log_popularity[query.item],
        band=_bands(np.asarray(popularity, dtype=np.float64))[query.item],
        average=float((log_popularity * popularity).sum()) / total if total > 0 else 0.0,
    )
    agreement = np.ones(len(pool))
    _mean_jaccard(pool.offsets, pool.rank, TOP, agreement)
    columns: dict[str, F64] = {
        "length": np.log1p(length.astype(np.float64)),
        "repeats": (length - np.diff(query.matrix.indptr)) / np.maximum(length, 1),
        "popularity": rows.mean(rows.log_popularity, rows.length[rows.row] > 0, rows.average),
        "recent": rows.mean(rows.log_popularity, rows.from_end < NEWEST, rows.average),
        "breadth": _breadth(rows),
        "steps": rows.mean(np.abs(_change(rows.log_popularity)), rows.follows, 0.0),
        "agreement": agreement,
        "candidates": np.log1p(np.diff(pool.offsets).astype(np.float64)),
    }
    if real_time:
        columns |= {name: of(rows) for name, of in _TIMES.items()}
    names = tuple(name for name in ALL_FEATURES if name in columns)
    return UserFeatures(names, np.column_stack([columns[name] for name in names]))


def _change(value: F64) -> F64:
    """Each value minus the one before, (N,); the first is 0."""
    return np.diff(value, prepend=value[:1])


def _bands(popularity: F64) -> I64:
    """Popularity band of each item, 0 the least popular, (n_items,). Equally popular items share a band."""
    level, which, n = np.unique(popularity, return_inverse=True, return_counts=True)
    total = level * n
    middle = np.cumsum(total) - total / 2.0
    return np.minimum((BINS * middle / max(total.sum(), 1.0)).astype(np.int64), BINS - 1)[which]


def _breadth(rows: _Rows) -> F64:
    count = np.bincount(rows.row * BINS + rows.band, minlength=len(rows.length) * BINS).reshape(-1, BINS)
    share = count / np.maximum(rows.length, 1)[:, None]
    return -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)


def _span(rows: _Rows) -> F64:
    first, last = np.zeros(len(rows.length)), np.zeros(len(rows.length))
    full = rows.length > 0
    first[full] = rows.query.time[rows.query.offsets[:-1][full]]
    last[full] = rows.query.time[rows.query.offsets[1:][full] - 1]
    return np.log1p((last - first) / DAY)


def _last_day(rows: _Rows) -> F64:
    last = rows.query.time[rows.query.offsets[1:][rows.row] - 1]
    near = (last - rows.query.time <= DAY).astype(np.float64)
    return rows.mean(near, np.ones(len(near), dtype=np.bool_), 1.0)


def _gap(rows: _Rows) -> F64:
    """The median is the mean of the middle two if the number of gaps is even."""
    row, minutes = rows.row[rows.follows], np.diff(rows.query.time, prepend=0)[rows.follows] / 60.0
    minutes = minutes[np.lexsort((minutes, row))]
    n = np.maximum(rows.length - 1, 0)
    start, full = np.cumsum(n) - n, n > 0
    middle = np.zeros(len(n))
    low, high = (start + (n - 1) // 2)[full], (start + n // 2)[full]
    middle[full] = (minutes[low] + minutes[high]) / 2.0
    return np.log1p(middle)


_TIMES: Mapping[str, Callable[[_Rows], F64]] = MappingProxyType({"span": _span, "last_day": _last_day, "gap": _gap})


@parallel_kernel
def _mean_jaccard(offsets: I64, rank: NDArray[np.uint16], top: int, out: F64) -> None:
    """Mean over pairs of members of |a ∩ b| / |a ∪ b| of their first `top` items.

    `out` (m,) must be ones. Pairs of two empty lists are excluded.
    """
    M = len(rank)
    for r in prange(len(offsets) - 1):
        shared = np.zeros((M, M))
        for p in range(offsets[r], offsets[r + 1]):
            for a in range(M):
                if 0 < rank[a, p] <= top:
                    for b in range(a + 1):
                        shared[a, b] += np.float64(0 < rank[b, p] <= top)
        total, pairs = 0.0, 0
        for a in range(M):
            for b in range(a):
                union = shared[a, a] + shared[b, b] - shared[a, b]
                if union > 0:
                    total += shared[a, b] / union
                    pairs += 1
        if pairs > 0:
            out[r] = total / pairs
