"""One point in time for all users: rows before it are for training, rows after it are targets.

What it answers: how good would the lists have been on that day? No row after the cut is used for training, so the
popularity of items changes as in reality. It is the only protocol without this leak (Ji et al., A critical study on
data leakage in recommender system offline evaluation, TOIS 2023).

When: changing catalogues, and forecasts for a service in use; several origins show whether the ranking is stable.

`temporal(log, at="1970-01-05", days=3)`; one column per day from 1 January 1970; = training and query,
· training only, t target, x dropped:

    ann   A B C D E F G H   →   = = = = t t t x
    ben   . C . D . . . E   →   . · . · . . . x
    cat   . . . . A B . .   →   . . . . x x . .

ben has no row within three days and cat none before the cut, so neither has a query. Target items may have no
training interactions. With `origins=2, step=2` the log is also split at 3 January; `splits` returns one split per
origin, oldest first, and `split` the newest.

Duplicates: targets are the distinct items after the cut. One that also occurs before it counts only where seen
items may be recommended. `Split.drop_seen_targets` removes such targets.
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
    """A split at one point in time, the same for all users."""

    at: datetime | None = None
    """First time of the targets (UTC without a time zone); with several origins, of the newest."""

    fraction: Annotated[float | None, Field(gt=0, lt=1)] = None
    """Instead of a time: approximate fraction of all rows after it; rows of equal time stay together."""

    days: Annotated[float | None, Field(gt=0, le=36_525)] = None
    """Days after the cut that hold the targets; None means to the end of the log."""

    origins: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of splits that `splits` returns, going back from the newest; an experiment uses one."""

    step: Annotated[float | None, Field(gt=0, le=36_525)] = None
    """Days between origins; None means `days`, so that no row is a target twice."""

    @field_validator("at")
    @classmethod
    def _utc(cls, at: datetime | None) -> datetime | None:
        if at is not None and not 1900 <= at.year <= 2200:
            raise ValueError("a time between the years 1900 and 2200")
        return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at

    @model_validator(mode="after")
    def _check_one_size(self) -> Self:
        exactly_one_of("split (temporal)", at=self.at, fraction=self.fraction)
        if self.origins > 1 and self.step is None and self.days is None:
            raise SpecError("split (temporal)", f"origins = {self.origins} and neither step nor days", "one of the two")
        return self

    @property
    def is_random(self) -> bool:
        """False: nothing is drawn."""
        return False

    @property
    def n_cuts(self) -> int:
        """Number of origins."""
        return self.origins

    def split(self, log: Interactions) -> Split:
        """Split at the newest origin."""
        return _split_at(log, self._newest(log), self.days)

    def splits(self, log: Interactions) -> list[Split]:
        """Splits at all origins, oldest first, each with its own targets."""
        newest, step = self._newest(log), _seconds(self.step or self.days or 0)
        return [_split_at(log, newest - back * step, self.days) for back in reversed(range(self.origins))]

    def validation_protocol(self, train: Interactions) -> Temporal:
        """An earlier origin with the same horizon: the validation split ends with `train`."""
        if self.fraction is not None:
            return self.model_copy(update={"origins": 1})
        if self.at is None or self.days is None:
            raise SpecError("split (temporal)", "no horizon", "days", "Set days, or call Split.validation_split.")
        return Temporal(at=self.at - timedelta(seconds=_seconds(self.days)), days=self.days)

    def _newest(self, log: Interactions) -> int:
        """Time of the newest origin in seconds."""
        need_order(log, self, "Read one, or use kind = 'random'.")
        if log.time_kind != "seconds":
            todo = "Read real times, or use kind = 'last_n'."
            raise SplitError("the log has only the order of each history", "times that all users share", todo)
        if self.at is not None:
            return math.ceil((self.at - START).total_seconds())
        after = min(max(round((self.fraction or 0) * len(log)), 1), len(log))
        return int(np.partition(log.time, len(log) - after)[len(log) - after]) if len(log) else 0


def _seconds(days: float) -> int:
    return max(1, round(days * DAY))


def _split_at(log: Interactions, at: int, days: float | None) -> Split:
    """Split at a time in seconds; the protocol of the split has the explicit time and horizon."""
    if len(log) == 0:
        raise no_test_users(log)
    first, last = int(log.time.min()), int(log.time.max())
    horizon = max(last + 1 - at, 1) if days is None else _seconds(days)
    destination = np.where(log.time < at, TRAIN, np.where(log.time < at + horizon, 0, DROPPED)).astype(np.int8)
    has_history = np.bincount(log.user[destination == TRAIN], minlength=log.n_users) > 0
    destination[(destination == 0) & ~has_history[log.user]] = DROPPED
    moment = START + timedelta(seconds=at)
    if not (destination == 0).any():
        raise SplitError(
            f"no user has rows both before {moment:%Y-%m-%d %H:%M:%S} and in the {horizon / DAY:g} days from then on",
            f"a time inside the log, which runs from {_day(first)} to {_day(last)}",
            "Change at, or set a longer horizon with days.",
        )
    return assemble(log, destination, Temporal(at=moment, days=horizon / DAY), ("temporal",))


def _day(second: int) -> str:
    return f"{START + timedelta(seconds=second):%Y-%m-%d}"
