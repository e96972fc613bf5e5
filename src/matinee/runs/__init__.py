"""Experiments → run folders: cache, resume, leaderboard, submission."""

from matinee.runs.execute import RunOptions, execute, prepare
from matinee.runs.experiment import Experiment, load_experiment, read_experiment
from matinee.runs.folder import Run, open_run, runs_in
from matinee.runs.leaderboard import Leaderboard, leaderboard
from matinee.runs.pipeline import run_experiment
from matinee.runs.validation import Validation, validate

__all__ = [
    "Experiment",
    "Leaderboard",
    "Run",
    "RunOptions",
    "Validation",
    "execute",
    "leaderboard",
    "load_experiment",
    "open_run",
    "prepare",
    "read_experiment",
    "run_experiment",
    "runs_in",
    "validate",
]
