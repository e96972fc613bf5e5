"""Reading of any log: a path or a table in memory, the kind guessed where it can be."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from matinee.data import readers
from matinee.data.datasets import DATASETS, Dataset
from matinee.data.interactions import Interactions
from matinee.data.readers._bytes import check_file
from matinee.data.readers._columns import TabularSpec, by_alias, refuse_twice
from matinee.data.readers._delimited import fields, text_column
from matinee.data.readers._frames import frame_table, is_frame
from matinee.data.readers._ids import Locator, ids
from matinee.data.simulation.spec import Simulate
from matinee.data.source import DataSpec
from matinee.data.source import encode_log as encode
from matinee.errors import DataError, SpecError, UnknownNameError
from matinee.spec import Registry, build

READERS: Registry[DataSpec] = Registry(readers, DataSpec, "reader")
"""Every file format, by kind."""

SUFFIXES = {".csv": "delimited", ".tsv": "delimited", ".parquet": "parquet", ".inter": "recbole", ".npz": "csr"}
FILES = {"ratings.dat": "movielens", "u.data": "movielens"}
FOLDERS = {
    "ratings.csv": "movielens",
    "ratings.dat": "movielens",
    "u.data": "movielens",
    "train_ratings.csv": "competition",
    "train/train_ratings.csv": "competition",
    "*.inter": "recbole",
}
"""What lies in a folder (a pattern) → the kind of the folder, the first that matches."""


def read(source: Any, kind: str | None = None, **options: Any) -> Interactions:
    """Log of a file, a folder, or a polars, pandas or Arrow table.

    `options` are those of the reader.

    Without a `kind` it is guessed by the name of the file, its first line or what lies in the folder.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        return build(READERS.get(kind or detect_kind(path)), {"path": path, **options}, "read").read()
    if kind is not None or not is_frame(source):
        found = f"a {type(source).__name__}" + (f" with kind = {kind!r}" if kind else "")
        raise DataError("read", found, "a path, or a polars, pandas or Arrow table without a kind", "Give one of them.")
    spec = build(TabularSpec, options, "read")
    return encode(frame_table(source, spec, f"the {type(source).__name__}"), spec)


def data_spec(values: Mapping[str, Any], where: str) -> DataSpec:
    """Data spec of an experiment's table, by its `kind`: data set, simulation or reader.

    A table without a kind but with a path is read as what the path looks like.
    """
    rest = dict(values)
    kind = rest.pop("kind", None)
    if kind is None and isinstance(rest.get("path"), str | Path):
        kind = detect_kind(Path(rest["path"]))
    names = [*DATASETS, "simulate", *READERS.names()]
    if not isinstance(kind, str):
        raise SpecError(where, "no kind is given", f"kind = one of {', '.join(names)}", "Add it, or a path.")
    if kind in DATASETS:
        return build(Dataset, {"name": kind, **rest}, f"{where} ({kind})")
    if kind == "simulate":
        return build(Simulate, rest, f"{where} ({kind})")
    if kind.replace("-", "_") not in READERS.names():
        raise UnknownNameError("data set or reader", kind, names, where)
    return build(READERS.get(kind), rest, f"{where} ({kind})")


def detect_kind(path: Path) -> str:
    """The kind of reader a path calls for."""
    path = path.expanduser()
    if path.is_dir():
        return _of_folder(path)
    if not path.exists() and path.with_name(f"{path.name}.inter").exists():
        return "recbole"
    suffixes = [s.lower() for s in path.suffixes]
    suffix = next((s for s in reversed(suffixes) if s != ".gz"), "")
    known = FILES.get(path.name, SUFFIXES.get(suffix))
    if known is not None or not path.exists() or path.stat().st_size == 0:
        return known or "delimited"
    if _has_header(path):
        return "delimited"
    raise _unknown_kind_error(path, "the kind is not clear from its name, and its first line names no user and item")


def _of_folder(folder: Path) -> str:
    for pattern, kind in FOLDERS.items():
        if next(folder.glob(pattern), None) is not None:
            return kind
    names = sorted(p.name for p in folder.iterdir())[:8]
    raise _unknown_kind_error(
        folder, f"the kind is not clear from the files of the folder ({', '.join(names) or 'nothing'})"
    )


def _unknown_kind_error(path: Path, found: str) -> DataError:
    return DataError(path, found, f"a kind, one of {', '.join(READERS.names())}", "Set kind = '…'.")


def _has_header(path: Path) -> bool:
    """Whether the first line has names for a user and an item."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            line = file.readline(65536).decode("utf-8", "replace").strip().removeprefix("\ufeff")
    except (OSError, EOFError, zlib.error):
        return False
    for separator in "\t,;|":
        names = [name.strip('"') for name in line.split(separator)]
        if by_alias("user", names) and by_alias("item", names):
            return True
    return False


def data_kinds() -> dict[str, type[DataSpec]]:
    """Every kind of the `[data]` table with the spec it is checked by."""
    from matinee.data.datasets import DATASETS, Dataset
    from matinee.data.simulation.spec import Simulate

    sets: dict[str, type[DataSpec]] = dict.fromkeys(DATASETS, Dataset)
    return {**sets, "simulate": Simulate, **{kind: READERS.get(kind) for kind in READERS.names()}}


def user_ids(path: Path) -> pl.Series:
    """User column of a file in its order, such as the users to serve.

    Ids are read as those of a log, but a word among numbers is allowed: the log decides whether it is known.
    """
    path = path.expanduser()
    column, place = _user_column(path)
    known = ids(column.rename("user"), "auto", place)
    missing = known.is_null().arg_true()
    if len(missing):
        row = int(missing[0])
        more = f", and in {len(missing) - 1:,} rows more" if len(missing) > 1 else ""
        raise DataError(place(row), f"the user is empty{more}", "a user id in every row", "Fill it in or drop the row.")
    return known


def _user_column(path: Path) -> tuple[pl.Series, Locator]:
    """The raw column of users, and where its rows stand."""
    if path.suffix != ".parquet":
        found = fields(path, alone=True)
        return text_column(found, _named_user(path, found.columns))
    check_file(path)
    try:
        frame = pl.scan_parquet(path, glob=False)
        name = _named_user(path, frame.collect_schema().names())
        return frame.select(name).collect()[name], lambda row: f"{path} row {row + 1}"
    except (pl.exceptions.PolarsError, OSError) as error:
        found = f"it is no Parquet file ({str(error).splitlines()[0]})"
        raise DataError(path, found, "a whole Parquet file", "Fetch or write it again.") from None


def _named_user(path: Path, columns: list[str]) -> str:
    name = by_alias("user", columns)
    if name is None:
        raise DataError(path, f"its columns are {', '.join(columns)}", "one named user", "Rename it.")
    refuse_twice(columns, [name], str(path))
    return name
