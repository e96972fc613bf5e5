"""Side tables: what is known of items and users, as text, in a file beside the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from matinee.data.attributes import Column, categorical, multi_categorical, numeric, text
from matinee.data.readers._bytes import read_bytes
from matinee.data.readers._delimited import SEPARATOR_STANDIN
from matinee.data.readers._ids import plain_text
from matinee.data.vocabulary import Vocabulary
from matinee.errors import DataError

ColumnBuilder = Callable[[Vocabulary, pl.Series, pl.Series], Column]


def read_side_table(
    path: Path, separator: str, names: tuple[str, ...] | None = None, quoted: bool = False
) -> pl.DataFrame:
    """All columns as text; a file that is not UTF-8 is read as Latin-1.

    `names` are the columns of a file without header.
    """
    data = read_bytes(path).data.tobytes()
    try:
        lines = data.decode("utf-8")
    except UnicodeDecodeError:
        lines = data.decode("latin-1")
    if len(separator) > 1:
        lines, separator = lines.replace(separator, SEPARATOR_STANDIN), SEPARATOR_STANDIN
    try:
        frame = pl.read_csv(
            lines.encode(),
            separator=separator,
            has_header=names is None,
            infer_schema=False,
            quote_char='"' if quoted else None,
            truncate_ragged_lines=True,
        )
    except pl.exceptions.PolarsError as error:
        found = f"its lines cannot be cut into fields ({str(error).splitlines()[0]})"
        raise DataError(path, found, f"fields cut by {separator!r}", "Mend it or take it away.") from None
    if names is None:
        return frame
    if len(frame.columns) < len(names):
        found, wanted = f"it has {len(frame.columns)} columns", f"{len(names)}: {', '.join(names)}"
        raise DataError(path, found, wanted, "Mend it or take it away.")
    return frame.rename(dict(zip(frame.columns, names, strict=False)))


def numeric_column(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """A number column from text; what is no number is missing."""
    return numeric(keys, key, value.str.strip_chars().cast(pl.Float64, strict=False))


def categorical_column(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """A category column from text; empty is missing."""
    full = _non_empty(value)
    return categorical(keys, key.filter(full), value.filter(full))


def text_column(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """Text for display."""
    return text(keys, key, value)


def split_list(separator: str, *, missing: str = "") -> ColumnBuilder:
    """Builder of multi-categorical columns from lists; `missing` marks an empty list."""

    def make(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
        pairs = pl.DataFrame({"key": key, "value": value.str.split(separator)})
        pairs = pairs.explode("value").filter(pl.col("value").str.len_bytes() > 0, pl.col("value") != missing)
        return multi_categorical(keys, pairs["key"], pairs["value"])

    return make


def one_per_line(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """A many-valued column from one value a line."""
    full = _non_empty(value)
    pairs = pl.DataFrame({"key": key.filter(full), "value": value.filter(full)}).unique(maintain_order=True)
    return multi_categorical(keys, pairs["key"], pairs["value"])


def float_vector(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """Vectors of numbers in one field as weights of their positions."""
    lists = pl.DataFrame({"key": key, "value": value.str.split(" ")}).with_columns(
        pl.int_ranges(0, pl.col("value").list.len()).alias("at")
    )
    pairs = lists.explode("value", "at").with_columns(pl.col("value").cast(pl.Float64, strict=False)).drop_nulls()
    return multi_categorical(keys, pairs["key"], pairs["at"], pairs["value"])


def columns_of(
    frame: pl.DataFrame, key: str, makers: Mapping[str, tuple[str, ColumnBuilder]]
) -> Callable[[Vocabulary], dict[str, Column]]:
    """Loader for `Table.item_attributes` from attribute name → (column of the side table, maker)."""

    def describe(keys: Vocabulary) -> dict[str, Column]:
        known = plain_text(frame[key])
        return {name: make(keys, known, frame[column]) for name, (column, make) in makers.items()}

    return describe


def _non_empty(value: pl.Series) -> pl.Series:
    return (value.str.len_bytes() > 0).fill_null(value=False)
