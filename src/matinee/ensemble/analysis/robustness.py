"""Would the gain of one set of lists over another hold under other circumstances? Other people, other proportions of
the parts, a later horizon, heavier and lighter people: from each person's numbers, without making a list again.

Every row is a paired bootstrap over people, drawn as `metrics.compare` draws it, and is noise by its test: 0 inside the
interval, or p of the paired t-test not below 1 − level. Rows are not corrected for their number: among fourteen, one
that is no noise can be chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.data import Histories
from matinee.ensemble.analysis.members import aligned, plain_value
from matinee.errors import DataError
from matinee.metrics import Evaluation, compare
from matinee.metrics.comparison import paired_t
from matinee.metrics.evaluation import percentiles
from matinee.metrics.user_values import ALL, bootstrap_means
from matinee.metrics.values import MetricValues

I64: TypeAlias = NDArray[np.int64]
Bool: TypeAlias = NDArray[np.bool_]

SHARES = (0.25, 0.5, 0.75)
"""How much of a mixture of two parts is the second."""

QUARTERS = 4
"""Into how many groups people are cut by the end and by the length of their history."""

HEAD = ("view", "case", "people", "gain", "interval", "above 0", "")


@dataclass(frozen=True)
class Scenario:
    """The gain in one case of one view."""

    view: str
    """What is varied: people, parts, horizon or history."""

    case: str
    n_users: int
    """Who counts in it."""

    mean: float
    low: float
    high: float
    positive: float
    """Share of the resamples in which the gain is above 0; NaN where no resample has one."""

    significant: bool


@dataclass(frozen=True)
class Robustness:
    """A gain, case by case; the first row is everybody, as it was measured."""

    metric: str
    level: float
    rows: tuple[Scenario, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for a JSON file; NaN is null."""
        return plain_value(asdict(self))

    def text(self) -> list[str]:
        """Lines for a terminal."""
        title = f"gain in {self.metric}, with intervals of {self.level:.0%}"
        return [title, "", *aligned([HEAD, *map(_cells, self.rows)], words=2)]


@dataclass(frozen=True, eq=False)
class HistoryStats:
    """How long the asked histories are and when they end, (m,) each, by user code; a `last` of None: nobody knows."""

    user: NDArray[np.int32]
    length: I64
    last: I64 | None
    """Seconds since 1970 of the newest row; means nothing where the length is 0."""

    @staticmethod
    def of(asked: Histories, user: NDArray[np.int32] | None = None, real_time: bool | None = None) -> HistoryStats:
        """From what models were asked. `user` (m,) names the rows where the histories call people new: the answers'.

        `real_time` says whether the log's clock is seconds; anything but True leaves the ends out.
        """
        length = np.diff(asked.offsets)
        last = np.zeros(len(asked), dtype=np.int64)
        last[length > 0] = asked.time[asked.offsets[1:][length > 0] - 1]
        return HistoryStats(asked.user if user is None else user, length, last if real_time else None)

    def rows_of(self, user: NDArray[np.int32]) -> NDArray[np.intp]:
        """Which row belongs to each of the people (n,) of an evaluation, who stand there in the order of their codes.

        New people, whom no code tells apart, are found by their order, if everybody asked has answers.
        """
        order = np.argsort(self.user, kind="stable")
        if np.array_equal(self.user[order], user):
            return order
        place = np.searchsorted(self.user[order], user)
        found = order[np.minimum(place, max(len(order) - 1, 0))] if len(order) else np.full(len(user), -1)
        if (user < 0).any() or not len(order) or not np.array_equal(self.user[found], user):
            seen = f"histories of {len(order)} people that do not name all of {len(user)} with answers"
            raise DataError(
                "robust", seen, "the histories of the same people", "Name new people by the answers' codes."
            )
        return found


def robustness(
    ours: Evaluation, theirs: Evaluation, metric: str, past: HistoryStats | None = None, level: float = 0.95
) -> Robustness:
    """How much `ours` is above `theirs`, by four views; what cannot be known is left out.

    *people*: everybody, drawn anew. *parts*, if the answers have several: the gain by each part's answers alone, and
    (1 − s) · gain by one + s · gain by another for s of `SHARES`. That approximates what would be measured if the
    held-out rows came from the parts in these proportions and each part's gain stayed what it is. It is exact for hits
    over answers where everybody has answers in just these proportions; else people with answers in one part weigh as
    much as those with many in both, and what is not linear in the hits (min(k, n) of recall, the ideal of ndcg, a hit
    ratio) counts one part at a time. *horizon*: quarters of people by the end of their history, earliest first; it
    needs real times, and a gain that fades towards the end may be gone later. *history*: quarters by its length,
    light people first. People of equal value share a quarter; an empty quarter has no row.
    """
    compare(ours, theirs, metric)
    ask = _Comparison(metric, level)
    rows = [ask.row("people", "everybody", [(1.0, ours, theirs)])]
    if ours.part_name == ALL and len(ours.parts) > 1:
        rows += _by_parts(ask, ours, theirs)
    if past is not None:
        row = past.rows_of(ours.users)
        length = past.length[row]
        if past.last is not None:
            rows += _by_quarter(ask, (ours, theirs), _View("horizon", _format_dates), past.last[row], length > 0)
        rows += _by_quarter(ask, (ours, theirs), _View("history", _items), length, np.ones(len(length), dtype=np.bool_))
    return Robustness(str(ours.resolve(metric)), level, tuple(rows))


@dataclass(frozen=True)
class _Comparison:
    """What is the same in every row."""

    metric: str
    level: float

    def row(
        self, view: str, case: str, sides: Sequence[tuple[float, Evaluation, Evaluation]], among: Bool | None = None
    ) -> Scenario:
        """Σ share · (ours − theirs) over `sides`, (share, ours, theirs) each, for the people `among` (m,) of the table.

        NaN is not significant. One side of share 1 is `compare`: the same draws, interval and test.
        """
        blend = sides[0][1].resolve(self.metric)
        terms = [(share * weight, one, two, m) for share, one, two in sides for weight, m in blend.terms]
        factor = np.array([weight for weight, *_ in terms])
        columns = [_restrict(side.column(m), among) for _, *both, m in terms for side in both]
        table = sides[0][1].table
        drawn = bootstrap_means(columns, table.resamples, table.seed)
        drawn = (drawn[:, ::2] - drawn[:, 1::2]) @ factor
        low, high = percentiles(drawn, self.level)
        here = np.any([column.weight > 0 for column in columns], axis=0)
        means = np.array([column.mean for column in columns])
        lifted = np.column_stack([MetricValues(one.value[here], one.weight[here]).influence() for one in columns])
        p = paired_t((lifted[:, ::2] - lifted[:, 1::2]) @ factor)
        drawn = drawn[np.isfinite(drawn)]
        return Scenario(
            view=view,
            case=case,
            n_users=int(here.sum()),
            mean=float((means[::2] - means[1::2]) @ factor),
            low=low,
            high=high,
            positive=float((drawn > 0).mean()) if len(drawn) else float("nan"),
            significant=(low > 0.0 or high < 0.0) and p < 1.0 - self.level,
        )


@dataclass(frozen=True)
class _View:
    """A way to cut users into quarters."""

    name: str
    case: Callable[[int, int], str]
    """What a quarter is called, from its smallest and its largest value."""


def _restrict(column: MetricValues, among: Bool | None) -> MetricValues:
    """The same numbers, with weight 0 for everybody else."""
    return column if among is None else MetricValues(column.value, column.weight * among)


def _by_parts(ask: _Comparison, ours: Evaluation, theirs: Evaluation) -> list[Scenario]:
    """Each part alone and every two of them mixed, from one to the other."""
    side = {name: (ours.part(name), theirs.part(name)) for name in ours.parts}
    side = {name: both for name, both in side.items() if both[0].n_users}
    alone = [ask.row("parts", f"{name} alone", [(1.0, *both)]) for name, both in side.items()]
    mixed = [
        ask.row("parts", f"{1 - s:.0%} {one}, {s:.0%} {other}", [(1.0 - s, *side[one]), (s, *side[other])])
        for one, other in combinations(side, 2)
        for s in SHARES
    ]
    return [alone[0], *mixed, alone[1]] if len(alone) == 2 else alone + mixed


def _by_quarter(
    ask: _Comparison,
    both: tuple[Evaluation, Evaluation],
    view: _View,
    value: I64,
    there: Bool,
) -> list[Scenario]:
    """Quarters by `value` (n,) of the people with answers, of those `there` (n,) only, the smallest first."""
    rows: list[Scenario] = []
    if not there.any():
        return rows
    edges = np.quantile(value[there], np.arange(1, QUARTERS) / QUARTERS, method="inverted_cdf")
    quarter = np.where(there, np.searchsorted(edges, value), -1)
    answered = both[0].table.has_target[both[0].part_name]
    for q in range(QUARTERS):
        own = quarter == q
        if own.any():
            among = np.zeros(len(answered), dtype=np.bool_)
            among[answered] = own
            case = view.case(int(value[own].min()), int(value[own].max()))
            rows.append(ask.row(view.name, case, [(1.0, *both)], among))
    return rows


def _format_dates(first: int, last: int) -> str:
    days = [datetime.fromtimestamp(one, UTC).date().isoformat() for one in (first, last)]
    return f"ends {days[0]} to {days[1]}"


def _items(fewest: int, most: int) -> str:
    return f"{fewest} to {most} items" if most > fewest else f"{most} items"


def _cells(one: Scenario) -> tuple[str, ...]:
    gain = f"{one.mean:+.4f}", f"[{one.low:+.4f}, {one.high:+.4f}]", f"{one.positive:.1%}"
    return (one.view, one.case, f"{one.n_users:,}", *gain, "" if one.significant else "not significant")
