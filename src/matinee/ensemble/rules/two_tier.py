"""Two tiers: a full vote for the first ranks and a smaller one for the next.

    points(r) = tier(r) · max(1 − slope (r − 1), 0),  tier(r) = 1 if r ≤ top, `worth` if r ≤ reserve, else 0

With slope = 0 the points within a tier are equal and ties are broken by item code; a small slope breaks them by rank.
No published source.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, F64, PointRule
from matinee.ensemble.rules._table import points_by_rank
from matinee.spec import SearchRange


class TwoTier(PointRule):
    """A full vote for the first tier, a smaller one for the second."""

    top: Annotated[int, Field(ge=1), SearchRange(5, 50, log=True)] = 10
    """The last rank of the first tier."""

    reserve: Annotated[int, Field(ge=1), SearchRange(10, 100, log=True)] = 15
    """The last rank of the second tier."""

    worth: Annotated[float, Field(ge=0, le=1), SearchRange(0, 1)] = 0.3
    """Points of the second tier; the first has 1."""

    slope: Annotated[float, Field(ge=0), SearchRange(0, 0.01)] = 1e-4
    """Decrease of the points per rank, as a fraction of the tier's points."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points by rank, equal for all users."""

        def points(r: F64) -> F64:
            tier = np.where(r <= self.top, 1.0, np.where(r <= self.reserve, self.worth, 0.0))
            return tier * np.maximum(1.0 - self.slope * (r - 1.0), 0.0)

        return points_by_rank(pool.lists[member], points)
