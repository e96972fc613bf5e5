"""An ensemble in words for people."""

from __future__ import annotations

from matinee.cli._screen import out
from matinee.runs.folder import Run
from matinee.runs.text import ensemble_lines


def print_ensemble(run: Run) -> None:
    """Print what a search found; nothing for a run that is no ensemble."""
    for line in ensemble_lines(run):
        out.print(line, markup=False, highlight=False)
