"""Quotas: the first n₁ items of the first member, then n₂ of the second that are not there yet, and so on; then the
members fill up in order. Without `quotas`, the weights say how many of `k` each member gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from matinee.ensemble.rule import F64, RoundRobinRule
from matinee.errors import SpecError


class Quota(RoundRobinRule):
    """Seven from one, three from the other."""

    quotas: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """How many items each member places, in the members' order; nothing means by weight."""

    k: Annotated[int, Field(ge=1)] = 10
    """Length of the list that is shared out by weight."""

    def restrict(self, kept: Sequence[int]) -> Self:
        """With the quotas of the members kept."""
        quotas = tuple(quota for member, quota in enumerate(self.quotas) if member in kept)
        return self.model_copy(update={"quotas": quotas})

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """Whole items by weight: the largest remainders are rounded up."""
        if self.quotas and len(self.quotas) != len(weights):
            found = f"quotas {list(self.quotas)} for {len(weights)} members"
            raise SpecError("rule quota", found, "one number for each member")
        if self.quotas:
            count = np.array(self.quotas)
        else:
            exact = np.round(self.k * weights / weights.sum(), 9)  # or equal remainders differ
            count = np.floor(exact).astype(np.int64)
            late = np.argsort(-(exact - count), kind="stable")[: self.k - count.sum()]
            count[late] += 1
        return np.repeat(np.arange(len(weights)), count).tolist()
