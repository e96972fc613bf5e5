"""CombSUM: the weighted sum of the members' scores, normalized within each list.

    score = Σ_m w_m s_m(i)

s_m(i) for an item outside the list: 0 (min_max, rank, softmax), or the value of the last item (z_score, sigmoid).
Fox and Shaw, Combination of Multiple Searches, TREC-2, 1994.
"""

from __future__ import annotations

import numpy as np

from matinee.candidates.norms import Norm, normalized
from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule


class CombSum(PointRule):
    """Weighted sum of normalized scores."""

    norm: Norm = "z_score"
    """Normalization of the scores of a list: min_max, z_score, rank, softmax or sigmoid."""

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Normalized scores."""
        lists = pool.lists[member]
        value, missing = normalized(lists.item, lists.score, self.norm)
        return value.astype(np.float32), missing.astype(np.float32)
