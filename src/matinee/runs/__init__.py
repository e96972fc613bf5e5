"""Experiments → run folders: cache, resume, board, submission."""

from matinee.runs.board import Board, board_of
from matinee.runs.execute import Stage, execute, prepare
from matinee.runs.experiment import Experiment, load, read
from matinee.runs.folder import Run, open_run, runs_in
from matinee.runs.stopping import settle

__all__ = [
    "Board",
    "Experiment",
    "Run",
    "Stage",
    "board_of",
    "execute",
    "load",
    "open_run",
    "prepare",
    "read",
    "runs_in",
    "settle",
]
