"""From a board, or one run, to the delivered file: refit on everything, write, check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.contract import Task
from matinee.data import Interactions
from matinee.ensemble.lab import People
from matinee.errors import MatineeError, RunError, SubmissionError, UnknownName
from matinee.runs.board import Board
from matinee.runs.execute import Prepared, Stage
from matinee.runs.experiment import Experiment, Submission
from matinee.runs.experiment import read as read_experiment
from matinee.runs.folder import Run
from matinee.runs.list_file import refuse_path, replaced, write_rows
from matinee.runs.lock import locked
from matinee.runs.outside import outside_lists
from matinee.runs.producer import Producer
from matinee.runs.producers.ensemble import Ensemble
from matinee.runs.producers.imported import Imported
from matinee.runs.producers.model import Model
from matinee.runs.recipients import wanted
from matinee.runs.store import PARTIAL, discard
from matinee.runs.submission import check, refit
from matinee.topk import TopK

REFIT = "refit"
"""How folders start where fits on the whole log keep their state until the file they are for is written."""


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
    return read_experiment(run.record.experiment, str(run.folder / "run.json"))


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
    for folder in _refit_folders(run, stage):
        discard(folder)
    said = f"{to.path}: {run.kind} refitted on all {len(log):,} rows; checked: {checked.sentence(task.k)}"
    changed = "; the log is not the one this run was judged on" if _other_log(run, experiment, log) else ""
    return f"{said}{recipients.sentence()}{changed}."


def _other_log(run: Run, experiment: Experiment, log: Interactions) -> bool:
    """Whether the split of the run was cut from another log, or from other files beside it."""
    source = run.record.split.source
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
    producer, seed = run.producer, run.record.seed
    needed = [one.producer for one in producer.needed] if isinstance(producer, Ensemble) else [producer]
    imported = {one.name for one in needed if isinstance(one, Imported)}
    for name in given:
        if name not in imported:
            raise UnknownName("member from elsewhere", name, imported, "--lists")
    again = _Refit(run, log, users, task, stage, given)
    if not isinstance(producer, Ensemble):
        return again.lists(producer, seed)
    recipe = producer.recipe
    deep = replace(again, task=task.model_copy(update={"k": min(recipe.depth, log.n_items)}))
    lists = {member.label: deep.lists(member.producer, member.seed) for member in producer.needed}
    people = People(log.histories(users), log.popularity, clocked=log.clock == "seconds")
    return recipe.fuse(lists, task.k, people.traits)


@dataclass(frozen=True, eq=False)
class _Refit:
    """Shared input of the refits of a run: the log, the users (m,) to serve, the task."""

    run: Run
    log: Interactions
    users: NDArray[np.int32]
    task: Task
    stage: Stage
    given: Mapping[str, Path]
    """Files with lists by the name of the member."""

    def lists(self, producer: Producer, seed: int) -> TopK:
        """The lists of one refitted model, or of a file."""
        if isinstance(producer, Imported):
            if producer.name not in self.given:
                found = "its lists were imported and cannot be computed here"
                todo = f"Pass lists made from the whole log: --lists {producer.name}=FILE."
                raise RunError(self.run.folder, found, todo)
            return outside_lists(self.given[producer.name], self.log, self.task, self.log.histories(self.users))
        if not isinstance(producer, Model):
            raise RunError(self.run.folder, f"a producer {producer.kind} cannot be fitted again", "Submit another run.")
        kept = _refit_folder(producer, seed, self.stage)
        with locked(kept, self.stage.say):
            return refit(producer.refit, self.log, self.users, self.task, self.stage.context(seed, kept))


def _refit_folder(model: Model, seed: int, stage: Stage) -> Path:
    """Folder with the state of the fit of a model on the whole log."""
    text = f"{model.refit.model_dump_json()} {seed}"
    return stage.root / PARTIAL / f"{REFIT}-{model.refit.kind}-{sha256(text.encode()).hexdigest()[:10]}"


def _refit_folders(run: Run, stage: Stage) -> list[Path]:
    """Folders with the state of the fits of all models of a run."""
    producer = run.producer
    if isinstance(producer, Model):
        return [_refit_folder(producer, run.record.seed, stage)]
    members = producer.needed if isinstance(producer, Ensemble) else ()
    return [_refit_folder(one.producer, one.seed, stage) for one in members if isinstance(one.producer, Model)]
