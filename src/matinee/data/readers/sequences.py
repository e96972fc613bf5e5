"""A user and its items in order on a line."""

from __future__ import annotations

from pathlib import Path

from matinee.data.readers._ids import IdRule
from matinee.data.readers._rows import rows_table
from matinee.data.source import DataSpec, Table


class Sequences(DataSpec):
    """Lines of `user item item …`, oldest first, without times, as SASRec's files.

    Words are separated by spaces.
    """

    path: Path
    """The file."""

    ids: IdRule = "auto"
    """Ids are whole numbers where all words of the file are, or always text; 007 and +7 make them text."""

    def table(self) -> Table:
        """Read the raw table."""
        return rows_table(self.path.expanduser(), ordered=True, rule=self.ids)
