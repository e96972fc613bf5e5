"""Two bands: ranks 1 … top are worth 1, those up to `reserve` are worth `worth`, everything below and outside 0.

Points within a band are equal, so members decide by their number and weight; among equals the item code decides, or
with `slope` the ranks: each is worth that much less than the one before.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, F64, PointRule
from matinee.ensemble.rules._table import by_rank
from matinee.spec import SearchRange


class TwoTier(PointRule):
    """A full vote for what would be delivered, a small one for what came close."""

    top: Annotated[int, Field(ge=1), SearchRange(5, 50, log=True)] = 10
    """The last rank of the first band."""

    reserve: Annotated[int, Field(ge=1), SearchRange(10, 100, log=True)] = 15
    """The last rank of the second band."""

    worth: Annotated[float, Field(ge=0, le=1), SearchRange(0, 1)] = 0.3
    """What the second band is worth, the first being 1."""

    slope: Annotated[float, Field(ge=0), SearchRange(0, 0.01)] = 1e-4
    """How much less each rank is worth than the one before, as a share of its band."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """The same row for everybody."""

        def worth(r: F64) -> F64:
            band = np.where(r <= self.top, 1.0, np.where(r <= self.reserve, self.worth, 0.0))
            return band * np.maximum(1.0 - self.slope * (r - 1.0), 0.0)

        return by_rank(pool.lists[member], worth)
