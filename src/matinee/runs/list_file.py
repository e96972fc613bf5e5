"""Files with ranked lists: `user,item` rows, read as codes, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data import Histories, Vocabulary
from matinee.data.read import READERS, detect_kind
from matinee.data.readers._columns import TabularSpec
from matinee.data.source import DataSpec, Table
from matinee.errors import DataError, SpecError, UnknownNameError
from matinee.spec import build
from matinee.topk import TopK

SUFFIXES = (".csv", ".parquet")
"""Endings of the files that are written."""


@dataclass(frozen=True, eq=False)
class ListRows:
    """The rows of a list file as codes.

    `user` (n,) and `item` (n,) are −1 for unknown ids.
    """

    table: Table
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    rank: NDArray[np.int64] | None
    """The column `rank` (n,); None means the order of the rows."""

    def lists(self, queries: Histories) -> TopK:
        """The lists (m, k) of the users of `queries` (m,).

        k is the length of the longest list. A user without rows has an empty list; rows with unknown ids or of other
        users are omitted. The score is minus the rank.
        """
        place = np.full(len(queries.users), -1, dtype=np.int64)
        place[queries.user] = np.arange(len(queries))
        keep = np.flatnonzero((self.user >= 0) & (self.item >= 0))
        keep = keep[place[self.user[keep]] >= 0]
        row = place[self.user[keep]]
        order = np.argsort(row, kind="stable") if self.rank is None else np.lexsort((self.rank[keep], row))
        row, item = row[order], self.item[keep][order]
        lengths = np.bincount(row, minlength=len(queries))
        at = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        k = max(1, int(lengths.max(initial=0)))
        items = np.full((len(queries), k), -1, dtype=np.int32)
        items[row, at] = item
        score = np.where(items >= 0, -np.arange(k, dtype=np.float32)[None, :], np.float32(-np.inf)).astype(np.float32)
        return TopK(queries.user, items, score, queries.users, queries.items, queries.titles)


def read_pairs(path: str | Path, users: Vocabulary, items: Vocabulary) -> ListRows:
    """The `user,item` rows of a list file.

    They are ordered by a column `rank`, 1, 2, … for each user; without it they are best first. Ids are read as text if
    a vocabulary has text ids, so that `007` is preserved.
    """
    path = Path(path)
    kind = READERS.get(detect_kind(path))
    options: dict[str, Any] = {"path": path}
    if issubclass(kind, TabularSpec):
        options |= {"time": "", "weight": "", "ids": "text" if users.is_text or items.is_text else "auto"}
    table = _with_rank(kind, options) if issubclass(kind, TabularSpec) else build(kind, options, str(path)).table()
    if len(table.frame) == 0:
        raise DataError(path, "it has no rows", "user,item rows", "Write the lists again.")
    rank = _read_ranks(table) if "weight" in table.frame.columns and issubclass(kind, TabularSpec) else None
    return ListRows(table, users.encode(table.frame["user"]), items.encode(table.frame["item"]), rank)


def _with_rank(kind: type[DataSpec], options: dict[str, Any]) -> Table:
    """The table of a file, with the column `rank`, if there is one, as the weight."""
    where = str(options["path"])
    try:
        return build(kind, {**options, "weight": "rank"}, where).table()
    except UnknownNameError:
        return build(kind, options, where).table()
    except DataError as error:
        if "weight" not in error.found:
            raise
        found, todo = error.found.replace("weight", "rank"), "Correct the row, or remove the column rank."
        raise DataError(error.where, found, "a whole number from 1", todo) from None


def _read_ranks(table: Table) -> NDArray[np.int64]:
    """The ranks (n,). Raises `DataError` unless they are 1, 2, … for every user."""
    rank, place = table.frame["weight"], table.frame.select(pl.col("weight").rank("ordinal").over("user")).to_series()
    faulty = (rank != place).arg_true()
    if len(faulty):
        row = int(faulty[0])
        found = f"rank {rank[row]:g} of user {table.frame['user'][row]!r} repeats a rank or skips one"
        todo = "Number the rows of each user, or remove the column rank."
        raise DataError(table.place(row), found, "ranks 1, 2, … for each user", todo)
    return rank.cast(pl.Int64).to_numpy()


def write_lists(lists: TopK, path: str | Path) -> None:
    """Write `user,item` rows, best first, as .csv or .parquet, whole or not at all."""
    with atomic_replace(path) as new_file:
        write_rows(lists, new_file)


def write_rows(lists: TopK, path: Path) -> None:
    """Write `user,item` rows in the format of the file's ending."""
    frame = lists.frame().select("user", "item")
    if path.suffix == ".csv":
        frame.write_csv(path)
    else:
        frame.write_parquet(path)


def check_path(path: str | Path) -> None:
    """Raise `SpecError` for a path that no list file can be written to."""
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise SpecError(str(path), f"its ending is {path.suffix!r}", "a submission in .csv or .parquet")
    if path.is_dir():
        raise SpecError(str(path), "a folder of this name exists", "the name of a file", "Choose another name.")


@contextmanager
def atomic_replace(path: str | Path) -> Generator[Path]:
    """A new file that replaces `path` at the end of the block.

    It has a random name in the same folder and is removed if the block fails.
    """
    path = Path(path)
    check_path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".writing-", dir=path.parent)
    os.close(handle)
    new_file = Path(name)
    try:
        yield new_file
        new_file.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        new_file.replace(path)
    finally:
        new_file.unlink(missing_ok=True)


def _umask() -> int:
    """The permissions that new files lack."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
