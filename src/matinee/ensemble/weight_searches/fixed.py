"""Weights written down: nothing is searched."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.weight_search import F32, F64, WeightSearch
from matinee.errors import SpecError


class Fixed(WeightSearch):
    """Equal weights, or those given."""

    weight: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """A weight for each member, in the members' order; nothing means equal ones."""

    def weights(self, judge: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """As written."""
        given = np.array(self.weight or [1.0] * len(points))
        if len(given) != len(points) or not given.any():
            found = f"weights {list(self.weight)} for {len(points)} members"
            raise SpecError("ensemble (fixed)", found, "one number ≥ 0 a member, not all 0")
        return given / given.sum()
