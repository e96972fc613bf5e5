"""From a table of raw ids to a log: the knobs and checks every source of data shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import polars as pl

from matinee.data.attributes import Column
from matinee.data.interactions import Clock, Interactions
from matinee.data.vocabulary import Vocabulary
from matinee.spec import Spec

Describe: TypeAlias = Callable[[Vocabulary], Mapping[str, Column]]
"""Attribute columns for the vocabulary that the log turns out to have."""


@dataclass(frozen=True, eq=False)
class Table:
    """What a reader hands over: raw ids and typed columns, nothing encoded yet.

    `frame` has `user` and `item` (whole numbers or text), and where known `time` (int64, seconds since 1970 or
    positions, as `clock` says) and `weight` (float32). `where` names the file in messages; `lines` maps row
    numbers to line numbers (the line of row 0), 0 where lines mean nothing.
    """

    frame: pl.DataFrame
    where: str
    clock: Clock = "none"
    lines: int = 0
    of_items: Describe | None = field(default=None)
    of_users: Describe | None = field(default=None)


class DataSpec(Spec):
    """Where the log comes from and what of it is kept. A reader is one file of `data/readers/`."""

    repeats: Literal["keep", "fold", "refuse"] = "keep"
    """A (user, item) that stands twice: kept, folded into its first row, or refused."""

    def table(self) -> Table:
        """Read the raw table."""
        raise NotImplementedError

    def read(self) -> Interactions:
        """Read, check, filter and encode the log."""
        raise NotImplementedError
