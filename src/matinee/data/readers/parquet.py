"""Parquet files."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from matinee.data.readers._bytes import check_file
from matinee.data.readers._columns import TabularSpec, resolve_columns
from matinee.data.readers._frames import frame_table
from matinee.data.readers._size import admit_rows
from matinee.data.source import Table
from matinee.errors import DataError


class Parquet(TabularSpec):
    """A Parquet file with a column of users and one of items."""

    path: Path
    """The file."""

    def table(self) -> Table:
        """Read the raw table."""
        path = self.path.expanduser()
        check_file(path)
        try:
            lazy = pl.scan_parquet(path, glob=False)
            n_columns = len(resolve_columns(lazy.collect_schema().names(), self, str(path)))
            admit_rows(path, lazy.select(pl.len()).collect().item(), n_columns)  # both stand in the file's footer
            return frame_table(lazy, self, str(path))
        except (pl.exceptions.ComputeError, OSError) as error:
            found = f"it is no Parquet file ({str(error).splitlines()[0]})"
            raise DataError(path, found, "a whole Parquet file", "Fetch or write it again.") from None
