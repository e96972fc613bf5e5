"""Values of a metric per user, and the signature that all formulas share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Hits: TypeAlias = NDArray[np.bool_]
"""(m, k): whether the item at each rank of each user's list is a target."""

Counts: TypeAlias = NDArray[np.int64]
"""(m,): the number of targets of each user, or of items in the first k places of the list."""

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MetricValues:
    """One metric of all users; its mean is Σ value·weight / Σ weight.

    Weight 1 everywhere gives the mean over users; weight 0 excludes a user; a user's denominator as weight gives a
    ratio of sums (micro average). `value` (m,) is finite everywhere, also where the weight is 0.
    """

    value: Values
    weight: Values

    @property
    def mean(self) -> float:
        """Weighted mean; NaN if every weight is 0."""
        total = float(self.weight.sum())
        return float((self.value * self.weight).sum()) / total if total else float("nan")

    @property
    def values_or_nan(self) -> Values:
        """Values (m,); NaN for excluded users."""
        return np.where(self.weight > 0, self.value, np.nan)

    def influence(self) -> Values:
        """Linearized values (m,): their mean is this mean, their spread gives its standard error.

        R + w (v − R) / mean(w), the linearized ratio estimator (Cochran 1977, §6.4); with equal weights it equals the
        value itself.
        """
        middle = self.mean
        return middle + self.weight * (self.value - middle) / self.weight.mean()


Formula: TypeAlias = Callable[[Hits, Counts, Counts], "Values | MetricValues"]
"""(hits (m, k), n_targets (m,), length (m,)) → a value per user, or `MetricValues` where users have different weights.

Every user has at least one target, n_targets ≥ 1. A plain array of values means weight 1 everywhere.
"""


def safe_divide(numerator: NDArray[np.floating] | Counts, denominator: Counts) -> Values:
    """Quotient per user; 0 where the denominator is 0."""
    return numerator / np.maximum(denominator, 1)


def drop_empty_lists(value: Values, length: Counts) -> MetricValues:
    """The same values; users with an empty list get weight 0."""
    return MetricValues(value, (length > 0).astype(np.float64))
