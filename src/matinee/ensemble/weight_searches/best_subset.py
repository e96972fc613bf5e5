"""Every subset of the members with equal weights: the exhaustive search, for few members."""

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
"""Subsets it is willing to try."""


class BestSubset(WeightSearch):
    """The best combination, by trying them all."""

    max_members: Annotated[int, Field(ge=1)] = 7
    """The largest number of members together."""

    def weights(self, judge: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """The first of the best: smaller subsets come first."""
        M = len(points)
        sizes = range(1, min(self.max_members, M) + 1)
        total = sum(comb(M, size) for size in sizes)
        if total > LIMIT:
            found = f"{total:,} subsets of {M} members"
            raise SpecError("ensemble (subsets)", found, f"at most {LIMIT:,}", "Lower most, or use kind = 'greedy'.")
        subsets = [one for size in sizes for one in combinations(range(M), size)]
        best, chosen = -np.inf, subsets[0]
        with ctx.observer.progress("best_subset", len(subsets)) as advance:
            groups: dict[tuple[int, ...], list[int]] = {}
            for one in subsets:
                groups.setdefault(one[:-1], []).append(one[-1])
            for first, last in groups.items():  # those that differ in the last member share the sum of the others
                base = points[list(first)].sum(axis=0) if first else np.zeros(points.shape[1], dtype=np.float32)
                listed = judge.pool.is_listed(np.isin(np.arange(M), first).astype(np.float64))
                value = judge.trial_values(base, points, np.array(last), 1.0, listed)
                at = int(np.argmax(value))
                if value[at] > best + 1e-12 or (value[at] > best - 1e-12 and len(first) + 1 < len(chosen)):
                    best, chosen = float(value[at]), (*first, last[at])
                advance(len(last))
        weights = np.zeros(M)
        weights[list(chosen)] = 1.0 / len(chosen)
        return weights
