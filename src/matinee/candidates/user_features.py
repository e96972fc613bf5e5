"""What is known of a person before the answer: numbers by which combinations may treat people differently."""

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
"""How many rows of a history count as its last few."""

TOP = 10
"""How much of a member's list is compared with those of the others."""

BINS = 10
"""Bands of popularity, each with a tenth of all that was taken."""

FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "length": "Logarithm of 1 + the rows of the history.",
        "repeats": "Share of the history's rows whose item stands further up in it; 0 for an empty one.",
        "popularity": "Mean logarithm of 1 + the popularity of the history's items; of all takes for an empty one.",
        "recent": "The same of the last five rows.",
        "breadth": "Entropy of the ten bands of popularity the history's items fall into; 0 for an empty one.",
        "steps": "Mean absolute change of log popularity from row to row; 0 below two rows.",
        "agreement": "Mean Jaccard index of two members' first ten items; 1 where there is nothing to compare.",
        "candidates": "Logarithm of 1 + the items any member lists.",
    }
)
TIME_FEATURES: Mapping[str, str] = MappingProxyType(
    {
        "span": "Logarithm of 1 + the days from the first row to the last; 0 below two rows.",
        "last_day": "Share of the rows within a day of the last; 1 for who came on one day only, or never.",
        "gap": "Logarithm of 1 + the median minutes from row to row; 0 below two rows.",
    }
)
ALL_FEATURES: Mapping[str, str] = MappingProxyType({**FEATURES, **TIME_FEATURES})
"""Every trait with its sentence; those of `CLOCKED` exist only where times are seconds."""


@dataclass(frozen=True, eq=False)
class UserFeatures:
    """`values` (m, F) of m people, finite, as they are (nobody has standardised them); column f is `names[f]`.

    A person's numbers depend on nobody else asked at the same time.
    """

    names: tuple[str, ...]
    values: F64

    def __post_init__(self) -> None:
        make_readonly(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def select_rows(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> UserFeatures:
        """The same of some of the people."""
        return UserFeatures(self.names, self.values[which])

    def of(self, names: tuple[str, ...]) -> F64:
        """The columns of the given names (m, len(names))."""
        for name in names:
            if name not in self.names:
                raise UnknownNameError("trait", name, self.names, "gate")
        return self.values[:, [self.names.index(name) for name in names]]


@dataclass(frozen=True, eq=False)
class _Rows:
    """Histories taken apart: of each of N rows its person `row`, log popularity and band; of each person the count."""

    ask: Histories
    row: I64
    length: I64
    worth: F64
    band: I64
    usual: float
    """Mean log popularity of all that was taken."""

    def mean(self, value: F64, which: NDArray[np.bool_], empty: float) -> F64:
        """The mean (m,) of `value` (N,) over the rows `which` (N,) of each person, `empty` for who has none."""
        n = np.bincount(self.row[which], minlength=len(self.length))
        total = np.bincount(self.row[which], value[which], len(self.length))
        return np.where(n > 0, total / np.maximum(n, 1), empty)

    @property
    def from_end(self) -> I64:
        """How many rows of the same person follow each row, (N,)."""
        return self.ask.offsets[1:][self.row] - 1 - np.arange(len(self.row))

    @property
    def follows(self) -> NDArray[np.bool_]:
        """Whether a row (N,) has one of the same person before it."""
        return np.arange(len(self.row)) > self.ask.offsets[:-1][self.row]


def user_features(
    ask: Histories, pool: CandidatePool, popularity: NDArray[np.integer] | F64, *, clocked: bool
) -> UserFeatures:
    """The traits of the people asked, whose lists are in `pool`, row by row.

    `popularity` (n_items,) is how many people took each item in the learn part; `clocked` says that times are seconds.
    """
    if len(ask) != len(pool) or not np.array_equal(ask.user, pool.user):
        found = f"histories of {len(ask)} people and lists of {len(pool)}, or of others"
        raise DataError("traits", found, "the same people in the same rows", "Make both from one split.")
    length = np.diff(ask.offsets)
    worth = np.log1p(np.asarray(popularity, dtype=np.float64))
    taken = float(popularity.sum())
    rows = _Rows(
        ask=ask,
        row=np.repeat(np.arange(len(ask), dtype=np.int64), length),
        length=length,
        worth=worth[ask.item],
        band=_bands(np.asarray(popularity, dtype=np.float64))[ask.item],
        usual=float((worth * popularity).sum()) / taken if taken > 0 else 0.0,
    )
    agreement = np.ones(len(pool))
    _mean_jaccard(pool.offsets, pool.rank, TOP, agreement)
    columns: dict[str, F64] = {
        "length": np.log1p(length.astype(np.float64)),
        "repeats": (length - np.diff(ask.matrix.indptr)) / np.maximum(length, 1),
        "popularity": rows.mean(rows.worth, rows.length[rows.row] > 0, rows.usual),
        "recent": rows.mean(rows.worth, rows.from_end < NEWEST, rows.usual),
        "breadth": _breadth(rows),
        "steps": rows.mean(np.abs(_change(rows.worth)), rows.follows, 0.0),
        "agreement": agreement,
        "candidates": np.log1p(np.diff(pool.offsets).astype(np.float64)),
    }
    if clocked:
        columns |= {name: of(rows) for name, of in _TIMES.items()}
    names = tuple(name for name in ALL_FEATURES if name in columns)
    return UserFeatures(names, np.column_stack([columns[name] for name in names]))


def _change(value: F64) -> F64:
    """Each value minus the one before, (N,); the first is 0."""
    return np.diff(value, prepend=value[:1])


def _bands(popularity: F64) -> I64:
    """The band (n_items,) of each item, 0 the least popular: items of one popularity share one, whatever their code."""
    level, which, n = np.unique(popularity, return_inverse=True, return_counts=True)
    taken = level * n
    middle = np.cumsum(taken) - taken / 2.0
    return np.minimum((BINS * middle / max(taken.sum(), 1.0)).astype(np.int64), BINS - 1)[which]


def _breadth(rows: _Rows) -> F64:
    count = np.bincount(rows.row * BINS + rows.band, minlength=len(rows.length) * BINS).reshape(-1, BINS)
    share = count / np.maximum(rows.length, 1)[:, None]
    return -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)


def _span(rows: _Rows) -> F64:
    first, last = np.zeros(len(rows.length)), np.zeros(len(rows.length))
    full = rows.length > 0
    first[full] = rows.ask.time[rows.ask.offsets[:-1][full]]
    last[full] = rows.ask.time[rows.ask.offsets[1:][full] - 1]
    return np.log1p((last - first) / DAY)


def _last_day(rows: _Rows) -> F64:
    last = rows.ask.time[rows.ask.offsets[1:][rows.row] - 1]
    near = (last - rows.ask.time <= DAY).astype(np.float64)
    return rows.mean(near, np.ones(len(near), dtype=np.bool_), 1.0)


def _gap(rows: _Rows) -> F64:
    """Of an even number of gaps the mean of the middle two."""
    row, minutes = rows.row[rows.follows], np.diff(rows.ask.time, prepend=0)[rows.follows] / 60.0
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
    """Mean over pairs of members of |a ∩ b| / |a ∪ b| of their first `top` items; `out` (m,) comes in as ones.

    Pairs of two empty lists are left out.
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
