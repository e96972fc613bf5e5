"""Greedy forward selection with replacement, bagged: members are added one at a time, whichever helps most, and may
be added again; how often a member was taken is its weight.

Starts from the best member; after `steps` additions, or `patience` of them without a gain, the best prefix counts. A
bag does the same with a random part of the members and of the people; weights are averaged over the bags.

Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble Selection from Libraries of Models, ICML 2004; bagging: Caruana,
Munson and Niculescu-Mizil, ICDM 2006. Cost: bags · steps · members trials, a trial a few passes over the candidates.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch

MIN_BAG_MEMBERS = 6
"""A bag chooses among at least so many members, if there are so many: one of bad members alone would vote for them."""


class Greedy(WeightSearch):
    """Sparse weights that no bad member can spoil: the search to start with."""

    steps: Annotated[int, Field(ge=1)] = 25
    """How many additions at most; weights are multiples of one part in so many."""

    patience: Annotated[int, Field(ge=1)] = 5
    """Additions without a gain after which it stops."""

    bags: Annotated[int, Field(ge=0)] = 0
    """How many times it is done on random parts, half the cost each; 0 means once, with everything."""

    member_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of the members a bag may choose among; below 1 for libraries of hundreds, where many are alike."""

    user_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The share of the people a bag looks at."""

    def weights(self, judge: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """Bag after bag."""
        everyone, M = judge.rows[1] & (judge.n_targets > 0), len(points)
        if self.bags == 0 or M < 3:
            return self._select(judge, points, np.arange(M))
        total = np.zeros(M)
        with ctx.observer.progress("greedy selection", self.bags) as advance:
            for bag in range(self.bags):
                rng = ctx.rng(bag)
                some = np.sort(rng.permutation(M)[: max(MIN_BAG_MEMBERS, round(self.member_fraction * M))])
                half = everyone & (rng.random(len(everyone)) < self.user_fraction)
                total += self._select(judge.restrict(half if half.any() else everyone), points, some)
                advance(1)
        return total / total.sum()

    def _select(self, judge: FusionObjective, points: F32, some: np.ndarray) -> F64:
        """Weights (M,) from the members `some` alone."""
        taken: list[int] = []
        values: list[float] = []
        base = np.zeros(points.shape[1], dtype=np.float32)
        listed = np.zeros(points.shape[1], dtype=np.bool_)
        for _ in range(self.steps):
            trial = judge.trial_values(base, points, some, 1.0, listed)
            best = int(np.argmax(trial))
            if taken and trial[best] <= max(values) and len(values) - 1 - int(np.argmax(values)) >= self.patience - 1:
                break
            taken.append(int(some[best]))
            values.append(float(trial[best]))
            base += points[some[best]]
            listed |= judge.pool.rank[some[best]] > 0
        kept = taken[: int(np.argmax(values)) + 1]
        return np.bincount(kept, minlength=len(points)) / len(kept)
