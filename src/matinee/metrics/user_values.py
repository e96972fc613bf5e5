"""Values of all users for all metrics and parts, and one bootstrap shared by all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.data import Vocabulary
from matinee.metrics.bootstrap import bootstrap_sums
from matinee.metrics.metric import Metric, WeightedMetric
from matinee.metrics.values import MetricValues, Values

ALL = "all"
"""The name of all targets together, beside the names of the parts."""

Key: TypeAlias = tuple[str, Metric]


@dataclass(frozen=True, eq=False)
class UserValues:
    """`columns[part, metric]` over the same m users; `user` (m,) are codes of `users`.

    `has_target[part]` (m,) is true for users with targets of a part; others have weight 0 there. `has_list` (m,) is
    true for users with at least one item. `n_queries` also counts users without any target.
    """

    user: NDArray[np.int32]
    users: Vocabulary
    has_list: NDArray[np.bool_]
    has_target: Mapping[str, NDArray[np.bool_]]
    columns: Mapping[Key, MetricValues]
    n_queries: int
    resamples: int
    seed: int

    @cached_property
    def replicates(self) -> Mapping[Key, Values]:
        """Mean of every column in every bootstrap replicate, (resamples,) each."""
        means = bootstrap_means(list(self.columns.values()), self.resamples, self.seed)
        return dict(zip(self.columns, means.T, strict=True))


def bootstrap_means(columns: Sequence[MetricValues], resamples: int, seed: int) -> NDArray[np.float64]:
    """Bootstrap means of columns of the same users, (resamples, c); all columns share the draws.

    NaN where all users drawn by a replicate have weight 0.
    """
    weights = {id(column.weight): column.weight for column in columns}
    at = {key: len(columns) + i for i, key in enumerate(weights)}
    rows = np.column_stack([*(column.value * column.weight for column in columns), *weights.values()])
    total = bootstrap_sums(rows, resamples, seed)
    below = total[:, [at[id(column.weight)] for column in columns]]
    return np.divide(total[:, : len(columns)], below, out=np.full_like(below, np.nan), where=below > 0)


def weighted_sum(blend: WeightedMetric, values: Mapping[Metric, Values]) -> Values:
    """Weighted sum of arrays, one per metric."""
    parts = [weight * values[metric] for weight, metric in blend.terms]
    return np.sum(parts, axis=0) if len(parts) > 1 else parts[0]
