"""Experiments → run folders: cache, resume, board, submission."""

from matinee.runs.execute import RunOptions, execute, prepare
from matinee.runs.experiment import Experiment, load_experiment, read_experiment
from matinee.runs.folder import Run, open_run, runs_in
from matinee.runs.leaderboard import Leaderboard, leaderboard
from matinee.runs.validation import resolve_spec

__all__ = [
    "Experiment",
    "Leaderboard",
    "Run",
    "RunOptions",
    "execute",
    "leaderboard",
    "load_experiment",
    "open_run",
    "prepare",
    "read_experiment",
    "resolve_spec",
    "runs_in",
]
