"""The numbers of all people for all metrics and parts, and their bootstrap, drawn once for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.data import Vocabulary
from matinee.metrics.bootstrap import sums
from matinee.metrics.column import Column, Values
from matinee.metrics.metric import Blend, Metric

ALL = "all"
"""The name of all answers together, beside the parts'."""

Key: TypeAlias = tuple[str, Metric]


@dataclass(frozen=True, eq=False)
class Table:
    """`columns[part, metric]` over the same m people, `user` (m,) codes of `users`.

    `answered[part]` (m,) says who has answers of a part; the others weigh 0 in its columns. `listed` (m,) says who
    got at least one item. `n_asked` counts the people without any answer too.
    """

    user: NDArray[np.int32]
    users: Vocabulary
    listed: NDArray[np.bool_]
    answered: Mapping[str, NDArray[np.bool_]]
    columns: Mapping[Key, Column]
    n_asked: int
    resamples: int
    seed: int

    @cached_property
    def replicates(self) -> Mapping[Key, Values]:
        """The mean of every column in every bootstrap replicate, (resamples,) each."""
        means = replicate(list(self.columns.values()), self.resamples, self.seed)
        return dict(zip(self.columns, means.T, strict=True))


def replicate(columns: Sequence[Column], resamples: int, seed: int) -> NDArray[np.float64]:
    """(resamples, c): the means of columns of the same people, every replicate with the same draws for all columns.

    NaN where a replicate drew nobody who counts.
    """
    weights = {id(column.weight): column.weight for column in columns}
    at = {key: len(columns) + i for i, key in enumerate(weights)}
    rows = np.column_stack([*(column.value * column.weight for column in columns), *weights.values()])
    total = sums(rows, resamples, seed)
    below = total[:, [at[id(column.weight)] for column in columns]]
    return np.divide(total[:, : len(columns)], below, out=np.full_like(below, np.nan), where=below > 0)


def blended(blend: Blend, values: Mapping[Metric, Values]) -> Values:
    """The weighted sum of arrays, one a metric of the blend."""
    parts = [weight * values[metric] for weight, metric in blend.terms]
    return np.sum(parts, axis=0) if len(parts) > 1 else parts[0]
