"""What a per-user formula gives, and the signature all formulas share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Hits: TypeAlias = NDArray[np.bool_]
"""(m, k): whether the item at each rank of each person's list is an answer."""

Counts: TypeAlias = NDArray[np.int64]
"""(m,): the answers of each person, or the items really in the first k places of the list."""

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Column:
    """One metric of all people: the mean is Σ value·weight / Σ weight.

    Weight 1 throughout is the mean over people; 0 leaves somebody out; a person's denominator as weight makes a
    ratio of sums (micro average). `value` (m,) is finite everywhere, also where the weight is 0.
    """

    value: Values
    weight: Values

    @property
    def mean(self) -> float:
        """The number reported; NaN where nobody counts."""
        total = float(self.weight.sum())
        return float((self.value * self.weight).sum()) / total if total else float("nan")

    @property
    def seen(self) -> Values:
        """The values with NaN for whom the metric leaves out."""
        return np.where(self.weight > 0, self.value, np.nan)

    def influence(self) -> Values:
        """Numbers (m,) whose mean is this mean and whose spread gives its standard error.

        R + w (v − R) / mean(w), the linearised ratio estimator (Cochran 1977, §6.4); with equal weights it is the
        value itself.
        """
        middle = self.mean
        return middle + self.weight * (self.value - middle) / self.weight.mean()


Formula: TypeAlias = Callable[[Hits, Counts, Counts], "Values | Column"]
"""(hits (m, k), n_answers (m,), length (m,)) → a value a person, or a `Column` where people weigh differently.

Everybody handed in has an answer, n_answers ≥ 1. A bare array of values stands for weight 1 throughout.
"""


def over(numerator: NDArray[np.floating] | Counts, denominator: Counts) -> Values:
    """A quotient a person, 0 where the denominator is 0."""
    return numerator / np.maximum(denominator, 1)


def lasting(value: Values, length: Counts) -> Column:
    """The same values, with people whose list is empty left out of the mean."""
    return Column(value, (length > 0).astype(np.float64))
