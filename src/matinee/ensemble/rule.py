"""Fusion rules: a score for every candidate from lists and weights.

Two families. `PointRule`: every member gives each candidate points, from its rank or its score; the fused score is the
weighted sum. `RoundRobinRule`: members add their next item in turn; weights set the number of turns.
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
    """A rule that fuses lists; each file of `ensemble/rules/` defines one."""

    @abstractmethod
    def scores(self, pool: CandidatePool, weights: F64) -> F64:
        """Scores of the candidates (c,); larger is better, −inf is not listed.

        `weights` ≥ 0 are (M,), or (m, M) with a row per user. Only their proportions count; 0 excludes a member.
        """

    def restrict(self, members: Sequence[int]) -> Self:
        """The same rule for some of the members, by their positions in ascending order."""
        return self


class PointRule(Rule):
    """Rules that add points: score = Σ_m weight_m · points_m, with weights of sum 1."""

    by_votes: ClassVar[bool] = False
    """Whether the sum is multiplied by the number of members with weight above 0 that list the candidate."""

    @abstractmethod
    def values(self, pool: CandidatePool, member: int) -> tuple[F32, F32]:
        """Points of a member's list positions (m, depth), and of other candidates (m,)."""

    def points(self, pool: CandidatePool) -> F32:
        """Points of every member for every candidate, (M, c); 4 M c bytes."""
        out = np.empty(pool.rank.shape, dtype=np.float32)
        for member in range(len(out)):
            out[member] = pool.scatter(member, *self.values(pool, member))
        return out

    def scores(self, pool: CandidatePool, weights: F64) -> F64:
        """Weighted sums (c,); −inf for candidates that only members of weight 0 list."""
        if not weights.any():
            raise SpecError(f"rule {self.kind}", "every weight is 0", "at least one weight above 0")
        share = weights / np.maximum(weights.sum(axis=-1, keepdims=True), 1e-300)
        listed = pool.is_listed(share)
        if listed.all():
            return self._sum(pool, share)
        out = np.full(len(listed), -np.inf)
        out[listed] = self._sum(pool.filter(listed), share)
        return out

    def _sum(self, pool: CandidatePool, share: F64) -> F64:
        """One member at a time: 8 c bytes beside the pool."""
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
    """Rules in which members add their next item in turn; the first member begins.

    Items that are already in the list are skipped.
    """

    @abstractmethod
    def schedule(self, weights: F64, depth: int) -> Sequence[int]:
        """Member of each turn.

        After the last turn the members fill up the list in order.
        """

    def shared(self, n_members: int) -> int:
        """Smallest number of lists of an item that precedes all turns; 0 means none.

        Such items are sorted by the number of lists, then by the sum of ranks.
        """
        return 0

    def scores(self, pool: CandidatePool, weights: F64) -> F64:
        """Minus the position of each candidate in the fused list, (c,)."""
        if weights.ndim > 1:
            raise SpecError(
                f"rule {self.kind}", "weights per user", "one weight per member", "Use a rule that adds points."
            )
        active = np.flatnonzero(weights > 0)
        if not len(active):
            raise SpecError(f"rule {self.kind}", "every weight is 0", "at least one weight above 0")
        depth = max(one.k for one in pool.lists)
        turns = np.array(self.schedule(weights, depth), dtype=np.int64)
        turns = np.concatenate([turns[np.isin(turns, active)], np.repeat(active, depth)])
        out = np.full(len(pool.item), -np.inf)
        kernels.round_robin(pool.offsets, pool.rank, (turns, active), self.shared(len(active)), out)
        return out


def fuse(rule: Rule, pool: CandidatePool, weights: Sequence[float] | F64 | None = None, k: int = 10) -> TopK:
    """The fused lists (m, k) of a pool.

    None means equal weights. Ties are broken by item code.
    """
    weight = np.ones(len(pool.names)) if weights is None else np.asarray(weights, dtype=np.float64)
    shapes = ((len(pool.names),), (len(pool), len(pool.names)))
    if weight.shape not in shapes or (weight < 0).any() or not np.isfinite(weight).all():
        found = f"weights {weight.tolist() if weight.ndim == 1 else weight.shape} for {len(pool.names)} members"
        raise SpecError("ensemble", found, "one number ≥ 0 for each member")
    if k < 1:
        raise SpecError("ensemble", f"lists of {k} items", "at least 1")
    return pool.top(rule.scores(pool, weight), k)
