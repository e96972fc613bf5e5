"""From a board, or one run, to the delivered file: refit on everything, write, check."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from matinee.errors import MatineeError, RunError, SubmissionError, UnknownName
from matinee.runs.board import Board
from matinee.runs.combine import is_ensemble
from matinee.runs.execute import PARTIAL, Prepared, Stage
from matinee.runs.experiment import Experiment, Submission
from matinee.runs.experiment import read as read_experiment
from matinee.runs.folder import Run
from matinee.runs.list_file import refuse_path, replaced, write_rows
from matinee.runs.outside import OUTSIDE, outside_lists
from matinee.runs.recipients import wanted
from matinee.runs.submission import check, refit
from matinee.topk import TopK

REFIT = "refit"
"""Where fits on the whole log keep their state until the file they are for is written."""


@dataclass(frozen=True)
class Delivery:
    """What a delivery needs beside a run and a path."""

    given: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Lists from the whole log, by the name of the member that came from elsewhere."""

    unknown: str = "error"
    """What happens to users the log does not know: error, popular or skip."""


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
    delivery: Delivery = Delivery(),
) -> str:
    """Refit the run's model on the whole log, write its lists, and check them before they replace an older file."""
    refuse_path(to.path)
    recipients = wanted(to.users, log, delivery.unknown)
    task = experiment.task
    lists = recipients.lists(made_again(run, log, recipients.known, task, delivery.given, stage), log, task)
    with replaced(to.path) as fresh:
        write_rows(lists, fresh)
        try:
            checked = check(fresh, log, task, recipients.queries)
        except SubmissionError as error:
            raise SubmissionError(to.path, error.faults) from None
    shutil.rmtree(stage.root / PARTIAL / REFIT, ignore_errors=True)
    said = f"{to.path}: {run.kind} refitted on all {len(log):,} rows; checked: {checked.sentence(task.k)}"
    changed = "; the log is not the one this run was judged on" if _other_log(run, experiment, log) else ""
    return f"{said}{recipients.sentence()}{changed}."


def _other_log(run: Run, experiment: Experiment, log: Interactions) -> bool:
    """Whether the split of the run was cut from another log, or from other files beside it."""
    source = run.said["split"]["source"]
    if source == log.fingerprint:
        return False
    try:
        return experiment.split.cut(log).source != source
    except MatineeError:
        return True


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
    again = _Refit(log, users, task, stage, given)
    if not is_ensemble(run):
        return again.lists(said, run.said["seed"], where)
    recipe = read_recipe(said["recipe"], where)
    deep = replace(again, task=task.model_copy(update={"k": min(recipe.depth, log.n_items)}))
    lists = {
        name: deep.lists(member, said["seeds"][name], f"{where}: {name}") for name, member in said["members"].items()
    }
    people = People(log.histories(users), log.popularity, clocked=log.clock == "seconds")
    return recipe.fuse(lists, task.k, people.traits)


@dataclass(frozen=True, eq=False)
class _Refit:
    """What the refits of all members of a run share: the log, the users (m,) to serve, the task."""

    log: Interactions
    users: NDArray[np.int32]
    task: Task
    stage: Stage
    given: Mapping[str, Path]
    """Files with lists by the name of the member."""

    def lists(self, said: Mapping[str, Any], seed: int, where: str) -> TopK:
        """The lists of one model refitted, or those of a file."""
        if said["kind"] == OUTSIDE:
            if said["name"] not in self.given:
                found = "its lists came from a file and cannot be made again here"
                raise RunError(where, found, f"Hand in lists made from the whole log: --lists {said['name']}=FILE.")
            return outside_lists(self.given[said["name"]], self.log, self.task, self.log.histories(self.users))
        spec = models.CATALOGUE.read(said, where)
        label = f"{spec.kind}-{sha256(spec.model_dump_json().encode()).hexdigest()[:10]}"
        kept = self.stage.root / PARTIAL / REFIT / label
        return refit(spec, self.log, self.users, self.task, self.stage.context(seed, kept))
