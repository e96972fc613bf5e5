"""Lines of fields: fast where they are what they seem, exact about the line where they are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data.readers._bytes import NO_QUOTE, Bytes, load
from matinee.data.readers._columns import Columned, choose, ids, looks_numeric, typed
from matinee.data.source import Table
from matinee.errors import DataError

SEPARATORS = "\t,;|"
MENDED = "\x1f"
"""What stands for a separator of several bytes, such as ::."""

HEAD_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Fields:
    """A text cut into fields by a one-byte separator; `names` are the columns where the file itself has no header."""

    text: Bytes
    separator: str
    names: tuple[str, ...] | None = None

    @cached_property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.names or self._positions)

    @cached_property
    def _positions(self) -> list[str]:
        """What polars calls the columns; where it makes the names up, they depend on its version."""
        first = self.text.first_line().encode()
        return self._csv(first, None, n_rows=None if self.names else 0).columns

    @property
    def header(self) -> int:
        """How many records stand above the first row."""
        return 0 if self.names else 1

    def read(self, types: Mapping[str, type[pl.DataType]], n_rows: int | None = None) -> pl.DataFrame:
        """These columns in these types; a value that does not parse raises polars' ComputeError."""
        if len(self._positions) != len(self.columns):
            self.check()
        position = dict(zip(self.columns, self._positions, strict=True))
        frame = self._csv(self.text.source(), {position[name]: kind for name, kind in types.items()}, n_rows)
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
            raise DataError(
                self.text.path,
                f"its lines cannot be cut into fields ({str(error).splitlines()[0]})",
                f"fields cut by {self.separator!r}",
                "Look for a quote that is never closed.",
            ) from None

    def _csv(
        self, source: Path | bytes, types: Mapping[str, type[pl.DataType]] | None, n_rows: int | None
    ) -> pl.DataFrame:
        return pl.read_csv(
            source,
            separator=self.separator,
            has_header=not self.names,
            columns=None if types is None else list(types),
            schema_overrides=None if types is None else dict(types),
            quote_char=None if self.text.quote == NO_QUOTE else '"',
            infer_schema=False,
            n_rows=n_rows,
            raise_if_empty=False,
        )


def fields(
    path: Path, separator: str | None = None, names: tuple[str, ...] | None = None, quoted: bool = True
) -> Fields:
    """A file ready to be read by columns; `separator` None is found in its first line."""
    text = load(path)
    if not quoted:
        text = replace(text, quote=NO_QUOTE)
    separator = separator or _sniffed(text)
    if len(separator.encode()) > 1:
        data = text.data.tobytes().replace(separator.encode(), MENDED.encode())
        text = replace(text, data=np.frombuffer(data, dtype=np.uint8), plain=False)
        separator = MENDED
    return Fields(text, separator, names)


def delimited_table(found: Fields, spec: Columned) -> Table:
    """The log in the fields of a file."""
    where = str(found.text.path)
    roles = choose(found.columns, spec, where)
    raw = _typed_columns(found, roles, spec)
    raw, kept = _without_blank(raw, found)

    def line(row: int) -> int:
        return found.text.line((row if kept is None else int(kept[row])) + found.header)

    frame, clock = typed(raw, spec, lambda row: f"{where} line {line(row)}", where)
    return Table(frame, where, clock, line)


def _sniffed(text: Bytes) -> str:
    line = text.first_line()
    counts = {separator: line.count(separator) for separator in SEPARATORS}
    best = max(counts, key=lambda s: counts[s])
    if counts[best] == 0:
        shown = line if len(line) <= 60 else f"{line[:60]}…"
        raise DataError(
            f"{text.path} line 1",
            f"{shown!r} has no separator",
            "column names cut by tab, comma, semicolon or bar",
            "Say separator = '…', or name another kind of reader.",
        )
    return best


def _typed_columns(found: Fields, roles: dict[str, str], spec: Columned) -> pl.DataFrame:
    """The columns under the names of their roles; as numbers where the first rows are, as text where later ones fail.

    Reading ids as text costs several times as much, so it is done only where it must be.
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
    except pl.exceptions.ComputeError:
        raw = found.as_text(columns)
    return raw.select(pl.col(column).alias(role) for role, column in roles.items())


def _type(role: str, head: pl.Series, spec: Columned) -> type[pl.DataType]:
    if role in ("user", "item"):
        return pl.Int64 if ids(head, spec.ids, str).dtype == pl.Int64 else pl.String
    if not looks_numeric(head):
        return pl.String
    if role == "weight":
        return pl.Float32
    whole = head.cast(pl.Int64, strict=False).null_count() == head.null_count()
    return pl.Int64 if whole else pl.Float64


def _without_blank(raw: pl.DataFrame, found: Fields) -> tuple[pl.DataFrame, NDArray[np.int64] | None]:
    """Blank lines are no rows: the rows that are some, and their record numbers unless all are."""
    if raw["user"].null_count() == 0 or raw["item"].null_count() == 0:
        return raw, None
    blank = found.text.blank()[found.header : found.header + len(raw)]
    kept = np.flatnonzero(~blank)
    return raw[kept], kept
