"""From a board, or one run, to the delivered file: refit on everything, write, check."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matinee import models
from matinee.contract import Task
from matinee.data import Interactions
from matinee.ensemble.lab import People
from matinee.ensemble.recipe import read as read_recipe
from matinee.errors import DataError, RunError, UnknownName
from matinee.runs.board import Board
from matinee.runs.combine import is_ensemble
from matinee.runs.execute import PARTIAL, Prepared, Stage
from matinee.runs.experiment import Experiment, Submission
from matinee.runs.experiment import read as read_experiment
from matinee.runs.folder import Run
from matinee.runs.outside import OUTSIDE, outside_lists
from matinee.runs.submission import check, refit, write
from matinee.topk import TopK

REFIT = "refit"
"""Where fits on the whole log keep their state until the file they are for is written."""


def deliver(prepared: Prepared, board: Board, submission: Submission, stage: Stage) -> str:
    """Write the submission of an experiment; what was done, in a sentence."""
    run = chosen(board, submission.model)
    return submit(run, prepared.experiment, prepared.log, submission, stage)


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


def submit(
    run: Run,
    experiment: Experiment,
    log: Interactions,
    to: Submission,
    stage: Stage,
    given: Mapping[str, Path] | None = None,
) -> str:
    """Refit the run's model on the whole log, write its lists, and check the file that was written."""
    users = wanted(to.users, log)
    task = experiment.task
    write(made_again(run, log, users, task, given or {}, stage), to.path)
    shutil.rmtree(stage.root / PARTIAL / REFIT, ignore_errors=True)
    checked = check(to.path, log, task, users)
    return f"{to.path}: {run.kind} refitted on all {len(log):,} rows; checked: {checked.sentence(task.k)}."


def made_again(
    run: Run, log: Interactions, users: NDArray[np.int32], task: Task, given: Mapping[str, Path], stage: Stage
) -> TopK:
    """The lists of a run after a fit on the whole log: of its model, or of its members, mixed by its recipe.

    `given` are files with lists, made from the whole log, for members that came from elsewhere.
    """
    said, where = run.said["refit"], str(run.folder / "run.json")
    made = said["members"].values() if is_ensemble(run) else [said]
    outside = {member["name"] for member in made if member["kind"] == OUTSIDE}
    for name in given:
        if name not in outside:
            raise UnknownName("member from elsewhere", name, outside, "--lists")
    if not is_ensemble(run):
        return _refitted(said, run.said["seed"], (log, users, task, stage), where, given)
    recipe = read_recipe(said["recipe"], where)
    deep = task.model_copy(update={"k": min(recipe.depth, log.n_items)})
    lists = {
        name: _refitted(member, said["seeds"][name], (log, users, deep, stage), f"{where}: {name}", given)
        for name, member in said["members"].items()
    }
    people = People(log.histories(users), log.popularity, clocked=log.clock == "seconds")
    return recipe.fuse(lists, task.k, people.traits)


def _refitted(
    said: Mapping[str, Any],
    seed: int,
    over: tuple[Interactions, NDArray[np.int32], Task, Stage],
    where: str,
    given: Mapping[str, Path],
) -> TopK:
    """The lists of one model refitted, or those of a file."""
    log, users, task, stage = over
    if said["kind"] == OUTSIDE:
        if said["name"] not in given:
            found = "its lists came from a file and cannot be made again here"
            raise RunError(where, found, f"Hand in lists made from the whole log: --lists {said['name']}=FILE.")
        return outside_lists(given[said["name"]], log, task, users)
    spec = models.CATALOGUE.read(said, where)
    kept = stage.root / PARTIAL / REFIT / f"{spec.kind}-{sha256(spec.model_dump_json().encode()).hexdigest()[:10]}"
    return refit(spec, log, users, task, stage.context(seed, kept))


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
