"""The report of an ensemble run on the terminal."""

from __future__ import annotations

from matinee.cli._screen import out
from matinee.runs.folder import Run
from matinee.runs.text import ensemble_lines


def print_ensemble(run: Run) -> None:
    """Print the report of an ensemble run; other runs print no line."""
    for line in ensemble_lines(run):
        out.print(line, markup=False, highlight=False)
