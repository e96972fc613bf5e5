"""From a board, or one run, to the delivered file: refit on everything, write, check."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.contract import Task
from matinee.data import Interactions
from matinee.ensemble.lab import People
from matinee.errors import DataError, RunError, UnknownName
from matinee.runs.board import Board
from matinee.runs.execute import Prepared, Stage
from matinee.runs.experiment import Experiment, Submission
from matinee.runs.experiment import read as read_experiment
from matinee.runs.folder import Run
from matinee.runs.lock import locked
from matinee.runs.outside import outside_lists
from matinee.runs.producer import Producer
from matinee.runs.producers.ensemble import Ensemble
from matinee.runs.producers.imported import Imported
from matinee.runs.producers.model import Model
from matinee.runs.store import PARTIAL, discard
from matinee.runs.submission import check, refit, write
from matinee.topk import TopK

REFIT = "refit"
"""How folders start where fits on the whole log keep their state until the file they are for is written."""


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
    given: Mapping[str, Path] | None = None,
) -> str:
    """Refit the run's model on the whole log, write its lists, and check the file that was written."""
    users = wanted(to.users, log)
    task = experiment.task
    write(made_again(run, log, users, task, given or {}, stage), to.path)
    for folder in _refit_folders(run, stage):
        discard(folder)
    checked = check(to.path, log, task, users)
    return f"{to.path}: {run.kind} refitted on all {len(log):,} rows; checked: {checked.sentence(task.k)}."


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
    if not isinstance(producer, Ensemble):
        return _refitted(producer, seed, (log, users, task, stage), run, given)
    recipe = producer.recipe
    deep = task.model_copy(update={"k": min(recipe.depth, log.n_items)})
    lists = {
        member.label: _refitted(member.producer, member.seed, (log, users, deep, stage), run, given)
        for member in producer.needed
    }
    people = People(log.histories(users), log.popularity, clocked=log.clock == "seconds")
    return recipe.fuse(lists, task.k, people.traits)


def _refitted(
    producer: Producer,
    seed: int,
    over: tuple[Interactions, NDArray[np.int32], Task, Stage],
    run: Run,
    given: Mapping[str, Path],
) -> TopK:
    """The lists of one model refitted, or those of a file."""
    log, users, task, stage = over
    if isinstance(producer, Imported):
        if producer.name not in given:
            found = "its lists came from a file and cannot be made again here"
            raise RunError(run.folder, found, f"Hand in lists made from the whole log: --lists {producer.name}=FILE.")
        return outside_lists(given[producer.name], log, task, users)
    if not isinstance(producer, Model):
        raise RunError(run.folder, f"a producer {producer.kind} cannot be fitted again", "Submit another run.")
    kept = _refit_folder(producer, seed, stage)
    with locked(kept, stage.say):
        return refit(producer.refit, log, users, task, stage.context(seed, kept))


def _refit_folder(model: Model, seed: int, stage: Stage) -> Path:
    """Where the fit of a model on the whole log keeps its state."""
    text = f"{model.refit.model_dump_json()} {seed}"
    return stage.root / PARTIAL / f"{REFIT}-{model.refit.kind}-{sha256(text.encode()).hexdigest()[:10]}"


def _refit_folders(run: Run, stage: Stage) -> list[Path]:
    """The same for every model of a run."""
    producer = run.producer
    if isinstance(producer, Model):
        return [_refit_folder(producer, run.record.seed, stage)]
    members = producer.needed if isinstance(producer, Ensemble) else ()
    return [_refit_folder(one.producer, one.seed, stage) for one in members if isinstance(one.producer, Model)]


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
