"""Paired comparison of evaluations: differences per user, their intervals and p-values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from matinee.errors import DataError, SpecError, UnknownNameError
from matinee.metrics.evaluation import Evaluation, percentiles
from matinee.metrics.metric import WeightedMetric
from matinee.metrics.user_values import bootstrap_means, weighted_sum
from matinee.metrics.values import MetricValues, Values


@dataclass(frozen=True)
class Difference:
    """Mean of a − b in a metric, with a paired bootstrap interval."""

    metric: str
    a: str
    b: str
    mean: float
    low: float
    high: float
    p: float
    """p-value of the two-sided paired t-test that the mean difference is 0."""

    p_adjusted: float
    """p after Holm's correction over the compared family; p itself for a single comparison."""

    n: int
    """Users with a value in at least one of the two."""

    level: float = 0.95

    @property
    def significant(self) -> bool:
        """Whether 0 lies outside the interval and the adjusted p is below 1 − level."""
        return not (self.low <= 0.0 <= self.high or self.p_adjusted >= 1.0 - self.level)


def compare(a: Evaluation, b: Evaluation, metric: str, *, level: float = 0.95) -> Difference:
    """Difference a − b of a metric over the same users."""
    blend = a.require_per_user(metric)
    b.require_per_user(metric)
    _check_same_users(a, b)
    columns = [one.column(m) for one in (a, b) for m in blend.metrics]
    samples = bootstrap_means(columns, a.table.resamples, a.table.seed)
    n_terms = len(blend.terms)
    low, high = percentiles(_blend(blend, samples[:, :n_terms]) - _blend(blend, samples[:, n_terms:]), level)
    counts = np.any([column.weight > 0 for column in columns], axis=0)
    selected = [MetricValues(column.value[counts], column.weight[counts]) for column in columns]
    lifted = np.column_stack([column.influence() for column in selected])
    mean = a[metric] - b[metric]
    p = paired_t(_blend(blend, lifted[:, :n_terms]) - _blend(blend, lifted[:, n_terms:]))
    return Difference(str(blend), "a", "b", mean, low, high, p, p, int(counts.sum()), level)


def compare_all(
    evaluations: Mapping[str, Evaluation], metric: str, to: str | None = None, *, level: float = 0.95
) -> list[Difference]:
    """Every other evaluation minus `to` (None means the best), in the given order.

    p is adjusted over all of them.
    """
    if not evaluations:
        return []
    if to is not None and to not in evaluations:
        raise UnknownNameError("evaluation", to, evaluations)
    best = to if to is not None else max(evaluations, key=lambda name: evaluations[name][metric])
    differences = [
        replace(compare(one, evaluations[best], metric, level=level), a=name, b=best)
        for name, one in evaluations.items()
        if name != best
    ]
    adjusted = holm([one.p for one in differences])
    return [replace(one, p_adjusted=p) for one, p in zip(differences, adjusted, strict=True)]


def holm(p: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """p-values of one family adjusted by Holm's step-down rule (1979), in the given order.

    Sorted ascending, the i-th of n is multiplied by n − i + 1, is at least its predecessor, and at most 1.
    """
    raw = np.asarray(p, dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(one) for one in adjusted]


def paired_t(difference: Values) -> float:
    """Two-sided p-value of the t-test that `difference` (n,) has mean 0.

    1 if all differences are 0 or there are fewer than two.
    """
    n = len(difference)
    if n < 2 or not difference.any():
        return 1.0
    spread = float(difference.std(ddof=1)) / np.sqrt(n)
    if spread == 0.0:
        return 0.0
    return float(2.0 * stats.t.sf(abs(float(difference.mean())) / spread, n - 1))


def _blend(blend: WeightedMetric, columns: NDArray[np.float64]) -> Values:
    return weighted_sum(blend, {metric: columns[:, i] for i, metric in enumerate(blend.metrics)})


def _check_same_users(a: Evaluation, b: Evaluation) -> None:
    """Refuse evaluations that cannot be subtracted user by user."""
    if a.profile != b.profile:
        raise SpecError(
            "compare", f"profiles {a.profile!r} and {b.profile!r}", "one profile", "Evaluate both with the same one."
        )
    if a.part_name != b.part_name:
        raise SpecError("compare", f"parts {a.part_name!r} and {b.part_name!r}", "the same part", "Take .part of both.")
    same = a.table.users == b.table.users and np.array_equal(a.users, b.users)
    if not same or not np.array_equal(a.table.user, b.table.user):
        raise DataError(
            "compare",
            f"{a.n_users} and {b.n_users} users, not the same",
            "the same users with targets",
            "Evaluate both lists on one set of targets.",
        )
