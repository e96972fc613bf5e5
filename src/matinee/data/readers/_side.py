"""Side tables: what is known of items and users, as text, in a file beside the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from matinee.data.attributes import Column, category, many, number, text
from matinee.data.readers._bytes import load
from matinee.data.readers._delimited import MENDED
from matinee.data.readers._ids import plain_text
from matinee.data.vocabulary import Vocabulary
from matinee.errors import DataError

Make = Callable[[Vocabulary, pl.Series, pl.Series], Column]


def side_table(path: Path, separator: str, names: tuple[str, ...] | None = None, quoted: bool = False) -> pl.DataFrame:
    """All columns as text. `names` where the file has no header; bytes that are not UTF-8 are Latin-1."""
    data = load(path).data.tobytes()
    try:
        lines = data.decode("utf-8")
    except UnicodeDecodeError:
        lines = data.decode("latin-1")
    if len(separator) > 1:
        lines, separator = lines.replace(separator, MENDED), MENDED
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


def numbers(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """A number column from text; what is no number is missing."""
    return number(keys, key, value.str.strip_chars().cast(pl.Float64, strict=False))


def categories(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """A category column from text; empty is missing."""
    full = _full(value)
    return category(keys, key.filter(full), value.filter(full))


def texts(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """Text to be read by people."""
    return text(keys, key, value)


def listed(separator: str, *, missing: str = "") -> Make:
    """A maker of many-valued columns from lists in one field; `missing` is the word for none."""

    def make(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
        pairs = pl.DataFrame({"key": key, "value": value.str.split(separator)})
        pairs = pairs.explode("value").filter(pl.col("value").str.len_bytes() > 0, pl.col("value") != missing)
        return many(keys, pairs["key"], pairs["value"])

    return make


def long(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """A many-valued column from one value a line."""
    full = _full(value)
    pairs = pl.DataFrame({"key": key.filter(full), "value": value.filter(full)}).unique(maintain_order=True)
    return many(keys, pairs["key"], pairs["value"])


def vectors(keys: Vocabulary, key: pl.Series, value: pl.Series) -> Column:
    """A vector of numbers in one field as weighted values 0, 1, 2 …, the positions."""
    lists = pl.DataFrame({"key": key, "value": value.str.split(" ")}).with_columns(
        pl.int_ranges(0, pl.col("value").list.len()).alias("at")
    )
    pairs = lists.explode("value", "at").with_columns(pl.col("value").cast(pl.Float64, strict=False)).drop_nulls()
    return many(keys, pairs["key"], pairs["at"], pairs["value"])


def columns_of(
    frame: pl.DataFrame, key: str, makers: Mapping[str, tuple[str, Make]]
) -> Callable[[Vocabulary], dict[str, Column]]:
    """What `Table.of_items` wants: attribute name → (column of the side table, maker)."""

    def describe(keys: Vocabulary) -> dict[str, Column]:
        known = plain_text(frame[key])
        return {name: make(keys, known, frame[column]) for name, (column, make) in makers.items()}

    return describe


def _full(value: pl.Series) -> pl.Series:
    return (value.str.len_bytes() > 0).fill_null(value=False)
