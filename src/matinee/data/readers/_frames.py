"""Tables in memory: polars as it is; pandas, Arrow and whatever speaks Arrow without importing any of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from matinee.data.readers._columns import TabularSpec, convert_columns, resolve_columns
from matinee.data.source import Table
from matinee.errors import DataError


def is_frame(source: object) -> bool:
    """Whether `frame_table` can read it."""
    return isinstance(source, pl.DataFrame | pl.LazyFrame | Mapping) or _is_pandas(source) or _speaks_arrow(source)


def frame_table(source: Any, spec: TabularSpec, where: str) -> Table:
    """The log in a table in memory: polars, pandas, Arrow, or a mapping of columns."""
    columns = _column_names(source, where)
    roles = resolve_columns(columns, spec, where)
    raw = pl.DataFrame([column.alias(role) for role, column in _select(source, roles).items()])

    def place(row: int) -> str:
        return f"{where} row {row + 1}"

    frame, clock, unit = convert_columns(raw, spec, place)
    return Table(frame, where, clock, unit=unit)


def _column_names(source: Any, where: str) -> list[str]:
    if isinstance(source, pl.LazyFrame):
        return source.collect_schema().names()
    if isinstance(source, Mapping):
        return [str(name) for name in source]
    if isinstance(source, pl.DataFrame) or _is_pandas(source):
        return [str(name) for name in source.columns]
    if _speaks_arrow(source):
        return pl.DataFrame(source).columns
    found, wanted = f"a {type(source).__name__}", "a path or a polars, pandas or Arrow table"
    raise DataError(where, found, wanted, "Convert it.")


def _select(source: Any, roles: dict[str, str]) -> dict[str, pl.Series]:
    if _is_pandas(source):
        names = {str(name): at for at, name in enumerate(source.columns)}
        return {role: _from_pandas(source.iloc[:, names[name]]) for role, name in roles.items()}
    if isinstance(source, pl.LazyFrame):
        frame = source.select([pl.col(name).alias(role) for role, name in roles.items()]).collect()
        return {role: frame[role] for role in roles}
    if isinstance(source, Mapping):
        return {role: pl.Series(role, source[name], strict=False) for role, name in roles.items()}
    frame = pl.DataFrame(source)
    return {role: frame[name] for role, name in roles.items()}


def _from_pandas(column: Any) -> pl.Series:
    """One pandas column through NumPy, or through Python objects where NumPy has no type for it."""
    kind = str(column.dtype)
    if kind.startswith("datetime64"):
        if getattr(column.dt, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return pl.Series(column.to_numpy().astype("datetime64[us]"))
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb":
        return pl.Series(column.to_numpy())
    missing = column.isna().to_numpy()
    values = column.to_numpy(dtype=object)
    return pl.Series([None if gone else value for gone, value in zip(missing, values, strict=True)], strict=False)


def _is_pandas(source: object) -> bool:
    kind = type(source)
    return kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] == "pandas"


def _speaks_arrow(source: object) -> bool:
    return hasattr(source, "__arrow_c_stream__")
