"""Quotas: n₁ items of the first member, then n₂ new items of the second, and so on.

    n_m = quotas[m], or k · w_m / Σ w, rounded by largest remainders

Afterwards the members fill up the list in order. Source of the rounding: the method of Hamilton (1792).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from matinee.ensemble.rule import F64, RoundRobinRule
from matinee.errors import SpecError


class Quota(RoundRobinRule):
    """A fixed number of items per member."""

    quotas: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Number of items of each member, in the members' order; empty means by weight."""

    k: Annotated[int, Field(ge=1)] = 10
    """Number of items that are divided by weight."""

    def restrict(self, members: Sequence[int]) -> Self:
        """The same rule with the quotas of these members."""
        quotas = tuple(quota for member, quota in enumerate(self.quotas) if member in members)
        return self.model_copy(update={"quotas": quotas})

    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """Turns of the first member, then of the second, and so on."""
        if self.quotas and len(self.quotas) != len(weights):
            found = f"quotas {list(self.quotas)} for {len(weights)} members"
            raise SpecError("rule quota", found, "one number for each member")
        if self.quotas:
            count = np.array(self.quotas)
        else:
            exact = np.round(
                self.k * weights / weights.sum(), 9
            )  # equal remainders must be equal after rounding errors
            count = np.floor(exact).astype(np.int64)
            rounded_up = np.argsort(-(exact - count), kind="stable")[: self.k - count.sum()]
            count[rounded_up] += 1
        return np.repeat(np.arange(len(weights)), count).tolist()
