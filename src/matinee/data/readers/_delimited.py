"""Lines of fields: fast where they are what they seem, exact about the line where they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data.readers._bytes import NO_QUOTE, Bytes, read_bytes
from matinee.data.readers._columns import TabularSpec, convert_columns, looks_numeric, resolve_columns
from matinee.data.readers._ids import Locator
from matinee.data.source import Table
from matinee.data.vocabulary import whole_numbers
from matinee.errors import DataError

SEPARATORS = "\t,;|"
SEPARATOR_STANDIN = "\x1f"
"""Replacement of a separator of several bytes, such as ::."""

HEAD_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Fields:
    """A text with fields; `names` are the columns of a file without header."""

    text: Bytes
    separator: str
    names: tuple[str, ...] | None = None

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns as the file has them; one may stand there twice."""
        if self.names:
            return list(self.names)
        first = self._first(1, header=False)
        return [name or "" for name in first.row(0)] if len(first) else []

    @cached_property
    def _positions(self) -> list[str]:
        """What polars calls the columns; where it makes the names up, they depend on its version."""
        return self._first(None if self.names else 0, header=not self.names).columns

    def _first(self, n_rows: int | None, *, header: bool) -> pl.DataFrame:
        try:
            return self._csv(self.text.first_line().encode(), None, n_rows, header=header)
        except pl.exceptions.PolarsError as error:
            raise self._uncut(error, "line 1") from None

    def _uncut(self, error: Exception, what: str) -> DataError:
        """The refusal of what polars cannot cut into fields."""
        found = f"{what} cannot be cut into fields ({_reason(error)})"
        todo = "Look for a quote that is never closed."
        return DataError(self.text.path, found, f"fields cut by {self.separator!r}", todo)

    @property
    def header(self) -> int:
        """How many records stand above the first row."""
        return 0 if self.names else 1

    def read(self, types: Mapping[str, type[pl.DataType]], n_rows: int | None = None) -> pl.DataFrame:
        """These columns in these types; a value that does not parse raises polars' ComputeError."""
        if len(self._positions) != len(self.columns):
            self.check()
        position = dict(zip(self.columns, self._positions, strict=True))
        frame = self._csv(
            self.text.source(), {position[name]: kind for name, kind in types.items()}, n_rows, header=not self.names
        )
        return frame.select(pl.col(position[name]).alias(name) for name in types)

    def check(self) -> None:
        """Refuse a line with more or fewer fields than the first."""
        self.text.check_fields(self.separator, len(self.columns))

    def head(self, columns: list[str]) -> pl.DataFrame:
        """The first rows as text."""
        try:
            return self.read(dict.fromkeys(columns, pl.String), HEAD_ROWS)
        except pl.exceptions.ComputeError:
            return self.as_text(columns).head(HEAD_ROWS)

    def as_text(self, columns: list[str]) -> pl.DataFrame:
        """Columns as text; bytes that are no fields at all are refused."""
        self.check()
        try:
            return self.read(dict.fromkeys(columns, pl.String))
        except pl.exceptions.ComputeError as error:
            self.text.check_utf8()
            raise self._uncut(error, "its lines") from None

    def _csv(
        self, source: Path | bytes, types: Mapping[str, type[pl.DataType]] | None, n_rows: int | None, *, header: bool
    ) -> pl.DataFrame:
        return pl.read_csv(
            source,
            separator=self.separator,
            has_header=header,
            columns=None if types is None else list(types),
            schema_overrides=None if types is None else dict(types),
            quote_char=None if self.text.quote == NO_QUOTE else '"',
            infer_schema=False,
            n_rows=n_rows,
            raise_if_empty=False,
            glob=False,
        )


def _reason(error: Exception) -> str:
    """First line of a polars message, at most 120 characters."""
    return str(error).splitlines()[0][:120]


def fields(
    path: Path,
    separator: str | None = None,
    names: tuple[str, ...] | None = None,
    quoted: bool = True,
    *,
    alone: bool = False,
) -> Fields:
    """Fields of a file; `separator` None means detected in the first line.

    `alone` allows a single column without a separator.
    """
    text = read_bytes(path)
    if not quoted:
        text = replace(text, quote=NO_QUOTE)
    separator = separator or _detect_separator(text, alone=alone)
    if len(separator.encode()) > 1:
        data = text.data.tobytes().replace(separator.encode(), SEPARATOR_STANDIN.encode())
        text = replace(text, data=np.frombuffer(data, dtype=np.uint8), plain=False)
        separator = SEPARATOR_STANDIN
    return Fields(text, separator, names)


def delimited_table(found: Fields, spec: TabularSpec) -> Table:
    """The log in the fields of a file."""
    where = str(found.text.path)
    roles = resolve_columns(found.columns, spec, where)
    raw = _typed_columns(found, roles, spec)
    raw, kept = _without_blank(raw, found)
    place = _places(found, kept)
    _refuse_header(raw, roles, place)
    frame, clock, unit = convert_columns(raw, spec, place)
    return Table(frame, where, clock, _lines(found, kept), unit)


def text_column(found: Fields, name: str) -> tuple[pl.Series, Locator]:
    """One column as text, and where its rows stand; blank lines are no rows."""
    raw, kept = _without_blank(found.as_text([name]), found)
    return raw[name], _places(found, kept)


def _places(found: Fields, kept: NDArray[np.int64] | None) -> Locator:
    line = _lines(found, kept)
    return lambda row: f"{found.text.path} line {line(row)}"


def _lines(found: Fields, kept: NDArray[np.int64] | None) -> Callable[[int], int]:
    return lambda row: found.text.line((row if kept is None else int(kept[row])) + found.header)


def _detect_separator(text: Bytes, *, alone: bool) -> str:
    line = text.first_line()
    counts = {separator: line.count(separator) for separator in SEPARATORS}
    best = max(counts, key=lambda s: counts[s])
    if counts[best] == 0 and not alone:
        shown = line if len(line) <= 60 else f"{line[:60]}…"
        raise DataError(
            f"{text.path} line 1",
            f"{shown!r} has no separator",
            "column names cut by tab, comma, semicolon or bar",
            "Say separator = '…', or name another kind of reader.",
        )
    return best


def _typed_columns(found: Fields, roles: dict[str, str], spec: TabularSpec) -> pl.DataFrame:
    """The columns under the names of their roles; as numbers where the first rows are, as text where later ones fail.

    Reading ids as text costs several times as much, so it is done only where it must be. Whole numbers are believed
    only once all bytes were looked at, since parsing makes one number of 7, 007 and +7.
    """
    columns = list(roles.values())
    if set(columns) != set(found.columns):
        found.check()  # of columns that are not read, polars would not say what is wrong
    head = found.head(columns)
    types = {column: _type(role, head[column], spec) for role, column in roles.items()}
    try:
        raw = found.read(types)
        if any(raw.null_count().row(0)):
            found.check()
        odd = [roles[role] for role in ("user", "item") if types[roles[role]] == pl.Int64]
        if odd and found.text.odd_numbers(found.separator):
            raw = raw.with_columns(found.as_text(odd))
    except pl.exceptions.ComputeError:
        raw = found.as_text(columns)
    return raw.select(pl.col(column).alias(role) for role, column in roles.items())


def _refuse_header(raw: pl.DataFrame, roles: dict[str, str], place: Locator) -> None:
    """Refuse a row of the column names, as it is left where files are joined."""
    if raw["user"].dtype != pl.String or raw["item"].dtype != pl.String:
        return
    same = [raw[role].str.strip_chars("\ufeff \t") == roles[role].strip() for role in ("user", "item")]
    rows = (same[0] & same[1]).arg_true()
    if len(rows):
        row = int(rows[0])
        more = f", and so do {len(rows) - 1:,} rows more" if len(rows) > 1 else ""
        found = f"it repeats the column names{more}"
        raise DataError(place(row), found, "column names in the first line only", "Delete the line.")


def _type(role: str, head: pl.Series, spec: TabularSpec) -> type[pl.DataType]:
    if role in ("user", "item"):
        number = spec.ids == "auto" and whole_numbers(head).null_count() == head.null_count()
        return pl.Int64 if number else pl.String
    if not looks_numeric(head):
        return pl.String
    if role == "weight":
        return pl.Float32
    whole = head.cast(pl.Int64, strict=False).null_count() == head.null_count()
    return pl.Int64 if whole else pl.Float64


def _without_blank(raw: pl.DataFrame, found: Fields) -> tuple[pl.DataFrame, NDArray[np.int64] | None]:
    """Blank lines are no rows: the rows that are some, and their record numbers unless all are."""
    if 0 in raw.null_count().row(0):
        return raw, None
    blank = found.text.blank()[found.header : found.header + len(raw)]
    kept = np.flatnonzero(~blank)
    return raw[kept], kept
