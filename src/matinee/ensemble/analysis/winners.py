"""Which people each member wins: how those it serves best differ, trait by trait, from everybody with answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.user_features import UserFeatures
from matinee.ensemble.objective import FusionObjective

F64 = NDArray[np.float64]

MIN_Z = 3.0
"""Standard errors from which a difference is worth a word."""

MAX_SHOWN = 3
"""At most so many traits a member are named."""


@dataclass(frozen=True)
class MemberWins:
    """The people on whom one member's own list is better than every other's."""

    member: str
    n_users: int
    away: dict[str, float]
    """For each trait, their mean minus everybody's, in everybody's standard deviations."""

    clear: tuple[str, ...]
    """The traits that differ by more than `CLEAR` standard errors, the farthest first."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"member": self.member, "people": self.n_users, "away": self.away, "clear": list(self.clear)}

    def text(self) -> str:
        """A line for a terminal."""
        named = ", ".join(f"{name} {self.away[name]:+.2f}" for name in self.clear[:MAX_SHOWN])
        return f"{self.member} wins {self.n_users:,} people: {named or 'no trait tells them apart'}"


def member_wins(judge: FusionObjective, traits: UserFeatures) -> list[MemberWins]:
    """What tells the people each member wins apart, under the judge's metric; `traits` of the pool's people (m, F)."""
    pool = judge.pool
    orders = (np.where(rank > 0, -rank.astype(np.float32), np.float32(-np.inf)) for rank in pool.rank)
    value = np.array([judge.values(order) for order in orders])
    known = np.isfinite(value).all(axis=0)
    own, value = traits.values[known], value[:, known]
    deviation = own.std(axis=0)
    away = (own - own.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return [_won(name, away[_wins(value, m)], traits.names) for m, name in enumerate(pool.names)]


def _wins(value: F64, m: int) -> NDArray[np.bool_]:
    """Who (n,) of `value` (M, n) has member m strictly ahead of all others."""
    others = np.delete(value, m, axis=0)
    return value[m] > others.max(axis=0, initial=0.0)


def _won(name: str, away: F64, traits: tuple[str, ...]) -> MemberWins:
    mean = away.mean(axis=0) if len(away) else np.zeros(len(traits))
    order = np.argsort(-np.abs(mean), kind="stable")
    clear = tuple(traits[f] for f in order if abs(mean[f]) * np.sqrt(len(away)) > MIN_Z)
    return MemberWins(name, len(away), dict(zip(traits, map(float, mean), strict=True)), clear)
