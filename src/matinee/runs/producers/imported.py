"""Lists that were read from a file."""

from __future__ import annotations

from matinee.runs.producer import Producer


class ImportedProducer(Producer):
    """The lists of a file that another program wrote."""

    name: str
    """The name they were given."""

    sha256: str
    """Of the file."""

    @property
    def label(self) -> str:
        """The name they were given."""
        return self.name
