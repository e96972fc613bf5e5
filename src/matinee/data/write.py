"""Writing of logs: a competition folder, a .csv or a .parquet file, atomically."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from matinee.data.attributes import Attributes, Categorical, Column, MultiCategorical, Numeric
from matinee.data.interactions import Interactions
from matinee.errors import DataError

SIDES = {"title": "titles", "year": "years", "genres": "genres", "directors": "directors", "writers": "writers"}
"""Attribute of items → the file of a competition folder that holds it."""

SINGULAR = {"genres": "genre", "directors": "director", "writers": "writer"}


def write_log(log: Interactions, path: Path) -> None:
    """Write the log to a .csv or .parquet file, or to a new competition folder.

    An existing file is replaced, an existing folder refused.
    """
    path = path.expanduser()
    if path.suffix not in (".csv", ".parquet") and path.exists():
        expected = "a new folder, or a file ending in .csv or .parquet"
        raise DataError(path, "it is there already", expected, "Choose another name or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as scratch:
        fresh = Path(scratch) / path.name
        if path.suffix == ".csv":
            log.frame().write_csv(fresh)
        elif path.suffix == ".parquet":
            log.frame().write_parquet(fresh)
        else:
            _folder(log, fresh)
        fresh.replace(path)


def _folder(log: Interactions, folder: Path) -> None:
    folder.mkdir()
    log.frame().write_csv(folder / "train_ratings.csv")
    if log.item_attributes is None:
        return
    for name, file in SIDES.items():
        if name in log.item_attributes:
            pairs = _pairs(log.item_attributes, log.item_attributes[name])
            pairs.columns = ["item", SINGULAR.get(name, name)]
            pairs.write_csv(folder / f"{file}.tsv", separator="\t")


def _pairs(attributes: Attributes, column: Column) -> pl.DataFrame:
    """Rows of (raw key, value), one a value; missing ones are left out."""
    keys = attributes.keys.ids
    if isinstance(column, MultiCategorical):
        row = np.repeat(np.arange(len(keys)), np.diff(column.offsets))
        return pl.DataFrame({"key": keys.gather(row), "value": column.values.decode(column.code)})
    if isinstance(column, Numeric):
        value = pl.Series(column.value).fill_nan(None)
        whole = value.drop_nulls()
        value = value.cast(pl.Int64) if (whole == whole.round()).all() else value
    elif isinstance(column, Categorical):
        value = column.values.decode(column.code)
    else:
        value = column.value
    return pl.DataFrame({"key": keys, "value": value}).drop_nulls()
