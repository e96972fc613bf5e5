"""Fixed weights: no search.

    w_m = weight_m / Σ weight, or 1 / M

Vogt and Cottrell, Fusion Via a Linear Combination of Scores, Information Retrieval 1, 1999.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch
from matinee.errors import SpecError


class Fixed(WeightSearch):
    """Equal weights, or the weights of the spec."""

    weight: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """A weight for each member, in the members' order; empty means equal weights."""

    def weights(self, objective: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """The weights of the spec, scaled to sum 1."""
        weights = np.array(self.weight or [1.0] * len(points))
        if len(weights) != len(points) or not weights.any():
            found = f"weights {list(self.weight)} for {len(points)} members"
            raise SpecError("ensemble (fixed)", found, "one number ≥ 0 per member, not all 0")
        return weights / weights.sum()
