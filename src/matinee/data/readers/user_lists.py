"""A user and its items in no order on a line."""

from __future__ import annotations

from pathlib import Path

from matinee.data.readers._ids import IdRule
from matinee.data.readers._rows import rows_table
from matinee.data.source import DataSpec, Table


class UserLists(DataSpec):
    """Lines of `user item item …` without order, as LightGCN's files.

    Words are separated by spaces; a line may have no items.
    """

    path: Path
    """The file."""

    ids: IdRule = "auto"
    """Ids are whole numbers where all words of the file are, or always text; 007 and +7 make them text."""

    def table(self) -> Table:
        """Read the raw table."""
        return rows_table(self.path.expanduser(), ordered=False, rule=self.ids)
