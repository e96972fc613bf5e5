"""An ensemble in words for people."""

from __future__ import annotations

from matinee.cli._screen import out
from matinee.runs.combine import lines
from matinee.runs.folder import Run


def tell(run: Run) -> None:
    """Print what a search found; nothing for a run that is no ensemble."""
    for line in lines(run):
        out.print(line, markup=False, highlight=False)
