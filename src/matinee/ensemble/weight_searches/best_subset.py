"""Exhaustive search over all subsets of the members with equal weights, for few members.

    maximize  metric(Σ_{m∈S} φ_m)  over S with |S| ≤ max_members

φ (M, c) the members' points. Source: best subset selection (Miller, Subset Selection in Regression, 1990).
Cost: one trial per subset, at most `LIMIT`.
"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch
from matinee.errors import SpecError

LIMIT = 20_000
"""Largest number of subsets that is searched."""


class BestSubset(WeightSearch):
    """The best subset of the members, with equal weights."""

    max_members: Annotated[int, Field(ge=1)] = 7
    """Largest number of members in a subset."""

    def weights(self, objective: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """Equal weights of the best subset; of equal values the smaller subset."""
        M = len(points)
        sizes = range(1, min(self.max_members, M) + 1)
        total = sum(comb(M, size) for size in sizes)
        if total > LIMIT:
            found = f"{total:,} subsets of {M} members"
            raise SpecError(
                "ensemble (best_subset)", found, f"at most {LIMIT:,}", "Lower max_members or use kind = 'greedy'."
            )
        subsets = [one for size in sizes for one in combinations(range(M), size)]
        best, best_members = -np.inf, subsets[0]
        with ctx.observer.progress("best subset", len(subsets)) as advance:
            groups: dict[tuple[int, ...], list[int]] = {}
            for one in subsets:
                groups.setdefault(one[:-1], []).append(one[-1])
            for first, last in groups.items():  # subsets with the same first members share their sum
                base = points[list(first)].sum(axis=0) if first else np.zeros(points.shape[1], dtype=np.float32)
                listed = objective.pool.is_listed(np.isin(np.arange(M), first).astype(np.float64))
                value = objective.trial_values(base, points, np.array(last), 1.0, listed)
                at = int(np.argmax(value))
                if value[at] > best + 1e-12 or (value[at] > best - 1e-12 and len(first) + 1 < len(best_members)):
                    best, best_members = float(value[at]), (*first, last[at])
                advance(len(last))
        weights = np.zeros(M)
        weights[list(best_members)] = 1.0 / len(best_members)
        return weights
