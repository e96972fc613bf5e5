"""Which people each member wins: how those it serves best differ, trait by trait, from everybody with answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.user_features import Traits
from matinee.ensemble.judge import Judge

F64 = NDArray[np.float64]

CLEAR = 3.0
"""Standard errors from which a difference is worth a word."""

SHOWN = 3
"""At most so many traits a member are named."""


@dataclass(frozen=True)
class Won:
    """The people on whom one member's own list is better than every other's."""

    member: str
    people: int
    away: dict[str, float]
    """For each trait, their mean minus everybody's, in everybody's standard deviations."""

    clear: tuple[str, ...]
    """The traits that differ by more than `CLEAR` standard errors, the farthest first."""

    def said(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"member": self.member, "people": self.people, "away": self.away, "clear": list(self.clear)}

    def text(self) -> str:
        """A line for a terminal."""
        named = ", ".join(f"{name} {self.away[name]:+.2f}" for name in self.clear[:SHOWN])
        return f"{self.member} wins {self.people:,} people: {named or 'no trait tells them apart'}"


def winners(judge: Judge, traits: Traits) -> list[Won]:
    """What tells the people each member wins apart, under the judge's metric; `traits` of the pool's people (m, F)."""
    pool = judge.pool
    orders = (np.where(rank > 0, -rank.astype(np.float32), np.float32(-np.inf)) for rank in pool.rank)
    value = np.array([judge.values(order) for order in orders])
    known = np.isfinite(value).all(axis=0)
    own, value = traits.values[known], value[:, known]
    deviation = own.std(axis=0)
    away = (own - own.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    return [_won(name, away[_ahead(value, m)], traits.names) for m, name in enumerate(pool.names)]


def _ahead(value: F64, m: int) -> NDArray[np.bool_]:
    """Who (n,) of `value` (M, n) has member m strictly ahead of all others."""
    others = np.delete(value, m, axis=0)
    return value[m] > others.max(axis=0, initial=0.0)


def _won(name: str, away: F64, traits: tuple[str, ...]) -> Won:
    mean = away.mean(axis=0) if len(away) else np.zeros(len(traits))
    order = np.argsort(-np.abs(mean), kind="stable")
    clear = tuple(traits[f] for f in order if abs(mean[f]) * np.sqrt(len(away)) > CLEAR)
    return Won(name, len(away), dict(zip(traits, map(float, mean), strict=True)), clear)
