"""The submission: a run is refitted on the whole log, its lists are written and checked."""

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
from matinee.runs.experiment import Experiment, Submission
from matinee.runs.experiment import read_experiment as read_experiment
from matinee.runs.folder import Run
from matinee.runs.imported import read_lists_file
from matinee.runs.leaderboard import Leaderboard
from matinee.runs.list_file import atomic_replace, check_path, write_rows
from matinee.runs.lock import locked
from matinee.runs.prepared import PreparedExperiment, RunOptions
from matinee.runs.producer import Producer
from matinee.runs.producers.ensemble import EnsembleProducer
from matinee.runs.producers.imported import ImportedProducer
from matinee.runs.producers.model import ModelProducer
from matinee.runs.recipients import target_users
from matinee.runs.store import PARTIAL, discard
from matinee.runs.submission import check_file, refit
from matinee.topk import TopK

REFIT = "refit"
"""First part of the names of folders with the checkpoints of fits on the whole log."""


@dataclass(frozen=True)
class Delivery:
    """Options of a submission beside its run and its path."""

    imported_files: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Files with lists from the whole log, by the name of the imported member."""

    unknown: str = "error"
    """Treatment of new users: error, popular or skip."""


def submit_experiment(
    prepared: PreparedExperiment, runs: Leaderboard, submission: Submission, options: RunOptions
) -> str:
    """Write the submission of an experiment; returns a summary."""
    run = chosen_run(runs, submission.model)
    return submit_run(run, prepared.experiment, prepared.log, submission, options)


def chosen_run(ranked: Leaderboard, model: str) -> Run:
    """The best run, or the best of a kind, or the run of a name."""
    if model == "best":
        return ranked.runs[0]
    for run in ranked.runs:
        if model in (run.kind, run.name):
            return run
    raise UnknownNameError("run or kind", model, [*(run.kind for run in ranked.runs), "best"], "submission")


def experiment_of(run: Run) -> Experiment:
    """The experiment of a run, from its run.json."""
    return read_experiment(run.record.experiment, str(run.folder / "run.json"))


def submit_run(
    run: Run,
    experiment: Experiment,
    log: Interactions,
    submission: Submission,
    options: RunOptions,
    delivery: Delivery = Delivery(),
) -> str:
    """Refit a run on the whole log, write and check its lists.

    Returns a summary. Lists that fail the check do not replace an older file.
    """
    check_path(submission.path)
    recipients = target_users(submission.users, log, delivery.unknown)
    task = experiment.task
    lists = recipients.lists(refit_lists(run, log, recipients.known, task, delivery.imported_files, options), log, task)
    with atomic_replace(submission.path) as new_file:
        write_rows(lists, new_file)
        try:
            checked = check_file(new_file, log, task, recipients.queries)
        except SubmissionError as error:
            raise SubmissionError(submission.path, error.faults) from None
    for folder in _refit_folders(run, options):
        discard(folder)
    summary = f"{submission.path}: {run.kind} refitted on all {len(log):,} rows; checked: {checked.summary(task.k)}"
    changed = "; the log differs from the one this run was evaluated on" if _other_log(run, experiment, log) else ""
    return f"{summary}{recipients.summary()}{changed}."


def _other_log(run: Run, experiment: Experiment, log: Interactions) -> bool:
    """Whether the run's split is of another log, or of other files beside it."""
    source = run.record.split.source
    if source == log.fingerprint:
        return False
    try:
        return experiment.split.split(log).source != source
    except MatineeError:
        return True


def refit_lists(
    run: Run,
    log: Interactions,
    users: NDArray[np.int32],
    task: Task,
    imported_files: Mapping[str, Path],
    options: RunOptions,
) -> TopK:
    """The lists of a run after a fit on the whole log.

    An ensemble combines the lists of its members by its recipe. `imported_files` are files with lists from the whole
    log, by the name of the imported member.
    """
    producer, seed = run.producer, run.record.seed
    needed = [one.producer for one in producer.needed] if isinstance(producer, EnsembleProducer) else [producer]
    imported = {one.name for one in needed if isinstance(one, ImportedProducer)}
    for name in imported_files:
        if name not in imported:
            raise UnknownNameError("imported member", name, imported, "--lists")
    refits = _Refit(run, log, users, task, options, imported_files)
    if not isinstance(producer, EnsembleProducer):
        return refits.lists(producer, seed)
    recipe = producer.recipe
    deep = replace(refits, task=task.model_copy(update={"k": min(recipe.depth, log.n_items)}))
    lists = {member.label: deep.lists(member.producer, member.seed) for member in producer.needed}
    context = UserContext(log.histories(users), log.popularity, real_time=log.time_kind == "seconds")
    return recipe.fuse(lists, task.k, context.features)


@dataclass(frozen=True, eq=False)
class _Refit:
    """Input of the refits of a run: the log, the target users (m,), the task."""

    run: Run
    log: Interactions
    users: NDArray[np.int32]
    task: Task
    options: RunOptions
    imported_files: Mapping[str, Path]
    """Files with lists by the name of the member."""

    def lists(self, producer: Producer, seed: int) -> TopK:
        """The lists of one refitted model, or of a file."""
        if isinstance(producer, ImportedProducer):
            if producer.name not in self.imported_files:
                found = "its lists were imported and cannot be computed here"
                todo = f"Pass lists made from the whole log: --lists {producer.name}=FILE."
                raise RunError(self.run.folder, found, todo)
            file = self.imported_files[producer.name]
            return read_lists_file(file, self.log, self.task, self.log.histories(self.users))
        if not isinstance(producer, ModelProducer):
            raise RunError(self.run.folder, f"a producer {producer.kind} cannot be fitted again", "Submit another run.")
        folder, observer = _refit_folder(producer, seed, self.options), self.options.observer
        with locked(folder, observer):
            ctx = self.options.context(seed, folder, observer)
            return refit(producer.refit, self.log, self.users, self.task, ctx)


def _refit_folder(model: ModelProducer, seed: int, options: RunOptions) -> Path:
    """The folder with the checkpoints of a model on the whole log."""
    text = f"{model.refit.model_dump_json()} {seed}"
    return options.root / PARTIAL / f"{REFIT}-{model.refit.kind}-{sha256(text.encode()).hexdigest()[:10]}"


def _refit_folders(run: Run, options: RunOptions) -> list[Path]:
    """The folders with the checkpoints of all models of a run."""
    producer = run.producer
    if isinstance(producer, ModelProducer):
        return [_refit_folder(producer, run.record.seed, options)]
    members = producer.needed if isinstance(producer, EnsembleProducer) else ()
    return [
        _refit_folder(one.producer, one.seed, options) for one in members if isinstance(one.producer, ModelProducer)
    ]
