"""Competition folders: one log, and what is known of items in one small file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from matinee.data.attributes import Column
from matinee.data.readers._columns import TabularSpec, by_alias
from matinee.data.readers._delimited import delimited_table, fields
from matinee.data.readers._side import ColumnBuilder, numeric_column, one_per_line, read_side_table, text_column
from matinee.data.source import AttributeLoader, DataSpec, Table
from matinee.data.vocabulary import Vocabulary
from matinee.errors import DataError

LOG = "train_ratings.csv"
SIDES: dict[str, tuple[str, ColumnBuilder]] = {
    "titles": ("title", text_column),
    "years": ("year", numeric_column),
    "genres": ("genres", one_per_line),
    "directors": ("directors", one_per_line),
    "writers": ("writers", one_per_line),
}
"""File without ending → attribute and how it is made; a line is an item and one value."""


class Competition(DataSpec):
    """A folder with train_ratings.csv (user, item, time) and item attributes.

    The log may be in train/; attributes are in titles.tsv, genres.tsv … in the same folder.
    """

    path: Path
    """The folder."""

    def table(self) -> Table:
        """Read the raw table."""
        folder = self.path.expanduser()
        log = next((place / LOG for place in (folder, folder / "train") if (place / LOG).exists()), None)
        if log is None:
            raise DataError(folder, f"it has neither {LOG} nor train/{LOG}", "one of them", "Check the path.")
        return replace(delimited_table(fields(log), TabularSpec()), item_attributes=_items(log.parent))


def _items(folder: Path) -> AttributeLoader | None:
    sides = {name: folder / f"{name}.tsv" for name in SIDES if (folder / f"{name}.tsv").exists()}
    if not sides:
        return None

    def describe(keys: Vocabulary) -> Mapping[str, Column]:
        return {SIDES[name][0]: _column(path, SIDES[name][1], keys) for name, path in sides.items()}

    return describe


def _column(path: Path, make: ColumnBuilder, keys: Vocabulary) -> Column:
    frame = read_side_table(path, "\t")
    key = by_alias("item", frame.columns)
    values = [column for column in frame.columns if column != key]
    if key is None or len(values) != 1:
        found = f"its columns are {', '.join(map(repr, frame.columns))}"
        raise DataError(f"{path} line 1", found, "an item and one value, tab separated", "Mend the first line.")
    return make(keys, frame[key], frame[values[0]])
