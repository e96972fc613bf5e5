r"""Popularity: what most people took, lately if wished, and what a person keeps coming back to.

    s_i = Σ_u 2^(−age_ui / half_life) [age_ui ≤ window] / L_u,    s_ui = s_i / max_j s_j + repeat · log(1 + c_ui)

    trend:  s_i = log((now_i + 1) / (before_i + 1)),  the sums over the last `window` and over the window before it

age_ui counts days from u's last take of i to the newest time in the log, c_ui how often u took i, L_u how many items u
took. The first two factors and 1 / L_u stand only where half_life, window and share ask for them: without a knob every
person counts one. Trends are moved to start just above 0, the score of what nobody took. Cost: one pass over the log;
with times it is sorted once more. The baseline every board carries: a model that does not beat it is broken.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.errors import CannotDo
from matinee.fitted import Constant
from matinee.spec import Search

F64: TypeAlias = NDArray[np.float64]

DAY = 86_400.0


class Popularity(ModelSpec):
    """The same list for everybody, minus what each has seen."""

    personal: ClassVar[bool] = False

    half_life: Annotated[float | None, Field(gt=0), Search(1, 1000, log=True)] = None
    """Days after which a take counts half; nothing means that age does not matter."""

    window: Annotated[float | None, Field(gt=0), Search(1, 1000, log=True)] = None
    """Days back from the end of the log that count at all; nothing means all of them."""

    trend: Annotated[bool, Search(choices=(False, True))] = False
    """Whether growth counts, the last window against the one before, instead of size; it needs a window."""

    share: Annotated[bool, Search(choices=(False, True))] = False
    """Whether every person has one vote to share out, instead of one an item, so that heavy people do not rule."""

    repeat: Annotated[float, Field(ge=0), Search(0, 10)] = 0.0
    """How much a person's own repeats count, where seen items are allowed."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> Constant:
        """Count people, decayed by age."""
        ctx.admit(self, data)
        user, item, age = _takes(data, timed=self._needs_times)
        weight = np.ones(len(user))
        if self.half_life is not None:
            weight *= np.exp2(-age / self.half_life)
        if self.share:
            weight /= np.diff(data.matrix.indptr)[user]
        recent = age <= (np.inf if self.window is None else self.window)
        score = np.bincount(item[recent], weight[recent], minlength=data.n_items)
        if self.trend and self.window is not None:
            earlier = ~recent & (age <= 2 * self.window)
            before = np.bincount(item[earlier], weight[earlier], minlength=data.n_items)
            score = _above_nothing(np.log((score + 1) / (before + 1)), data.popularity > 0)
        score /= max(score.max(initial=0.0), 1e-30)
        return Constant(self, data.items, score.astype(np.float32), self.repeat)

    @property
    def _needs_times(self) -> bool:
        return self.half_life is not None or self.window is not None

    def require(self, data: Interactions) -> None:
        """A half-life and a window need times, a trend needs a window."""
        super().require(data)
        if self.trend and self.window is None:
            raise CannotDo(self.kind, "find a trend without a window", "Give window, in days.")
        for knob in ("half_life", "window"):
            if getattr(self, knob) is not None and data.clock != "seconds":
                raise CannotDo(self.kind, f"use {knob} on a log without times", f"Leave {knob} out.")

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Some numbers an item and a row; with times the log sorted once more."""
        return 40 * n_items + (80 if self._needs_times else 48) * n_rows


def _takes(data: Interactions, *, timed: bool) -> tuple[NDArray[np.int32], NDArray[np.int32], F64]:
    """Every (user, item) once, and the age in days of its last take; all ages are 0 where times do not matter."""
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


def _above_nothing(trend: F64, taken: NDArray[np.bool_]) -> F64:
    """Trends (n_items,) moved so that the lowest stands just above 0, and 0 where nobody took the item."""
    low = trend.min(where=taken, initial=np.inf)
    return np.where(taken, trend - low + 1e-3, 0.0)
