"""Greedy forward selection with replacement: the member that helps most is added, repeatedly.

    m_t = argmax_m metric(φ_m + Σ_{s<t} φ_{m_s});  w_m = number of t ≤ T with m_t = m, divided by T

φ (M, c) the members' points; T the best prefix of `steps` additions, or fewer after `patience` without a gain. A bag
repeats the selection on random subsets of the members and of the users; weights are averaged over the bags.

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
"""Smallest number of members in a bag; a bag of only weak members would give them weight."""


class Greedy(WeightSearch):
    """Sparse weights, robust against weak members; the default search."""

    steps: Annotated[int, Field(ge=1)] = 25
    """Largest number of additions T; weights are multiples of 1 / T."""

    patience: Annotated[int, Field(ge=1)] = 5
    """Additions without a gain before the selection stops."""

    bags: Annotated[int, Field(ge=0)] = 0
    """Number of bags; 0 means one selection on all members and users."""

    member_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of the members in a bag; below 1 for hundreds of members, many of them similar."""

    user_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Fraction of the users in a bag."""

    def weights(self, objective: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """Weights averaged over the bags."""
        users, M = objective.is_selected & (objective.n_targets > 0), len(points)
        if self.bags == 0 or M < 3:
            return self._select(objective, points, np.arange(M))
        total = np.zeros(M)
        with ctx.observer.progress("greedy selection", self.bags) as advance:
            for bag in range(self.bags):
                rng = ctx.rng(bag)
                bag_members = np.sort(rng.permutation(M)[: max(MIN_BAG_MEMBERS, round(self.member_fraction * M))])
                bag_users = users & (rng.random(len(users)) < self.user_fraction)
                total += self._select(objective.restrict(bag_users if bag_users.any() else users), points, bag_members)
                advance(1)
        return total / total.sum()

    def _select(self, objective: FusionObjective, points: F32, members: np.ndarray) -> F64:
        """Weights (M,) of a selection among `members`."""
        selection: list[int] = []
        values: list[float] = []
        base = np.zeros(points.shape[1], dtype=np.float32)
        listed = np.zeros(points.shape[1], dtype=np.bool_)
        for _ in range(self.steps):
            trial = objective.trial_values(base, points, members, 1.0, listed)
            best = int(np.argmax(trial))
            if (
                selection
                and trial[best] <= max(values)
                and len(values) - 1 - int(np.argmax(values)) >= self.patience - 1
            ):
                break
            selection.append(int(members[best]))
            values.append(float(trial[best]))
            base += points[members[best]]
            listed |= objective.pool.rank[members[best]] > 0
        prefix = selection[: int(np.argmax(values)) + 1]
        return np.bincount(prefix, minlength=len(points)) / len(prefix)
