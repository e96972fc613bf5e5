"""List files made elsewhere: checked by the same rules as ours, and scored where answers are at hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matinee import models
from matinee.contract import Task
from matinee.data import Histories, Interactions
from matinee.errors import DataError, SpecError, SubmissionError
from matinee.metrics import Evaluation, evaluate, parse
from matinee.runs import guards
from matinee.runs.execute import Draft, PreparedExperiment, RunOptions, obtain_and_warn, prepare, write_run
from matinee.runs.experiment import Experiment
from matinee.runs.files import sha256_of
from matinee.runs.finding import warning
from matinee.runs.folder import Run
from matinee.runs.list_file import read_pairs
from matinee.runs.producers import PRODUCERS
from matinee.runs.producers.imported import ImportedProducer
from matinee.runs.store import PARTIAL
from matinee.runs.submission import CheckedSubmission, check_file, evaluate_against_file, row_faults
from matinee.split import Split
from matinee.topk import TopK


def check_submission(
    file: Path, log: Interactions, task: Task, queries: Histories | None, answers: Path | None
) -> tuple[CheckedSubmission, Evaluation | None]:
    """Lists made from the whole log; answers, if any, are a file of what came after."""
    checked = check_file(file, log, task, queries)
    return checked, evaluate_against_file(checked.lists, answers, task) if answers else None


def check_on_split(file: Path, experiment: Experiment) -> tuple[CheckedSubmission, Evaluation]:
    """Lists made from the learn part of the experiment's split, scored on its answers."""
    prepared = prepare(experiment)
    split, task = prepared.split, experiment.task
    checked = check_file(file, split.train, task, queries_of(split))
    names = [name for name in dict.fromkeys([task.metric, *task.extra_metrics]) if parse(name).k <= checked.lists.k]
    return checked, evaluate(checked.lists, split.target, names, task.profile, split.train.popularity)


def queries_of(split: Split) -> Histories:
    """The queries of a split with the user code of every row, that of new users included."""
    return replace(split.query, user=split.target.user)


def read_lists_file(file: Path, log: Interactions, task: Task, queries: Histories) -> TopK:
    """Lists of a file for the users of `queries` (m,), as deep as it goes.

    A user it lacks has an empty list. Raises `SubmissionError` for unknown ids, repeated rows, and items the task bars.
    """
    rows = read_pairs(file, queries.users, queries.items)
    faults = row_faults(rows, queries, log, task)
    if faults:
        raise SubmissionError(file, faults)
    return rows.lists(queries)


def import_lists(file: Path, name: str, prepared: PreparedExperiment, stage: RunOptions) -> Run:
    """A run of lists made elsewhere from the learn part of the split: on the board, and a member like any other."""
    reserved = (*PRODUCERS.names(), "outside", "best")
    if not name.isidentifier() or name in (*models.kinds(), *reserved):
        rule = f"no kind of a model and none of {', '.join(reserved)}"
        raise SpecError("import --name", f"found {name!r}", f"a word of letters, digits and _ that is {rule}")
    split, task = prepared.split, prepared.experiment.task
    lists = read_lists_file(file, split.train, task, queries_of(split))
    longest = max(metric.k for goal in (task.metric, *task.extra_metrics) for metric in parse(goal).metrics)
    if lists.k < longest:
        found = f"its longest list has {lists.k} items"
        raise DataError(file, found, f"lists of {longest}, which the metrics look at", "Write longer lists.")
    imported = ImportedProducer(name=name, sha256=sha256_of(file))
    seed, keys = prepared.experiment.seed, prepared.keys(imported.to_dict())
    empty = int((lists.length == 0).sum())
    findings = [warning("users_without_list", missing=empty, users=len(lists), file=file.name)] if empty else []
    findings += guards.check_lists(task, lists, split.query)
    work = stage.root / PARTIAL / f"{name}-{keys.fit[:10]}"
    draft = Draft(imported, seed, keys, (0.0, 0.0), findings)
    return obtain_and_warn(
        f"{name}-{keys.metrics[:10]}", work, stage, lambda: write_run(prepared, lists, draft, work, stage)
    )


def sentences(evaluation: Evaluation | None) -> list[str]:
    """The numbers, one metric a line."""
    if evaluation is None:
        return []
    lines = [f"scored on {evaluation.n_users:,} users with answers:"]
    for row in evaluation.frame().iter_rows(named=True):
        part = "" if row["part"] == "all" else f" [{row['part']}]"
        interval = "" if row["low"] is None else f"  ({row['low']:.4f} – {row['high']:.4f})"
        mean = "–" if row["mean"] is None else f"{row['mean']:.4f}"
        lines.append(f"  {row['metric']}{part}: {mean}{interval}")
    return lines
