"""CombMNZ: CombSUM times the number of members that list the item.

    score = |{m : w_m > 0, i in list m}| · Σ_m w_m s_m(i)

s_m the normalized scores; normalizations with negative values are excluded, since votes would then lower a score.
Fox and Shaw, Combination of Multiple Searches, TREC-2, 1994.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from matinee.candidates.norms import normalized
from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule


class CombMnz(PointRule):
    """Sum of normalized scores times the number of members that list the item."""

    by_votes: ClassVar[bool] = True

    norm: Literal["min_max", "rank", "softmax", "sigmoid"] = "min_max"
    """Normalization of the scores of a list: min_max, rank, softmax or sigmoid."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Normalized scores."""
        lists = pool.lists[member]
        value, missing = normalized(lists.item, lists.score, self.norm)
        return value.astype(np.float32), missing.astype(np.float32)
