"""The product of the members' scores, normalised to 0 … 1, weights being exponents: exp Σ_m w_m log max(s_m, floor).

Ranked by its logarithm, a sum. With norms ["sigmoid", "softmax"] it is σ(a) ⊙ b. An item outside a list is worth the
floor: without one, a single member could rule any item out (Hinton, Products of Experts, 2002, for the idea).
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
    """An item has to please every member."""

    norms: Annotated[tuple[Norm, ...], Field(min_length=1)] = ("min_max",)
    """How scores of a list are brought to 0 … 1: one for all members, or one for each in their order."""

    floor: Annotated[float, Field(gt=0, lt=1), SearchRange(1e-4, 0.5, log=True)] = 0.01
    """What an item is worth at least, outside a list too."""

    def restrict(self, kept: Sequence[int]) -> Self:
        """With the norms of the members kept."""
        if len(self.norms) == 1:
            return self
        return self.model_copy(update={"norms": tuple(norm for m, norm in enumerate(self.norms) if m in kept)})

    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Logarithms, 0 the most."""
        if len(self.norms) not in (1, len(pool.names)) or "z_score" in self.norms:
            found = f"norms {list(self.norms)} for {len(pool.names)} members"
            raise SpecError("rule product", found, "one, or one a member, and no z_score, which falls below 0")
        lists = pool.lists[member]
        value, _ = normalized(lists.item, lists.score, self.norms[member % len(self.norms)])
        floor = np.full(len(lists), np.log(self.floor), dtype=np.float32)
        return np.log(np.maximum(value, self.floor)).astype(np.float32), floor
