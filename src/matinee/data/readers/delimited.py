"""Text files of rows and columns with a header."""

from __future__ import annotations

from pathlib import Path

from matinee.data.readers._columns import TabularSpec
from matinee.data.readers._delimited import delimited_table, fields
from matinee.data.source import Table


class Delimited(TabularSpec):
    """Separated text with a line of column names, plain or gzip."""

    path: Path
    """The file."""

    separator: str | None = None
    """Separator of fields, e.g. "::"; by default found in the first line."""

    def table(self) -> Table:
        """Read the raw table."""
        return delimited_table(fields(self.path.expanduser(), self.separator), self)
