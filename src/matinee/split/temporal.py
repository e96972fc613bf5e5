"""One moment for everybody: learn from what came before it, ask about what came after.

What it answers: how good would the lists have been on that day? Nobody's future is learnt from, so items rise and
fall as they really did. It is the only protocol without that leak (Ji et al., A critical study on data leakage in
recommender system offline evaluation, TOIS 2023).

When: catalogues that change, forecasts of a service in use; several origins show whether the winner stays one.

`temporal(log, at="1970-01-05", days=3)`; a column is a day from 1 January 1970; = learnt and asked,
· learnt only, t answer, x left out:

    ann   A B C D E F G H   →   = = = = t t t x
    ben   . C . D . . . E   →   . · . · . . . x
    cat   . . . . A B . .   →   . . . . x x . .

ben takes nothing within three days and cat has no past: neither can be asked. What an item-cold answer is about is
known by name only. With `origins=2, step=2` the same is done at 3 January too; `cuts` gives every origin, the
oldest first, and `cut` the newest.

Repeats: answers are the different items taken after the cut; one taken before as well can only be hit where seen
items may be recommended. `Split.without_seen` takes such answers out.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from matinee.data import Interactions
from matinee.errors import SpecError, SplitError
from matinee.split._split import DROPPED, TRAIN, Split, SplitSpec, assemble, exactly_one_of, need_order, no_test_users

DAY = 86_400
START = datetime(1970, 1, 1, tzinfo=UTC)


class Temporal(SplitSpec):
    """Before and after a moment."""

    at: datetime | None = None
    """The first moment of the answers (UTC unless it says otherwise); with several origins, of the newest."""

    fraction: Annotated[float | None, Field(gt=0, lt=1)] = None
    """Instead of a moment: about the share of all rows that lies after it; rows of one moment stay together."""

    days: Annotated[float | None, Field(gt=0, le=36_525)] = None
    """How long after the cut answers are taken; nothing means to the end of the log."""

    origins: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many cuts `cuts` makes, going back in time from the newest; an experiment takes one."""

    step: Annotated[float | None, Field(gt=0, le=36_525)] = None
    """Days from one origin to the next; nothing means `days`, so that no answer is asked for twice."""

    @field_validator("at")
    @classmethod
    def _utc(cls, at: datetime | None) -> datetime | None:
        if at is not None and not 1900 <= at.year <= 2200:
            raise ValueError("a moment between the years 1900 and 2200")
        return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at

    @model_validator(mode="after")
    def _check_one_size(self) -> Self:
        exactly_one_of("split (temporal)", at=self.at, fraction=self.fraction)
        if self.origins > 1 and self.step is None and self.days is None:
            raise SpecError("split (temporal)", f"origins = {self.origins} and neither step nor days", "one of the two")
        return self

    @property
    def is_random(self) -> bool:
        """Nothing is left to chance."""
        return False

    @property
    def n_cuts(self) -> int:
        """One for each origin."""
        return self.origins

    def split(self, log: Interactions) -> Split:
        """Cut at the newest origin."""
        return _split_at(log, self._newest(log), self.days)

    def splits(self, log: Interactions) -> list[Split]:
        """Cut at every origin, the oldest first; each split is a whole one, with its own answers."""
        newest, step = self._newest(log), _seconds(self.step or self.days or 0)
        return [_split_at(log, newest - back * step, self.days) for back in reversed(range(self.origins))]

    def validation_protocol(self, learn: Interactions) -> Temporal:
        """An earlier origin at the same horizon, so that the stop fold ends where `learn` does."""
        if self.fraction is not None:
            return self.model_copy(update={"origins": 1})
        if self.at is None or self.days is None:
            raise SpecError(
                "split (temporal)", "no horizon", "days", "Ask the split, which knows its own: split.stop()."
            )
        return Temporal(at=self.at - timedelta(seconds=_seconds(self.days)), days=self.days)

    def _newest(self, log: Interactions) -> int:
        """The second of the newest origin."""
        need_order(log, self, "Read one, or use kind = 'random'.")
        if log.time_kind != "seconds":
            todo = "Read real times, or use kind = 'tail'."
            raise SplitError("the log knows only the order of each history", "times that all users share", todo)
        if self.at is not None:
            return math.ceil((self.at - START).total_seconds())
        after = min(max(round((self.fraction or 0) * len(log)), 1), len(log))
        return int(np.partition(log.time, len(log) - after)[len(log) - after]) if len(log) else 0


def _seconds(days: float) -> int:
    return max(1, round(days * DAY))


def _split_at(log: Interactions, at: int, days: float | None) -> Split:
    """Cut at a second; the protocol of the split names the moment and the horizon, however they were given."""
    if len(log) == 0:
        raise no_test_users(log)
    first, last = int(log.time.min()), int(log.time.max())
    horizon = max(last + 1 - at, 1) if days is None else _seconds(days)
    held = np.where(log.time < at, TRAIN, np.where(log.time < at + horizon, 0, DROPPED)).astype(np.int8)
    past = np.bincount(log.user[held == TRAIN], minlength=log.n_users) > 0
    held[(held == 0) & ~past[log.user]] = DROPPED
    moment = START + timedelta(seconds=at)
    if not (held == 0).any():
        raise SplitError(
            f"nobody has rows both before {moment:%Y-%m-%d %H:%M:%S} and in the {horizon / DAY:g} days from then on",
            f"a moment inside the log, which runs from {_day(first)} to {_day(last)}",
            "Move the cut, or ask for a shorter or longer horizon with days.",
        )
    return assemble(log, held, Temporal(at=moment, days=horizon / DAY), ("temporal",))


def _day(second: int) -> str:
    return f"{START + timedelta(seconds=second):%Y-%m-%d}"
