"""What is known of users or of items: typed columns, aligned to a vocabulary; missing is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Category:
    """One value a row: `code` (n,) into `values`; −1 is missing."""

    values: Vocabulary
    code: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Many:
    """Any number of values a row: row r has `code[offsets[r]:offsets[r + 1]]`, with `weight` beside it or None."""

    values: Vocabulary
    offsets: NDArray[np.int64]
    code: NDArray[np.int32]
    weight: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Number:
    """One number a row, `value` (n,) float64; NaN is missing."""

    value: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Text:
    """Free text to be read by people, `value` (n,); null is missing. No model takes it as it is."""

    value: pl.Series


Column: TypeAlias = Category | Many | Number | Text


@dataclass(frozen=True, eq=False)
class Attributes:
    """Columns of users or of items by name; row r of every column belongs to code r of `keys`."""

    keys: Vocabulary
    columns: Mapping[str, Column] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def titles(self) -> pl.Series | None:
        """The text people know a row by, (n,), or None where no column `title` came along."""
        column = self.columns.get("title")
        return column.value if isinstance(column, Text) else None

    def with_columns(self, columns: Mapping[str, Column]) -> Attributes:
        """These columns and more; a name that exists is replaced."""
        return Attributes(self.keys, MappingProxyType({**self.columns, **columns}))

    def onto(self, keys: Vocabulary) -> Attributes:
        """The same facts for another vocabulary, joined by raw id; rows nobody described are missing."""
        row = self.keys.encode(keys.ids)
        moved = {name: _take(column, row) for name, column in self.columns.items()}
        return Attributes(keys, MappingProxyType(moved))


def category(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Category:
    """A `Category` from pairs of raw key and value; the first value of a key counts, unknown keys are ignored."""
    row, values = keys.encode(key), Vocabulary.of(value)
    code = np.full(len(keys), -1, dtype=np.int32)
    known = row >= 0
    code[row[known][::-1]] = values.encode(value)[known][::-1]
    return Category(values, code)


def many(keys: Vocabulary, key: pl.Series, value: pl.Series, weight: pl.Series | None = None) -> Many:
    """A `Many` from pairs of raw key and value in any order; unknown keys and null values are ignored."""
    row, values = keys.encode(key), Vocabulary.of(value)
    code = values.encode(value)
    keep = (row >= 0) & (code >= 0)
    order = np.lexsort((code[keep], row[keep]))
    offsets = np.zeros(len(keys) + 1, dtype=np.int64)
    np.cumsum(np.bincount(row[keep], minlength=len(keys)), out=offsets[1:])
    weights = None if weight is None else weight.cast(pl.Float32).to_numpy()[keep][order]
    return Many(values, offsets, code[keep][order], weights)


def number(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Number:
    """A `Number` from pairs of raw key and value; the first value of a key counts."""
    row = keys.encode(key)
    filled = np.full(len(keys), np.nan)
    known = row >= 0
    filled[row[known][::-1]] = value.cast(pl.Float64).fill_null(float("nan")).to_numpy()[known][::-1]
    return Number(filled)


def text(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Text:
    """A `Text` from pairs of raw key and text; the first text of a key counts."""
    pairs = pl.DataFrame({"row": keys.encode(key), "value": value.cast(pl.String)}).filter(pl.col("row") >= 0)
    rows = pl.DataFrame({"row": np.arange(len(keys), dtype=np.int32)})
    return Text(rows.join(pairs.unique("row", keep="first"), on="row", how="left", maintain_order="left")["value"])


def _take(column: Column, row: NDArray[np.int32]) -> Column:
    """The column at rows (n,), missing where the row is −1."""
    if isinstance(column, Text):
        at = pl.Series("row", row)
        return Text(column.value.gather(at.set(at < 0, None)))
    if isinstance(column, Number):
        return Number(np.where(row >= 0, column.value[row], np.nan) if len(column.value) else np.full(len(row), np.nan))
    if isinstance(column, Category):
        code = column.code[row] if len(column.code) else np.full(len(row), -1, dtype=np.int32)
        return Category(column.values, np.where(row >= 0, code, np.int32(-1)).astype(np.int32))
    return _take_many(column, row)


def _take_many(column: Many, row: NDArray[np.int32]) -> Many:
    lengths = np.append(np.diff(column.offsets), 0)  # the last one is the length of a row that is not there
    length = lengths[row]
    offsets = np.zeros(len(row) + 1, dtype=np.int64)
    np.cumsum(length, out=offsets[1:])
    at = np.repeat(column.offsets[row] - offsets[:-1], length) + np.arange(offsets[-1])
    return Many(column.values, offsets, column.code[at], None if column.weight is None else column.weight[at])
