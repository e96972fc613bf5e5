"""Files that come with a log: targets, validation rows and candidates in published formats."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data import Interactions, Vocabulary
from matinee.errors import DataError

Source: TypeAlias = Interactions | pl.DataFrame | str | Path
"""A log, a table with columns user and item, or a file of either."""

Pairs: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]


def as_log(source: Source, reader: str | None = None) -> Interactions:
    """Log of a source; `reader` names the format of a file, e.g. "sequences".

    Without it, NCF's files are found by their endings, user lists by their first lines, others as in `read`.
    """
    from matinee.data.read import read

    if isinstance(source, Interactions):
        return source
    if not isinstance(source, str | Path):
        return read(source)
    path = Path(source).expanduser()
    if not path.is_file() or reader is not None:
        return read(path, reader)
    if path.name.endswith(".negative"):
        return _log(*_negatives(path))
    if path.name.endswith(".rating"):
        return _ratings(path)
    return read(path, "user_lists" if path.suffix == ".txt" and _looks_like_lists(path) else None)


def _log(user: NDArray[np.int64], item: NDArray[np.int64], time: NDArray[np.int64] | None = None) -> Interactions:
    users, items = Vocabulary.of(pl.Series(user)), Vocabulary.of(pl.Series(item))
    codes = users.encode(pl.Series(user)), items.encode(pl.Series(item))
    return Interactions.of((users, items), *codes, time)


def _ratings(path: Path) -> Interactions:
    """Log of NCF's `test.rating`: user, item, rating, time in seconds; no header."""
    try:
        rows = np.loadtxt(path, dtype=np.float64, usecols=(0, 1, 3), ndmin=2)
    except ValueError as error:
        todo = "Rename it if it has another format."
        raise DataError(path, str(error), "user, item, rating and time, separated by tabs", todo) from None
    user, item, time = rows.astype(np.int64).T
    return _log(user, item, time.copy())


def _negatives(path: Path) -> Pairs:
    """Candidates of NCF's `test.negative`: per line `(user,item)`, the target, and its negatives.

    An item that occurs twice on a line is one candidate: some targets are among their own negatives.
    """
    users: list[int] = []
    items: list[NDArray[np.int64]] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not re.fullmatch(r"\(\d+,\s*\d+\)(\s+\d+)*\s*", line):
            found = f"line {number} starts with {line[:30]!r}"
            raise DataError(path, found, "(user,item) followed by items, separated by tabs", "Correct the line.")
        user, *rest = re.sub(r"[(),]", " ", line).split()
        users.append(int(user))
        items.append(np.array(rest, dtype=np.int64))
    length = [len(row) for row in items]
    return np.repeat(np.array(users, dtype=np.int64), length), np.concatenate([*items, np.zeros(0, dtype=np.int64)])


def _looks_like_lists(path: Path) -> bool:
    """True if the first 100 lines are whole numbers separated by spaces, in different counts."""
    with path.open() as file:
        head = [line.strip() for line, _ in zip(file, range(100), strict=False)]
    numbers = all(re.fullmatch(r"\d+( \d+)*|", line) for line in head)
    return numbers and len({line.count(" ") for line in head}) > 1
