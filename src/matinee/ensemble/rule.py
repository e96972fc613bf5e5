"""What a fusion rule is: lists and weights in, a score for every candidate out.

Two families. *Points*: every member gives each candidate points, from its rank or its score; the fused score is the
weighted sum. *Turns*: members take turns to name their next item; weights say how many turns.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.pool import CandidatePool
from matinee.ensemble import kernels
from matinee.errors import SpecError
from matinee.spec import Spec
from matinee.topk import TopK

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]


class Rule(Spec):
    """How lists become one list: one file of `ensemble/rules/` defines one."""

    @abstractmethod
    def scores(self, pool: CandidatePool, weights: F64) -> F64:
        """A score for every candidate (c,), larger is better, −inf not to be listed.

        `weights` (M,) ≥ 0, one a member, or (m, M), a row for every person. They count in proportion; 0 is absence.
        """

    def restrict(self, kept: Sequence[int]) -> Self:
        """The same rule for the members `kept` alone, by their numbers in ascending order."""
        return self


class PointRule(Rule):
    """Rules that add up: score = Σ_m weight_m · points_m, weights scaled to sum 1."""

    by_votes: ClassVar[bool] = False
    """Whether the sum is multiplied by the number of members, of weight above 0, that list the candidate."""

    @abstractmethod
    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points of a member's list positions (m, depth), and of candidates it does not list (m,)."""

    def points(self, pool: CandidatePool) -> F32:
        """Every member's points for every candidate (M, c): 4 M c bytes, for searching weights."""
        out = np.empty(pool.rank.shape, dtype=np.float32)
        for member in range(len(out)):
            out[member] = pool.scatter(member, *self.values(pool, member))
        return out

    def scores(self, pool: CandidatePool, weights: F64) -> F64:
        """What only members of weight 0 list is no candidate."""
        if not weights.any():
            raise SpecError(f"rule {self.kind}", "every weight is 0", "at least one member")
        share = weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
        listed = pool.is_listed(share)
        if listed.all():
            return self._sum(pool, share)
        out = np.full(len(listed), -np.inf)
        out[listed] = self._sum(pool.filter(listed), share)
        return out

    def _sum(self, pool: CandidatePool, share: F64) -> F64:
        """A member at a time: 8 c bytes beside the pool."""
        total = np.zeros(len(pool.item))
        votes = np.zeros(len(pool.item), dtype=np.int32)
        for member in range(len(pool.names)):
            own = share[..., member] if share.ndim == 1 else share[pool.row, member]
            if not np.any(own):
                continue
            total += own * pool.scatter(member, *self.values(pool, member))
            votes += (pool.rank[member] > 0) & (own > 0)
        return total * votes if self.by_votes else total


class RoundRobinRule(Rule):
    """Rules that deal: the order of the members matters, the first goes first. An item already named is skipped."""

    @abstractmethod
    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """Whose turn it is, by member number; after the last turn the members fill up, one after the other."""

    def shared(self, n_members: int) -> int:
        """Items listed by at least so many members come before all turns, those on most lists ahead; 0 for none."""
        return 0

    def scores(self, pool: CandidatePool, weights: F64) -> F64:
        """Minus the position at which a candidate was named."""
        if weights.ndim > 1:
            raise SpecError(
                f"rule {self.kind}", "weights for each person", "one weight a member", "Take a points rule."
            )
        there = np.flatnonzero(weights > 0)
        if not len(there):
            raise SpecError(f"rule {self.kind}", "every weight is 0", "at least one member")
        depth = max(one.k for one in pool.lists)
        turns = np.array(self.schedule(weights, depth), dtype=np.int64)
        turns = np.concatenate([turns[np.isin(turns, there)], np.repeat(there, depth)])
        out = np.full(len(pool.item), -np.inf)
        kernels.round_robin(pool.offsets, pool.rank, (turns, there), self.shared(len(there)), out)
        return out


def fuse(rule: Rule, pool: CandidatePool, weights: Sequence[float] | F64 | None = None, k: int = 10) -> TopK:
    """The fused lists (m, k) of a pool; no weights means equal ones. Ties by item code."""
    given = np.ones(len(pool.names)) if weights is None else np.asarray(weights, dtype=np.float64)
    shapes = ((len(pool.names),), (len(pool), len(pool.names)))
    if given.shape not in shapes or (given < 0).any() or not np.isfinite(given).all():
        found = f"weights {given.tolist() if given.ndim == 1 else given.shape} for {len(pool.names)} members"
        raise SpecError("ensemble", found, "one number ≥ 0 for each member")
    if k < 1:
        raise SpecError("ensemble", f"lists of {k} items", "at least 1")
    return pool.top(rule.scores(pool, given), k)
