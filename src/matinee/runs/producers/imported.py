"""The producer of lists read from a file."""

from __future__ import annotations

from matinee.runs.producer import Producer


class ImportedProducer(Producer):
    """The lists of a file, written by another program."""

    name: str
    """The name on the leaderboard."""

    sha256: str
    """The hash of the file."""

    @property
    def label(self) -> str:
        """The name."""
        return self.name
