"""Linear rank points: points fall linearly over the first `top` ranks.

    points(r) = max(top − r + 1, 0) / top; 0 outside the list

A truncated Borda count (de Borda, Mémoire sur les élections au scrutin, 1781).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import points_by_rank
from matinee.spec import SearchRange


class LinearRank(PointRule):
    """Points 1.00, 0.95, … 0.05 over twenty ranks."""

    top: Annotated[int, Field(ge=1), SearchRange(10, 200, log=True)] = 20
    """Number of ranks with points."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points by rank, equal for all users."""
        return points_by_rank(pool.lists[member], lambda r: np.maximum(self.top - r + 1.0, 0.0) / self.top)
