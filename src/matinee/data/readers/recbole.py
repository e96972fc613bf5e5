"""RecBole's atomic files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matinee.data.readers._columns import TabularSpec, by_alias
from matinee.data.readers._delimited import delimited_table, fields
from matinee.data.readers._ids import IdRule
from matinee.data.readers._side import (
    ColumnBuilder,
    categorical_column,
    columns_of,
    float_vector,
    numeric_column,
    read_side_table,
    split_list,
    text_column,
)
from matinee.data.source import AttributeLoader, DataSpec, Table
from matinee.errors import DataError, UnknownNameError
from matinee.spec import build

MAKERS: dict[str, ColumnBuilder] = {
    "token": categorical_column,
    "token_seq": split_list(" "),
    "float": numeric_column,
    "float_seq": float_vector,
}
"""What each of the format's four types becomes."""

TITLES = ("title", "name", "item_name", "movie_title", "product_name")


class Recbole(DataSpec):
    """RecBole atomic files: `name.inter`, and `name.item` and `name.user` if they exist."""

    path: Path
    """The folder, the .inter file, or its path without the ending."""

    ids: IdRule = "auto"
    """Ids are whole numbers where all of a column are, or always text; 007 and +7 make a column text."""

    def table(self) -> Table:
        """Read the raw table."""
        log = _log(self.path.expanduser())
        found = fields(log, "\t", quoted=False)
        roles = {role: by_alias(role, [_split(c, log)[0] for c in found.columns]) for role in ("time", "weight")}
        typed_names = {_split(column, log)[0]: column for column in found.columns}
        named = {role: typed_names[name] if name else "" for role, name in roles.items()}
        for role in ("user", "item"):
            name = by_alias(role, list(typed_names))
            if name is not None:
                named[role] = typed_names[name]
        options = {"ids": self.ids, "min_weight": self.min_weight, **named}
        table = delimited_table(found, build(TabularSpec, options, str(log)))
        return replace(
            table,
            item_attributes=_load_attributes(log.with_suffix(".item"), "item"),
            user_attributes=_load_attributes(log.with_suffix(".user"), "user"),
        )


def _log(path: Path) -> Path:
    """The .inter file meant by a folder, a prefix or itself."""
    if path.is_dir():
        logs = sorted(path.glob("*.inter"))
        if len(logs) == 1:
            return logs[0]
        names = ", ".join(p.name for p in logs) or "none"
        raise DataError(path, f"its .inter files are: {names}", "exactly one", "Name the .inter file.")
    beside = path.with_name(f"{path.name}.inter")
    return beside if beside.exists() else path


def _load_attributes(path: Path, role: str) -> AttributeLoader | None:
    if not path.exists():
        return None
    frame = read_side_table(path, "\t")
    split = {column: _split(column, path) for column in frame.columns}
    key = by_alias(role, [name for name, _ in split.values()])
    if key is None:
        found = f"no column for the {role} among {', '.join(frame.columns)}"
        raise DataError(path, found, f"one like {role}_id:token", "Mend the first line.")
    makers: dict[str, tuple[str, ColumnBuilder]] = {}
    key_column = next(column for column, (name, _) in split.items() if name == key)
    for column, (name, kind) in split.items():
        if column == key_column:
            continue
        title = role == "item" and name in TITLES and kind in ("token", "token_seq")
        makers["title" if title else name] = (column, text_column if title else MAKERS[kind])
    return columns_of(frame, key_column, makers)


def _split(column: str, path: Path) -> tuple[str, str]:
    """A column's name and type."""
    name, colon, kind = column.rpartition(":")
    if not colon:
        found = f"column {column!r} has no type"
        raise DataError(f"{path} line 1", found, f"a name and one of {', '.join(MAKERS)}", "Write e.g. user_id:token.")
    if kind not in MAKERS:
        raise UnknownNameError("type", kind, MAKERS, f"{path} line 1, column {name!r}")
    return name, kind
