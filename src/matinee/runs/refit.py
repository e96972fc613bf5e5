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
from matinee.ensemble.search import UserContext
from matinee.errors import MatineeError, RunError, SubmissionError, UnknownNameError
from matinee.runs.execute import PreparedExperiment, RunOptions
from matinee.runs.experiment import Experiment, Submission
from matinee.runs.experiment import read_experiment as read_experiment
from matinee.runs.folder import Run
from matinee.runs.imported import read_lists_file
from matinee.runs.leaderboard import Leaderboard
from matinee.runs.list_file import atomic_replace, check_path, write_rows
from matinee.runs.lock import locked
from matinee.runs.producer import Producer
from matinee.runs.producers.ensemble import EnsembleProducer
from matinee.runs.producers.imported import ImportedProducer
from matinee.runs.producers.model import ModelProducer
from matinee.runs.recipients import target_users
from matinee.runs.store import PARTIAL, discard
from matinee.runs.submission import check_file, refit
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


def submit_experiment(
    prepared: PreparedExperiment, board: Leaderboard, submission: Submission, stage: RunOptions
) -> str:
    """Write the submission of an experiment; what was done, in a sentence."""
    run = chosen_run(board, submission.model)
    return submit_run(run, prepared.experiment, prepared.log, submission, stage)


def chosen_run(board: Leaderboard, model: str) -> Run:
    """The best run, or the best of a kind, or the run of a name."""
    if model == "best":
        return board.runs[0]
    for run in board.runs:
        if model in (run.kind, run.name):
            return run
    raise UnknownNameError("run or kind", model, [*(run.kind for run in board.runs), "best"], "submission")


def experiment_of(run: Run) -> Experiment:
    """The experiment a run belongs to, as its run.json keeps it."""
    return read_experiment(run.record.experiment, str(run.folder / "run.json"))


def submit_run(
    run: Run,
    experiment: Experiment,
    log: Interactions,
    to: Submission,
    stage: RunOptions,
    delivery: Delivery = Delivery(),
) -> str:
    """Refit the run's model on the whole log, write its lists, and check them before they replace an older file."""
    check_path(to.path)
    recipients = target_users(to.users, log, delivery.unknown)
    task = experiment.task
    lists = recipients.lists(refit_lists(run, log, recipients.known, task, delivery.given, stage), log, task)
    with atomic_replace(to.path) as fresh:
        write_rows(lists, fresh)
        try:
            checked = check_file(fresh, log, task, recipients.queries)
        except SubmissionError as error:
            raise SubmissionError(to.path, error.faults) from None
    for folder in _refit_folders(run, stage):
        discard(folder)
    said = f"{to.path}: {run.kind} refitted on all {len(log):,} rows; checked: {checked.summary(task.k)}"
    changed = "; the log is not the one this run was judged on" if _other_log(run, experiment, log) else ""
    return f"{said}{recipients.sentence()}{changed}."


def _other_log(run: Run, experiment: Experiment, log: Interactions) -> bool:
    """Whether the split of the run was cut from another log, or from other files beside it."""
    source = run.record.split.source
    if source == log.fingerprint:
        return False
    try:
        return experiment.split.split(log).source != source
    except MatineeError:
        return True


def refit_lists(
    run: Run, log: Interactions, users: NDArray[np.int32], task: Task, given: Mapping[str, Path], stage: RunOptions
) -> TopK:
    """The lists of a run after a fit on the whole log: of its model, or of its members, mixed by its recipe.

    `given` are files with lists, made from the whole log, for members that came from elsewhere.
    """
    producer, seed = run.producer, run.record.seed
    needed = [one.producer for one in producer.needed] if isinstance(producer, EnsembleProducer) else [producer]
    imported = {one.name for one in needed if isinstance(one, ImportedProducer)}
    for name in given:
        if name not in imported:
            raise UnknownNameError("member from elsewhere", name, imported, "--lists")
    again = _Refit(run, log, users, task, stage, given)
    if not isinstance(producer, EnsembleProducer):
        return again.lists(producer, seed)
    recipe = producer.recipe
    deep = replace(again, task=task.model_copy(update={"n": min(recipe.depth, log.n_items)}))
    lists = {member.label: deep.lists(member.producer, member.seed) for member in producer.needed}
    people = UserContext(log.histories(users), log.popularity, real_time=log.time_kind == "seconds")
    return recipe.fuse(lists, task.k, people.features)


@dataclass(frozen=True, eq=False)
class _Refit:
    """Shared input of the refits of a run: the log, the users (m,) to serve, the task."""

    run: Run
    log: Interactions
    users: NDArray[np.int32]
    task: Task
    stage: RunOptions
    given: Mapping[str, Path]
    """Files with lists by the name of the member."""

    def lists(self, producer: Producer, seed: int) -> TopK:
        """The lists of one refitted model, or of a file."""
        if isinstance(producer, ImportedProducer):
            if producer.name not in self.given:
                found = "its lists were imported and cannot be computed here"
                todo = f"Pass lists made from the whole log: --lists {producer.name}=FILE."
                raise RunError(self.run.folder, found, todo)
            return read_lists_file(self.given[producer.name], self.log, self.task, self.log.histories(self.users))
        if not isinstance(producer, ModelProducer):
            raise RunError(self.run.folder, f"a producer {producer.kind} cannot be fitted again", "Submit another run.")
        kept = _refit_folder(producer, seed, self.stage)
        with locked(kept, self.stage.say):
            return refit(producer.refit, self.log, self.users, self.task, self.stage.context(seed, kept))


def _refit_folder(model: ModelProducer, seed: int, stage: RunOptions) -> Path:
    """Folder with the state of the fit of a model on the whole log."""
    text = f"{model.refit.model_dump_json()} {seed}"
    return stage.root / PARTIAL / f"{REFIT}-{model.refit.kind}-{sha256(text.encode()).hexdigest()[:10]}"


def _refit_folders(run: Run, stage: RunOptions) -> list[Path]:
    """Folders with the state of the fits of all models of a run."""
    producer = run.producer
    if isinstance(producer, ModelProducer):
        return [_refit_folder(producer, run.record.seed, stage)]
    members = producer.needed if isinstance(producer, EnsembleProducer) else ()
    return [_refit_folder(one.producer, one.seed, stage) for one in members if isinstance(one.producer, ModelProducer)]
