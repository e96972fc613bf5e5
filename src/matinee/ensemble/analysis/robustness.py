"""Robustness of the gain of one set of lists over another: other users, proportions of parts, horizons, histories.

All scenarios are computed from the values per user; no list is built again. Every row is a paired bootstrap over users,
with the draws of `metrics.compare`. A gain is significant if 0 lies outside the interval and p of the paired t-test is
below 1 − level. Rows are not corrected for multiple comparisons: of fourteen, one can be significant by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.data import Histories
from matinee.ensemble.analysis.table import aligned, plain_value
from matinee.errors import DataError
from matinee.metrics import Evaluation, compare
from matinee.metrics.comparison import paired_t
from matinee.metrics.evaluation import percentiles
from matinee.metrics.user_values import ALL, bootstrap_means
from matinee.metrics.values import MetricValues

I64: TypeAlias = NDArray[np.int64]
Bool: TypeAlias = NDArray[np.bool_]

SHARES = (0.25, 0.5, 0.75)
"""Fractions of the second part in a mixture of two."""

QUARTERS = 4
"""Number of groups of users by the end and by the length of their history."""

HEADER = ("view", "case", "users", "gain", "interval", "gain > 0", "")
"""Columns of the table; `gain > 0` is the fraction of bootstrap replicates with a gain above 0."""


@dataclass(frozen=True)
class Scenario:
    """The gain in one case of a view."""

    view: str
    """What varies: users, parts, horizon or history."""

    case: str
    n_users: int
    """Number of users with a value."""

    mean: float
    low: float
    high: float
    positive: float
    """Fraction of bootstrap replicates with a gain above 0; NaN if no replicate has a value."""

    significant: bool


@dataclass(frozen=True)
class Robustness:
    """A gain by scenario; the first row is the gain on all users."""

    metric: str
    level: float
    rows: tuple[Scenario, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; NaN is null."""
        return plain_value(asdict(self))

    def text(self) -> list[str]:
        """Lines for a terminal."""
        title = f"gain in {self.metric}, with {self.level:.0%} intervals"
        return [title, "", *aligned([HEADER, *map(_cells, self.rows)], words=2)]


@dataclass(frozen=True, eq=False)
class HistoryStats:
    """Length and end of the histories of m users, (m,) each.

    `user` are user codes; `last` = None means the ends are unknown.
    """

    user: NDArray[np.int32]
    length: I64
    last: I64 | None
    """Seconds since 1970 of the newest row; undefined for empty histories."""

    @staticmethod
    def of(query: Histories, user: NDArray[np.int32] | None = None, real_time: bool | None = None) -> HistoryStats:
        """Statistics of the histories of a query.

        `user` (m,) replaces the user codes of the query, for example if it has −1 for new users. The ends are known
        only if `real_time` is true: times are seconds.
        """
        length = np.diff(query.offsets)
        last = np.zeros(len(query), dtype=np.int64)
        last[length > 0] = query.time[query.offsets[1:][length > 0] - 1]
        return HistoryStats(query.user if user is None else user, length, last if real_time else None)

    def rows_of(self, user: NDArray[np.int32]) -> NDArray[np.intp]:
        """Row of each of the users (n,) of an evaluation, which are sorted by code.

        New users (code −1) are matched by position; this needs a target for every query.
        """
        order = np.argsort(self.user, kind="stable")
        if np.array_equal(self.user[order], user):
            return order
        place = np.searchsorted(self.user[order], user)
        row = order[np.minimum(place, max(len(order) - 1, 0))] if len(order) else np.full(len(user), -1)
        if (user < 0).any() or not len(order) or not np.array_equal(self.user[row], user):
            found = f"{len(order)} histories, without some of the {len(user)} users with targets"
            raise DataError(
                "robustness", found, "a history of every user with targets", "Pass the user codes of the targets."
            )
        return row


def robustness(
    ours: Evaluation, theirs: Evaluation, metric: str, past: HistoryStats | None = None, level: float = 0.95
) -> Robustness:
    """The gain of `ours` over `theirs` in four views.

    A view without the data it needs is omitted. *users*: all users. *parts*, if the targets have several: the gain on
    each part alone, and (1 − s) · gain on one + s · gain on another for s in `SHARES`. This approximates the gain if
    the targets came from the parts in these proportions and the gain on each part stayed the same. It is exact for hits
    per target if all users have targets in these proportions; otherwise users with targets in one part count as much as
    users with many in both, and metrics that are not linear in the hits (min(k, n) of recall, the ideal of ndcg, the
    hit rate) are computed per part.
    *horizon*: quarters of users by the end of their history, earliest first; it needs real times. A gain that shrinks
    over the quarters may vanish later. *history*: quarters by the length of the history, shortest first. Users with
    equal values are in one quarter; an empty quarter has no row.
    """
    compare(ours, theirs, metric)  # refuses evaluations that cannot be compared
    comparison, both = _Comparison(metric, level), _Term(1.0, ours, theirs)
    rows = [comparison.row("users", "all users", [both])]
    if ours.part_name == ALL and len(ours.parts) > 1:
        rows += _by_parts(comparison, ours, theirs)
    if past is not None:
        row = past.rows_of(ours.users)
        length = past.length[row]
        if past.last is not None:
            rows += _by_quarter(comparison, both, _View("horizon", _format_dates), past.last[row], length > 0)
        rows += _by_quarter(comparison, both, _View("history", _items), length, np.ones(len(length), dtype=np.bool_))
    return Robustness(str(ours.resolve(metric)), level, tuple(rows))


@dataclass(frozen=True, eq=False)
class _Term:
    """A term `share` · (ours − theirs) of a gain."""

    share: float
    ours: Evaluation
    theirs: Evaluation


@dataclass(frozen=True)
class _Comparison:
    """Metric and level of all rows."""

    metric: str
    level: float

    def row(self, view: str, case: str, terms: Sequence[_Term], among: Bool | None = None) -> Scenario:
        """Σ share · (ours − theirs) over the terms; `among` (m,) restricts the users.

        NaN is not significant. A single term of share 1 equals `compare`: the same draws, interval and test.
        """
        blend, table = terms[0].ours.resolve(self.metric), terms[0].ours.table
        factor = np.array([term.share * weight for term in terms for weight, _ in blend.terms])
        columns = [
            _restrict(side.column(m), among)
            for term in terms
            for m in blend.metrics
            for side in (term.ours, term.theirs)
        ]
        samples = bootstrap_means(columns, table.resamples, table.seed)
        samples = (samples[:, ::2] - samples[:, 1::2]) @ factor
        low, high = percentiles(samples, self.level)
        counted = np.any([column.weight > 0 for column in columns], axis=0)
        means = np.array([column.mean for column in columns])
        lifted = np.column_stack([MetricValues(one.value[counted], one.weight[counted]).influence() for one in columns])
        p = paired_t((lifted[:, ::2] - lifted[:, 1::2]) @ factor)
        samples = samples[np.isfinite(samples)]
        return Scenario(
            view=view,
            case=case,
            n_users=int(counted.sum()),
            mean=float((means[::2] - means[1::2]) @ factor),
            low=low,
            high=high,
            positive=float((samples > 0).mean()) if len(samples) else float("nan"),
            significant=(low > 0.0 or high < 0.0) and p < 1.0 - self.level,
        )


@dataclass(frozen=True)
class _View:
    """A value that splits users into quarters."""

    name: str
    case: Callable[[int, int], str]
    """Name of a quarter from its smallest and largest value."""


def _restrict(column: MetricValues, among: Bool | None) -> MetricValues:
    """The same values, with weight 0 for users not in `among`; None means all."""
    return column if among is None else MetricValues(column.value, column.weight * among)


def _by_parts(comparison: _Comparison, ours: Evaluation, theirs: Evaluation) -> list[Scenario]:
    """Each part alone, and mixtures of every two parts."""
    terms = {name: _Term(1.0, ours.part(name), theirs.part(name)) for name in ours.parts}
    terms = {name: term for name, term in terms.items() if term.ours.n_users}
    single = [comparison.row("parts", f"{name} only", [term]) for name, term in terms.items()]
    mixtures = [
        comparison.row(
            "parts",
            f"{1 - s:.0%} {one}, {s:.0%} {other}",
            [replace(terms[one], share=1.0 - s), replace(terms[other], share=s)],
        )
        for one, other in combinations(terms, 2)
        for s in SHARES
    ]
    return [single[0], *mixtures, single[1]] if len(single) == 2 else single + mixtures


def _by_quarter(
    comparison: _Comparison,
    both: _Term,
    view: _View,
    value: I64,
    included: Bool,
) -> list[Scenario]:
    """Quarters by `value` (n,) of the `included` users (n,), the smallest first."""
    rows: list[Scenario] = []
    if not included.any():
        return rows
    edges = np.quantile(value[included], np.arange(1, QUARTERS) / QUARTERS, method="inverted_cdf")
    quarter = np.where(included, np.searchsorted(edges, value), -1)
    has_target = both.ours.table.has_target[both.ours.part_name]
    for q in range(QUARTERS):
        own = quarter == q
        if own.any():
            among = np.zeros(len(has_target), dtype=np.bool_)
            among[has_target] = own
            case = view.case(int(value[own].min()), int(value[own].max()))
            rows.append(comparison.row(view.name, case, [both], among))
    return rows


def _format_dates(first: int, last: int) -> str:
    days = [datetime.fromtimestamp(one, UTC).date().isoformat() for one in (first, last)]
    return f"ends {days[0]} to {days[1]}"


def _items(low: int, high: int) -> str:
    return f"{low} to {high} items" if high > low else f"{high} items"


def _cells(one: Scenario) -> tuple[str, ...]:
    gain = f"{one.mean:+.4f}", f"[{one.low:+.4f}, {one.high:+.4f}]", f"{one.positive:.1%}"
    return (one.view, one.case, f"{one.n_users:,}", *gain, "" if one.significant else "not significant")
