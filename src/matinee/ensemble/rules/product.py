"""Product of the members' scores, normalized to 0 … 1, with weights as exponents.

    score = Σ_m w_m log max(s_m(i), floor), the logarithm of Π_m max(s_m(i), floor)^w_m

Items outside a list have the value `floor`, so that no single member excludes an item. With norms ["sigmoid",
"softmax"] it is σ(a) ⊙ softmax(b). Hinton, Training Products of Experts by Minimizing Contrastive Divergence, 2002.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from matinee.candidates.norms import Norm, normalized
from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import F32, PointRule
from matinee.errors import SpecError
from matinee.spec import SearchRange


class Product(PointRule):
    """Weighted product of normalized scores."""

    norms: Annotated[tuple[Norm, ...], Field(min_length=1)] = ("min_max",)
    """Normalization to 0 … 1: one for all members, or one for each member in order."""

    floor: Annotated[float, Field(gt=0, lt=1), SearchRange(1e-4, 0.5, log=True)] = 0.01
    """Smallest value of an item; the value outside a list."""

    def restrict(self, members: Sequence[int]) -> Self:
        """The same rule with the norms of these members."""
        if len(self.norms) == 1:
            return self
        return self.model_copy(update={"norms": tuple(norm for m, norm in enumerate(self.norms) if m in members)})

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Logarithms of normalized scores, at most 0."""
        if len(self.norms) not in (1, len(pool.names)) or "z_score" in self.norms:
            found = f"norms {list(self.norms)} for {len(pool.names)} members"
            raise SpecError("rule product", found, "one norm, or one per member, without z_score (negative values)")
        lists = pool.lists[member]
        value, _ = normalized(lists.item, lists.score, self.norms[member % len(self.norms)])
        floor = np.full(len(lists), np.log(self.floor), dtype=np.float32)
        return np.log(np.maximum(value, self.floor)).astype(np.float32), floor
