"""Typed attribute columns of users or items, aligned to a vocabulary."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee.data.ragged import row_offsets
from matinee.data.vocabulary import Vocabulary
from matinee.errors import DataError


@dataclass(frozen=True, eq=False)
class Categorical:
    """One value per row: `code` (n,) into `values`; −1 is missing."""

    values: Vocabulary
    code: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class MultiCategorical:
    """Any number of values per row: row r has `code[offsets[r]:offsets[r + 1]]`.

    `weight` has one number per code; None means unweighted.
    """

    values: Vocabulary
    offsets: NDArray[np.int64]
    code: NDArray[np.int32]
    weight: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Numeric:
    """One number per row, `value` (n,) float64; NaN is missing."""

    value: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Text:
    """Free text for display, `value` (n,); null is missing. Models do not use it directly."""

    value: pl.Series


Column: TypeAlias = Categorical | MultiCategorical | Numeric | Text


@dataclass(frozen=True)
class ColumnSchema:
    """The type of a column, and its values where it has codes."""

    type: Literal["Categorical", "MultiCategorical", "Numeric", "Text"]
    values: Vocabulary | None = None


Schema: TypeAlias = Mapping[str, ColumnSchema]
"""The columns of attributes by name."""


@dataclass(frozen=True, eq=False)
class Attributes:
    """Columns by name; row r of every column belongs to code r of `keys`."""

    keys: Vocabulary
    columns: Mapping[str, Column] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def titles(self) -> pl.Series | None:
        """Titles (n,), or None without a text column `title`."""
        column = self.columns.get("title")
        return column.value if isinstance(column, Text) else None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids and of all columns; the order of columns does not matter."""
        digest = hashlib.sha256(self.keys.fingerprint.encode())
        for name in sorted(self.columns):
            column = self.columns[name]
            digest.update(f"\n{len(name)} {name} {type(column).__name__}".encode())
            for part in _content(column):
                digest.update(f" {len(part)} ".encode())
                digest.update(part)
        return digest.hexdigest()

    @property
    def schema(self) -> Schema:
        """The names, types and values of the columns, for `conform`."""
        return MappingProxyType({name: _schema(column) for name, column in self.columns.items()})

    def conform(self, schema: Schema) -> Attributes:
        """The columns of `schema`, encoded as there.

        Values that the schema lacks become missing; other columns are dropped.
        Raises `DataError` for a column that does not exist or has another type.
        """
        missing = [name for name in schema if name not in self.columns]
        if missing:
            found = f"without {', '.join(map(repr, missing))}"
            raise DataError("attributes", found, f"the columns {', '.join(schema)}", "Read them with the log.")
        for name, wanted in schema.items():
            found = type(self.columns[name]).__name__
            if found != wanted.type:
                todo = "Read it as when the model was fitted."
                raise DataError("attributes", f"{name!r} is of the type {found}", f"{wanted.type}", todo)
        columns = {name: _recoded(self.columns[name], wanted.values) for name, wanted in schema.items()}
        return Attributes(self.keys, MappingProxyType(columns))

    def with_columns(self, columns: Mapping[str, Column]) -> Attributes:
        """These columns and more; a name that exists is replaced."""
        return Attributes(self.keys, MappingProxyType({**self.columns, **columns}))

    def reindex(self, keys: Vocabulary) -> Attributes:
        """The columns for another vocabulary, joined by raw id; rows of new ids are missing."""
        row = self.keys.encode(keys.ids)
        moved = {name: _take(column, row) for name, column in self.columns.items()}
        return Attributes(keys, MappingProxyType(moved))


def _schema(column: Column) -> ColumnSchema:
    if isinstance(column, Categorical):
        return ColumnSchema("Categorical", column.values)
    if isinstance(column, MultiCategorical):
        return ColumnSchema("MultiCategorical", column.values)
    return ColumnSchema("Numeric" if isinstance(column, Numeric) else "Text")


def _content(column: Column) -> list[bytes]:
    """Content of a column as bytes; all NaNs are equal, and −0 equals 0."""
    if isinstance(column, Categorical):
        return [column.values.fingerprint.encode(), column.code.tobytes()]
    if isinstance(column, MultiCategorical):
        weight = b"" if column.weight is None else column.weight.tobytes()
        return [column.values.fingerprint.encode(), column.offsets.tobytes(), column.code.tobytes(), weight]
    if isinstance(column, Numeric):
        return [np.where(np.isnan(column.value), np.nan, column.value + 0.0).tobytes()]
    length = column.value.str.len_bytes().cast(pl.Int64).fill_null(-1)
    return [length.to_numpy().tobytes(), "".join(column.value.fill_null("").to_list()).encode()]


def _recoded(column: Column, values: Vocabulary | None) -> Column:
    """The column encoded with other values; entries without a code are missing."""
    if values is None or not isinstance(column, Categorical | MultiCategorical) or column.values == values:
        return column
    new = np.append(values.encode(column.values.ids), np.int32(-1))  # the last one is the code of a missing value
    code = new[column.code]
    if isinstance(column, Categorical):
        return Categorical(values, code)
    row = np.repeat(np.arange(len(column.offsets) - 1), np.diff(column.offsets))
    order = np.lexsort((code, row))
    order = order[code[order] >= 0]
    weight = None if column.weight is None else column.weight[order]
    return MultiCategorical(values, row_offsets(row[order], len(column.offsets) - 1), code[order], weight)


def categorical(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Categorical:
    """`Categorical` from pairs of raw key and value; the first value of a key counts.

    Unknown keys are ignored.
    """
    row, values = keys.encode(key), Vocabulary.of(value)
    code = np.full(len(keys), -1, dtype=np.int32)
    known = row >= 0
    code[row[known][::-1]] = values.encode(value)[known][::-1]
    return Categorical(values, code)


def multi_categorical(
    keys: Vocabulary, key: pl.Series, value: pl.Series, weight: pl.Series | None = None
) -> MultiCategorical:
    """`MultiCategorical` from pairs of raw key and value, in any order.

    Unknown keys and null values are ignored.
    """
    row, values = keys.encode(key), Vocabulary.of(value)
    code = values.encode(value)
    keep = (row >= 0) & (code >= 0)
    order = np.lexsort((code[keep], row[keep]))
    offsets = np.zeros(len(keys) + 1, dtype=np.int64)
    np.cumsum(np.bincount(row[keep], minlength=len(keys)), out=offsets[1:])
    weights = None if weight is None else weight.cast(pl.Float32).to_numpy()[keep][order]
    return MultiCategorical(values, offsets, code[keep][order], weights)


def numeric(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Numeric:
    """`Numeric` from pairs of raw key and value; the first value of a key counts."""
    row = keys.encode(key)
    filled = np.full(len(keys), np.nan)
    known = row >= 0
    filled[row[known][::-1]] = value.cast(pl.Float64).fill_null(float("nan")).to_numpy()[known][::-1]
    return Numeric(filled)


def text(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Text:
    """`Text` from pairs of raw key and text; the first text of a key counts."""
    pairs = pl.DataFrame({"row": keys.encode(key), "value": value.cast(pl.String)}).filter(pl.col("row") >= 0)
    rows = pl.DataFrame({"row": np.arange(len(keys), dtype=np.int32)})
    return Text(rows.join(pairs.unique("row", keep="first"), on="row", how="left", maintain_order="left")["value"])


def _take(column: Column, row: NDArray[np.int32]) -> Column:
    """The column at rows (n,), missing where the row is −1."""
    if isinstance(column, Text):
        at = pl.Series("row", row)
        return Text(column.value.gather(at.set(at < 0, None)))
    if isinstance(column, Numeric):
        return Numeric(
            np.where(row >= 0, column.value[row], np.nan) if len(column.value) else np.full(len(row), np.nan)
        )
    if isinstance(column, Categorical):
        code = column.code[row] if len(column.code) else np.full(len(row), -1, dtype=np.int32)
        return Categorical(column.values, np.where(row >= 0, code, np.int32(-1)).astype(np.int32))
    return _take_many(column, row)


def _take_many(column: MultiCategorical, row: NDArray[np.int32]) -> MultiCategorical:
    lengths = np.append(np.diff(column.offsets), 0)  # the last one is the length of a row that is not there
    length = lengths[row]
    offsets = np.zeros(len(row) + 1, dtype=np.int64)
    np.cumsum(length, out=offsets[1:])
    at = np.repeat(column.offsets[row] - offsets[:-1], length) + np.arange(offsets[-1])
    return MultiCategorical(
        column.values, offsets, column.code[at], None if column.weight is None else column.weight[at]
    )
