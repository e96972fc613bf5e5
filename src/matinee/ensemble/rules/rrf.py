"""Reciprocal rank fusion: rank r is worth 1 / (k + r), an item outside a list 0.

Cormack, Clarke and Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods, SIGIR
2009, k = 60 there, for lists of 1,000; short lists want less.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.ensemble.rules._table import by_rank
from matinee.spec import SearchRange


class ReciprocalRank(PointRule):
    """Points that fall fast at the top and slowly below."""

    k: Annotated[float, Field(ge=0), SearchRange(1, 100, log=True)] = 10.0
    """How flat the top is: large values make the first ranks nearly equal."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """The same row for everybody."""
        return by_rank(pool.lists[member], lambda r: 1.0 / (self.k + r))
