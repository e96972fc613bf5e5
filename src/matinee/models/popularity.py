r"""Popularity: items by number of users, optionally recent, plus repeats of the user's own items.

    s_i = Σ_u 2^(−age_ui / half_life) [age_ui ≤ window] / L_u,    s_ui = s_i / max_j s_j + repeat_weight · log(1 + c_ui)

    trend:  s_i = log((now_i + 1) / (before_i + 1)),  the sums over the last `window` and over the window before it

age_ui is the time in days from u's last interaction with i to the end of the log, c_ui the number of interactions, L_u
the number of items of u. The first two factors and 1 / L_u apply only with half_life_days, window_days and
normalize_users; by default every user counts 1. Trends are shifted to start above 0, the score of items without
training interactions. Cost: one pass over the log; with times one more sort. Every leaderboard contains this baseline.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.errors import UnsupportedError
from matinee.fitted import PopularityScorer
from matinee.spec import SearchRange

F64: TypeAlias = NDArray[np.float64]

DAY = 86_400.0


class Popularity(ModelSpec):
    """The most popular items: the same list for all users, apart from seen items."""

    personalized: ClassVar[bool] = False

    half_life_days: Annotated[float | None, Field(gt=0), SearchRange(1, 1000, log=True)] = None
    """Days after which an interaction has half its weight. None means no decay."""

    window_days: Annotated[float | None, Field(gt=0), SearchRange(1, 1000, log=True)] = None
    """Days before the end of the log that count. None means all."""

    trend: Annotated[bool, SearchRange(choices=(False, True))] = False
    """Whether to score growth from the previous window to the last one; requires window_days."""

    normalize_users: Annotated[bool, SearchRange(choices=(False, True))] = False
    """Whether the weights of each user sum to 1, so that heavy users do not dominate."""

    repeat_weight: Annotated[float, Field(ge=0), SearchRange(0, 10)] = 0.0
    """Weight of the user's own repeats, where seen items may be recommended."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> PopularityScorer:
        """Count users per item, weighted by age."""
        ctx.check_memory(self, data)
        user, item, age = _unique_interactions(data, timed=self._needs_times)
        weight = np.ones(len(user))
        if self.half_life_days is not None:
            weight *= np.exp2(-age / self.half_life_days)
        if self.normalize_users:
            weight /= np.diff(data.matrix.indptr)[user]
        recent = age <= (np.inf if self.window_days is None else self.window_days)
        score = np.bincount(item[recent], weight[recent], minlength=data.n_items)
        if self.trend and self.window_days is not None:
            earlier = ~recent & (age <= 2 * self.window_days)
            before = np.bincount(item[earlier], weight[earlier], minlength=data.n_items)
            score = _shift_positive(np.log((score + 1) / (before + 1)), data.popularity > 0)
        score /= max(score.max(initial=0.0), 1e-30)
        return PopularityScorer(self, data.items, score.astype(np.float32), self.repeat_weight)

    @property
    def _needs_times(self) -> bool:
        return self.half_life_days is not None or self.window_days is not None

    def check_data(self, data: Interactions) -> None:
        """Refuse options that need times or a window without them."""
        super().check_data(data)
        if self.trend and self.window_days is None:
            raise UnsupportedError(self.kind, "compute a trend without a window", "Set window_days.")
        for name in ("half_life_days", "window_days"):
            if getattr(self, name) is not None and data.time_kind != "seconds":
                raise UnsupportedError(self.kind, f"use {name} on a log without times", f"Remove {name}.")

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """A few numbers per item and row; with times one sorted copy of the log."""
        return 40 * n_items + (80 if self._needs_times else 48) * n_rows


def _unique_interactions(data: Interactions, *, timed: bool) -> tuple[NDArray[np.int32], NDArray[np.int32], F64]:
    """Every (user, item) once with the age in days of its last interaction; 0 if not timed."""
    if not timed:
        matrix = data.matrix
        user = np.repeat(np.arange(data.n_users, dtype=np.int32), np.diff(matrix.indptr))
        return user, matrix.indices, np.zeros(len(user))
    order = np.lexsort((np.arange(len(data)), data.item, data.user))
    user, item = data.user[order], data.item[order]
    newest = np.ones(len(data), dtype=np.bool_)  # the last row of each (user, item), times being ascending
    newest[:-1] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
    age = (data.time.max(initial=0) - data.time[order][newest]) / DAY
    return user[newest], item[newest], age


def _shift_positive(trend: F64, has_interactions: NDArray[np.bool_]) -> F64:
    """Trends (n_items,) shifted to a minimum above 0; 0 for items without interactions."""
    low = trend.min(where=has_interactions, initial=np.inf)
    return np.where(has_interactions, trend - low + 1e-3, 0.0)
