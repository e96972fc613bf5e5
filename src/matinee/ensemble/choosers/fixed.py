"""Weights written down: nothing is searched."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.contract import Context
from matinee.ensemble.chooser import F32, F64, Chooser
from matinee.ensemble.judge import Judge
from matinee.errors import SpecError


class Fixed(Chooser):
    """Equal weights, or those given."""

    weight: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """A weight for each member, in the members' order; nothing means equal ones."""

    def weights(self, judge: Judge, points: F32, ctx: Context = Context()) -> F64:
        """As written."""
        given = np.array(self.weight or [1.0] * len(points))
        if len(given) != len(points) or not given.any():
            found = f"weights {list(self.weight)} for {len(points)} members"
            raise SpecError("ensemble (fixed)", found, "one number ≥ 0 a member, not all 0")
        return given / given.sum()
