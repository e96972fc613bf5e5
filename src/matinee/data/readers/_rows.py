"""Text with a user and all its items on a line: whole numbers at the speed of the bytes, words slower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data.readers._bytes import read_bytes
from matinee.data.readers._ids import IdRule, Locator, pair_ids
from matinee.data.source import Table
from matinee.errors import DataError
from matinee.kernel import kernel

DIGITS = 18
"""Longer numbers may not fit into 64 bits and are read as words."""


_NOTHING = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), False)


def rows_table(path: Path, *, ordered: bool, rule: IdRule) -> Table:
    """Log of `user item item …` lines; `ordered` keeps the order of items."""
    text = read_bytes(path)
    words, lines = _count(text.data) if rule == "auto" else (-1, 0)
    user, item, ends, fine = _whole_numbers(text.data, words, lines) if words >= 0 else _NOTHING
    if fine:
        frame = pl.DataFrame({"user": user, "item": item})
    else:
        text.check_utf8()
        frame, ends = _words(text.data.tobytes().decode("utf-8-sig"))

    def line_of(row: int) -> int:
        return int(np.searchsorted(ends, row, side="right")) + 1

    if len(frame) == 0:
        line = text.first_line()
        raise DataError(
            path,
            f"no line has an item after its user, the first is {line[:60]!r}",
            "lines of a user and its items, cut by spaces",
            "Check the separator, or name another kind of reader.",
        )
    if not fine:
        frame = _text_ids(frame, rule, lambda row: f"{path} line {line_of(row)}")
    if ordered:
        frame = frame.with_columns(pl.Series("time", np.arange(len(frame), dtype=np.int64)))
    return Table(frame, str(path), "order" if ordered else "none", line_of)


def _text_ids(frame: pl.DataFrame, rule: IdRule, place: Locator) -> pl.DataFrame:
    """Users and items as text; a word with a comma or semicolon is refused, since it is several or half of one."""
    for name in ("user", "item"):
        cut = frame[name].str.contains("[,;]").arg_true()
        if len(cut):
            row = int(cut[0])
            word = frame[name][row]
            found = f"the {name} {word[:60]!r} has a comma or semicolon in it"
            raise DataError(place(row), found, "a user and its items cut by spaces", "Replace them by spaces.")
    return pl.DataFrame(pair_ids(frame, rule, place)).cast(pl.String)


def _words(text: str) -> tuple[pl.DataFrame, NDArray[Any]]:
    lists = pl.Series("item", text.split("\n")).str.extract_all(r"\S+")
    lines = pl.DataFrame({"user": lists.list.first(), "item": lists.list.slice(1)})
    ends = np.cumsum(lines["item"].list.len().to_numpy(), dtype=np.int64)
    return lines.filter(pl.col("item").list.len() > 0).explode("item"), ends


@kernel
def _count(data: NDArray[np.uint8]) -> tuple[int, int]:
    """How many words and lines there are; −1 words where one has another character than digits."""
    words, lines, inside = 0, 1, False
    for b in data:
        if b == 32 or b == 9 or b == 13 or b == 10:
            inside = False
            lines += 1 if b == 10 else 0
        elif b < 48 or b > 57:
            return -1, 0
        elif not inside:
            inside = True
            words += 1
    return words, lines


@kernel
def _whole_numbers(
    data: NDArray[np.uint8], words: int, lines: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], bool]:
    """User and item of every row, the number of rows up to the end of every line; False where a word is no number."""
    user, item = np.empty(words, dtype=np.int64), np.empty(words, dtype=np.int64)
    ends = np.zeros(lines, dtype=np.int64)
    n, line = 0, 0
    owner, value, length, zero = np.int64(-1), np.int64(0), 0, False
    for at in range(len(data) + 1):
        b = data[at] if at < len(data) else np.uint8(10)
        if 48 <= b <= 57:
            zero = zero or (length > 0 and value == 0)
            value = value * 10 + (b - 48)
            length += 1
            continue
        if length > DIGITS or zero:
            return user[:0], item[:0], ends[:0], False
        if length > 0 and owner < 0:
            owner = value
        elif length > 0:
            user[n], item[n] = owner, value
            n += 1
        value, length = np.int64(0), 0
        if b == 10:
            ends[line] = n
            line, owner = line + 1, np.int64(-1)
    return user[:n], item[:n], ends[:line], True
