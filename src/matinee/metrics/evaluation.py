"""Evaluation of lists against targets: values per user, means and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data import Targets
from matinee.errors import DataError, SpecError, UnknownNameError
from matinee.metrics.catalogue import LIST_METRICS, NEEDS_POPULARITY, count_exposure
from matinee.metrics.hits import HitTable, find_hits
from matinee.metrics.metric import Metric, WeightedMetric, parse
from matinee.metrics.profile import Profile
from matinee.metrics.profile import profile as definitions_of
from matinee.metrics.user_values import ALL, Key, UserValues, weighted_sum
from matinee.metrics.values import Counts, Formula, Hits, MetricValues, Values
from matinee.topk import TopK


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of lists for the users with targets, of one part or of all.

    Users are sorted by code (new users, code −1, in the order of the targets), so evaluations line up.
    """

    names: tuple[str, ...]
    """The requested metrics and weighted metrics."""

    parts: tuple[str, ...]
    """The parts of the targets; a single part equals all."""

    profile: str
    table: UserValues
    catalogue: Mapping[str, float]
    """Metrics of all lists together, by name."""

    part_name: str = ALL
    """The part of the targets that this view counts."""

    def __getitem__(self, name: str) -> float:
        """Mean over users, or the value of a metric of all lists."""
        blend = self.resolve(name)
        if not blend.per_user:
            return self.catalogue[str(blend)]
        return sum(weight * self.column(metric).mean for weight, metric in blend.terms)

    @property
    def users(self) -> NDArray[np.int32]:
        """User codes (m,) of the values of `per_user`; −1 for new users."""
        return self.table.user[self.table.has_target[self.part_name]]

    @property
    def n_users(self) -> int:
        """Number of users with targets in this part."""
        return int(self.table.has_target[self.part_name].sum())

    @property
    def n_without_targets(self) -> int:
        """Number of users with a list or a target row and no target here."""
        return self.table.n_queries - self.n_users

    @property
    def n_without_list(self) -> int:
        """Number of users with targets and an empty list; the profile defines their value."""
        return int((~self.table.has_list[self.table.has_target[self.part_name]]).sum())

    def per_user(self, name: str) -> Values:
        """Value of each of `users`, (m,); NaN for users that the profile excludes."""
        blend = self.require_per_user(name)
        has_target = self.table.has_target[self.part_name]
        return weighted_sum(blend, {metric: self.column(metric).values_or_nan[has_target] for metric in blend.metrics})

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Bootstrap percentile interval (low, high) over users; NaN for a metric of all lists."""
        blend = self.resolve(name)
        if not blend.per_user:
            return float("nan"), float("nan")
        replicates = self.table.replicates
        samples = weighted_sum(blend, {metric: replicates[self.part_name, metric] for metric in blend.metrics})
        return percentiles(samples, level)

    def part(self, name: str) -> Evaluation:
        """The evaluation on the targets of one part; users without targets in it are excluded."""
        if name not in self.parts:
            raise UnknownNameError("part", name, self.parts, "targets")
        per_user = tuple(one for one in self.names if parse(one).per_user)
        return replace(self, names=per_user, catalogue={}, part_name=name)

    def frame(self, level: float = 0.95) -> pl.DataFrame:
        """One row per metric and part: metric, part, mean, low, high, users.

        `low` and `high` are null for metrics without an interval. Parts without targets are omitted; if only
        one part has targets, it equals all and is omitted too.
        """
        views = [self]
        if self.part_name == ALL:
            parts = [part for part in map(self.part, self.parts) if part.n_users]
            views += parts if len(parts) > 1 else []
        rows = [
            (name, view.part_name, view[name], *view.interval(name, level), view.n_users)
            for view in views
            for name in view.names
        ]
        schema = {"metric": pl.String, "part": pl.String, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        frame = pl.DataFrame(rows, schema=schema | {"users": pl.Int64}, orient="row")
        return frame.with_columns(pl.col("mean", "low", "high").fill_nan(None))

    def resolve(self, name: str) -> WeightedMetric:
        """Parse a name; refuse metrics that were not evaluated here."""
        blend = parse(name)
        for metric in blend.metrics:
            if (self.part_name, metric) not in self.table.columns and str(metric) not in self.catalogue:
                raise UnknownNameError("metric", str(metric), self.names, "evaluation")
        return blend

    def require_per_user(self, name: str) -> WeightedMetric:
        """Parse a name; refuse metrics without a value per user."""
        blend = self.resolve(name)
        if not blend.per_user:
            raise SpecError("evaluation", f"{blend} is one number from all lists", "a metric with a value per user")
        return blend

    def column(self, metric: Metric) -> MetricValues:
        """Values and weights of all users; weight 0 without targets in this part."""
        return self.table.columns[self.part_name, metric]


def percentiles(samples: Values, level: float) -> tuple[float, float]:
    """The central `level` interval of bootstrap values; NaN if no value is finite."""
    samples = samples[np.isfinite(samples)]
    if not len(samples):
        return float("nan"), float("nan")
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def check_metrics(metrics: Sequence[str], profile: str, depth: int) -> list[WeightedMetric]:
    """Parse the metrics; refuse what `evaluate` cannot compute from lists of `depth` items."""
    definitions = definitions_of(profile)
    blends = list(dict.fromkeys(parse(name) for name in ([metrics] if isinstance(metrics, str) else metrics)))
    for blend in blends:
        if blend.k > depth:
            raise SpecError(
                "metric",
                f"{blend} reads {blend.k} items, the lists have {depth}",
                f"a cut-off of at most {depth}",
                f"Make lists of {blend.k} items.",
            )
        for metric in blend.metrics:
            if metric.per_user:
                definitions.formula(metric.name)
    return blends


def evaluate(  # noqa: PLR0913 - two of the seven belong to the intervals alone
    lists: TopK,
    targets: Targets,
    metrics: Sequence[str],
    profile: str = "matinee",
    popularity: NDArray[np.floating] | NDArray[np.integer] | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Evaluate every list against the targets of its user, matched by user code.

    A user with targets and no list has an empty list. Lists of users without targets are excluded, except from
    metrics of all lists. `popularity` (n_items,) is the number of users of each item in the training set; only the
    metric of that name needs it.
    """
    if not isinstance(lists, TopK) or not isinstance(targets, Targets):  # pyright: ignore[reportUnnecessaryIsInstance]
        found = f"found {type(lists).__name__} and {type(targets).__name__}"
        raise SpecError("evaluate", found, "TopK and Targets", "Write evaluate(lists, split.target, metrics).")
    blends = check_metrics(metrics, profile, lists.k)
    place, extra = _align(lists, targets)
    order = np.argsort(targets.user, kind="stable")
    row = order[targets.count[order] > 0]
    if not len(row):
        raise DataError("evaluate", "no user has a target", "at least one held-out item", "Hold out at least one item.")
    hit_table = find_hits(lists.item, place[row], targets, row)
    total = hit_table.n_targets.sum(axis=0)
    has_target = {ALL: total > 0} | {part: hit_table.n_targets[p] > 0 for p, part in enumerate(targets.parts)}
    per_user = dict.fromkeys(metric for blend in blends if blend.per_user for metric in blend.metrics)
    table = UserValues(
        targets.user[row],
        targets.users,
        np.asarray(hit_table.filled.any(axis=1)),
        has_target,
        _columns(hit_table, targets.parts, list(per_user), definitions_of(profile)),
        len(targets) + extra,
        resamples,
        seed,
    )
    catalogue = {
        str(blend): _list_metric(blend.metrics[0], lists, popularity) for blend in blends if not blend.per_user
    }
    return Evaluation(tuple(map(str, blends)), targets.parts, profile, table, catalogue)


def _columns(
    hit_table: HitTable, parts: tuple[str, ...], metrics: list[Metric], by: Profile
) -> dict[Key, MetricValues]:
    columns: dict[Key, MetricValues] = {}
    for part, name in [(None, ALL), *enumerate(parts)]:
        counts = hit_table.n_targets.sum(axis=0) if part is None else hit_table.n_targets[part]
        weight = (counts > 0).astype(np.float64)
        for metric in metrics:
            columns[name, metric] = _column(by.formula(metric.name), *hit_table.cut(metric.k, part), weight)
    return columns


def _column(
    formula: Formula,
    hits: Hits,
    n_targets: Counts,
    length: Counts,
    weight: Values,
) -> MetricValues:
    """Values of the formula for users with targets (weight 1); weight 0 for all others."""
    has_target = weight > 0
    result = formula(hits[has_target], n_targets[has_target], length[has_target])
    value = np.zeros(len(has_target))
    if not isinstance(result, MetricValues):
        value[has_target] = result
        return MetricValues(value, weight)
    own = np.zeros(len(has_target))
    value[has_target], own[has_target] = result.value, result.weight
    return MetricValues(value, own)


def _list_metric(metric: Metric, lists: TopK, popularity: NDArray[np.floating] | NDArray[np.integer] | None) -> float:
    n_items = len(lists.items)
    exposure = count_exposure(lists.item, metric.k, n_items)
    if popularity is None and metric.name not in NEEDS_POPULARITY:
        return LIST_METRICS[metric.name](exposure, np.empty(0))
    if popularity is None or len(popularity) != n_items:
        found = "no popularity" if popularity is None else f"popularity of {len(popularity)} items"
        raise DataError(str(metric), found, f"one number for each of {n_items} items", "Pass split.train.popularity.")
    return LIST_METRICS[metric.name](exposure, np.asarray(popularity, dtype=np.float64))


def _align(lists: TopK, targets: Targets) -> tuple[NDArray[np.int64], int]:
    """The list row of each target row (−1: none), and the number of lists without a target row.

    Equal user columns mean the same rows (a new user, −1, is matched by position); otherwise rows are matched by code.
    """
    for what, one, other in (("users", lists.users, targets.users), ("items", lists.items, targets.items)):
        if one is not other and one != other:
            raise DataError(
                "evaluate",
                f"lists and targets encode {what} differently ({len(one)} and {len(other)} ids)",
                "one vocabulary for both",
                "Make both from the same log.",
            )
    if len(lists) == len(targets) and bool(((lists.user == targets.user) | (lists.user < 0)).all()):
        return np.arange(len(targets)), 0
    for what, user in (("lists", lists.user), ("targets", targets.user)):
        if (user < 0).any():
            raise DataError("evaluate", f"{what} of new users (code −1)", "rows in one order", "Pass all rows.")
        if len(np.unique(user)) != len(user):
            raise DataError("evaluate", f"{what} with a user twice", "one row per user", "Keep one of them.")
    place = np.full(len(targets.users) + 1, -1, dtype=np.int64)
    place[lists.user] = np.arange(len(lists))
    return place[targets.user], int((~np.isin(lists.user, targets.user)).sum())
