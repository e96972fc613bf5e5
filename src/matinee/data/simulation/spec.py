"""Simulated log of any size with planted structure: clusters, drift, series and sessions.

Each user mixes a few item clusters and draws items of them by popularity, a shifted power law. Popularity and
clusters drift with time; items occur only after their release; part two of a series often follows part one;
interactions occur in sessions. History lengths are log-normal. See `draw` and `items`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from matinee.data.simulation.draw import DAY, Behaviour, draw_histories
from matinee.data.simulation.items import item_attributes, item_sampler, item_table, raw_ids
from matinee.data.source import DataSpec, Table

MIN_LENGTH = 16
"""Shortest history if the mean length is at least twice as large."""

LOG_SD = 0.9
"""Standard deviation of the logarithm of history lengths."""

MAX_SHARE = 0.43
"""Largest fraction of all items in one history, unless the mean length requires more."""


class Simulate(DataSpec):
    """A simulated log; equal options give equal logs for any number of threads."""

    registered_as: ClassVar[str] = "simulate"

    users: Annotated[int, Field(ge=2, le=10_000_000)] = 2_000
    """Number of users."""

    items: Annotated[int, Field(ge=10, le=1_000_000)] = 1_000
    """Number of items; items without interactions are not in the log."""

    rows: Annotated[int, Field(ge=2, le=1_000_000_000)] = 200_000
    """Exact number of rows."""

    n_clusters: Annotated[int, Field(ge=1, le=200)] = 20
    """Clusters of items preferred by the same users."""

    popularity: Annotated[float, Field(ge=0, le=3)] = 1.8
    """Exponent of the popularity law; 0 makes all items alike."""

    genres: Annotated[int, Field(ge=1, le=100)] = 18
    """How many genres; each taste leans to one."""

    series: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of items that are parts of a series, taken in order."""

    sessions: Annotated[float, Field(ge=1, le=10_000)] = 40.0
    """Mean rows of a session; inside one, seconds pass between takes."""

    drift: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How far fashions and tastes move from the first day to the last, and how many items come out on the way."""

    repeat_rate: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Share of takes that repeat an earlier one; 0 gives no pair twice."""

    start: date = date(2005, 4, 11)
    """The first day (UTC)."""

    days: Annotated[int, Field(ge=1, le=36_500)] = 3_640
    """How many days the log spans."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Another seed gives another log of the same kind."""

    @model_validator(mode="after")
    def _fits(self) -> Simulate:
        low, high = self.users, self.users * self.items // 2
        if not low <= self.rows <= high:
            raise ValueError(f"rows between {low:,} (one per user) and {high:,} (half of users × items)")
        if self.longest > self.days * DAY // 4:
            raise ValueError(f"days enough for a history of {self.longest:,} rows, four seconds each")
        return self

    @property
    def longest(self) -> int:
        """The longest history there may be."""
        mean = self.rows / self.users
        return int(max(MAX_SHARE * self.items, min(1.6 * mean, 0.9 * self.items), np.ceil(mean)))

    def table(self) -> Table:
        """Rows with raw ids, and item attributes."""
        rng = np.random.Generator(np.random.PCG64(self.seed))
        begin = int(datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp())
        span = self.days * DAY
        law = (self.n_clusters, self.popularity, self.series, self.drift)
        items = item_table(rng, self.items, law, (begin, span))
        user_ids = raw_ids(rng, self.users)
        length = self._lengths(rng)
        offsets = np.zeros(self.users + 1, dtype=np.int64)
        np.cumsum(length, out=offsets[1:])
        behaviour = Behaviour(self.seed, begin, span, self.sessions, self.drift, self.repeat_rate)
        item, time = draw_histories(offsets, item_sampler(items, self.n_clusters, self.drift), behaviour)
        frame = pl.DataFrame({"user": np.repeat(user_ids, length), "item": items.raw[item], "time": time})
        facts = rng.integers(0, 2**63)  # one draw here, so that repeated loads give equal attributes
        return Table(
            frame,
            where=f"simulate (seed {self.seed})",
            time_kind="seconds",
            item_attributes=lambda keys: item_attributes(np.random.default_rng(facts), items, self.genres, keys),
        )

    def _lengths(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Lengths (users,) of all histories: log-normal between the bounds, sum `rows`."""
        least = max(1, min(MIN_LENGTH, self.rows // (2 * self.users)))
        wish = np.exp(LOG_SD * rng.standard_normal(self.users))
        most = self.longest - least
        low, high = 0.0, 1.0
        extra = self.rows - least * self.users
        while np.minimum(high * wish, most).sum() < extra:
            high *= 2
        for _ in range(100):  # bisection: the scale at which the capped wishes add up
            middle = (low + high) / 2
            low, high = (middle, high) if np.minimum(middle * wish, most).sum() < extra else (low, middle)
        exact = np.minimum(high * wish, most)
        length = np.floor(exact).astype(np.int64)
        below_max = np.flatnonzero(length < most)
        short = extra - int(length.sum())
        length[below_max[np.argsort((length - exact)[below_max], kind="stable")[:short]]] += 1
        return length + least
