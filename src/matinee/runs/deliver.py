"""From a board, or one run, to the delivered file: refit on everything, write, check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee import models
from matinee.contract import Progress, silent
from matinee.data import Interactions
from matinee.errors import DataError, UnknownName
from matinee.runs.board import Board
from matinee.runs.execute import Prepared
from matinee.runs.experiment import Experiment, Submission
from matinee.runs.experiment import read as read_experiment
from matinee.runs.folder import Run
from matinee.runs.submission import check, refit, write


def deliver(prepared: Prepared, board: Board, submission: Submission, progress: Progress = silent) -> str:
    """Write the submission of an experiment; what was done, in a sentence."""
    run = chosen(board, submission.model)
    return submit(run, prepared.experiment, prepared.log, submission, progress)


def chosen(board: Board, model: str) -> Run:
    """The best run, or the best of a kind, or the run of a name."""
    if model == "best":
        return board.runs[0]
    for run in board.runs:
        if model in (run.kind, run.name):
            return run
    raise UnknownName("run or kind", model, [*(run.kind for run in board.runs), "best"], "submission")


def experiment_of(run: Run) -> Experiment:
    """The experiment a run belongs to, as its run.json keeps it."""
    return read_experiment(run.said["experiment"], str(run.folder / "run.json"))


def submit(run: Run, experiment: Experiment, log: Interactions, to: Submission, progress: Progress = silent) -> str:
    """Refit the run's model on the whole log, write its lists, and check the file that was written."""
    spec = models.CATALOGUE.read(run.said["refit"], str(run.folder / "run.json"))
    users = wanted(to.users, log)
    task = experiment.task
    write(refit(spec, log, users, task, experiment.seed, progress), to.path)
    checked = check(to.path, log, task, users)
    return f"{to.path}: {run.kind} refitted on all {len(log):,} rows; checked: {checked.sentence(task.k)}."


def wanted(path: str | None, log: Interactions) -> NDArray[np.int32]:
    """The users to serve: those of a file in their order, or every user of the log."""
    if path is None:
        return np.arange(log.n_users, dtype=np.int32)
    from matinee.data.read import user_ids

    ids = user_ids(Path(path))
    codes = log.users.encode(ids)
    unknown = np.flatnonzero(codes < 0)
    if len(unknown):
        found = f"{len(unknown):,} users the log does not know, the first is {ids[int(unknown[0])]!r}"
        raise DataError(path, found, "users of the log", "Remove them, or read the log they belong to.")
    _, first = np.unique(codes, return_index=True)
    return codes[np.sort(first)]
