"""List files of other programs: checked by the rules of the task, evaluated if there are targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from matinee import models
from matinee.contract import Task
from matinee.data import Histories, Interactions
from matinee.errors import DataError, SpecError, SubmissionError
from matinee.metrics import Evaluation, evaluate, parse
from matinee.runs import guards
from matinee.runs.draft import Draft, write_run
from matinee.runs.experiment import Experiment
from matinee.runs.files import sha256_of
from matinee.runs.finding import warning
from matinee.runs.folder import Run
from matinee.runs.list_file import read_pairs
from matinee.runs.prepared import PreparedExperiment, RunOptions, prepare
from matinee.runs.producers import PRODUCERS
from matinee.runs.producers.imported import ImportedProducer
from matinee.runs.store import PARTIAL, obtain
from matinee.runs.submission import CheckedSubmission, check_file, evaluate_against_file, row_faults
from matinee.split import Split
from matinee.topk import TopK


@dataclass(frozen=True, eq=False)
class EvaluatedSubmission:
    """A checked list file, and its evaluation if there are targets."""

    checked: CheckedSubmission
    evaluation: Evaluation | None


def check_submission(
    file: Path, log: Interactions, task: Task, queries: Histories | None, targets: Path | None
) -> EvaluatedSubmission:
    """The check of lists made from the whole log.

    `targets` is a file of later interactions; None means no evaluation.
    """
    checked = check_file(file, log, task, queries)
    return EvaluatedSubmission(checked, evaluate_against_file(checked.lists, targets, task) if targets else None)


def check_on_split(file: Path, experiment: Experiment) -> EvaluatedSubmission:
    """The check of lists made from the training set, evaluated on the split's targets."""
    prepared = prepare(experiment)
    split, task = prepared.split, experiment.task
    checked = check_file(file, split.train, task, queries_of(split))
    names = [name for name in dict.fromkeys([task.metric, *task.extra_metrics]) if parse(name).k <= checked.lists.k]
    evaluation = evaluate(checked.lists, split.target, names, task.profile, split.train.popularity)
    return EvaluatedSubmission(checked, evaluation)


def queries_of(split: Split) -> Histories:
    """The queries of a split with user codes also for new users."""
    return replace(split.query, user=split.target.user)


def read_lists_file(file: Path, log: Interactions, task: Task, queries: Histories) -> TopK:
    """The lists (m, k) of a file for the users of `queries` (m,).

    k is the length of the longest list. A user without rows has an empty list. Raises `SubmissionError` for unknown
    ids, repeated rows, and excluded items.
    """
    rows = read_pairs(file, queries.users, queries.items)
    faults = row_faults(rows, queries, log, task)
    if faults:
        raise SubmissionError(file, faults)
    return rows.lists(queries)


def import_lists(file: Path, name: str, prepared: PreparedExperiment, options: RunOptions) -> Run:
    """A run with the lists of a file.

    They were made by another program from the training set of the split. The run is ranked on the leaderboard and can
    be a member of an ensemble.
    """
    reserved = (*PRODUCERS.names(), "outside", "best")
    if not name.isidentifier() or name in (*models.kinds(), *reserved):
        rule = f"no kind of a model and none of {', '.join(reserved)}"
        raise SpecError("import --name", f"found {name!r}", f"a word of letters, digits and _ that is {rule}")
    split, task = prepared.split, prepared.experiment.task
    lists = read_lists_file(file, split.train, task, queries_of(split))
    longest = max(metric.k for names in (task.metric, *task.extra_metrics) for metric in parse(names).metrics)
    if lists.k < longest:
        found = f"its longest list has {lists.k} items"
        raise DataError(
            file, found, f"lists of {longest} items, the longest cut-off of the metrics", "Write longer lists."
        )
    imported = ImportedProducer(name=name, sha256=sha256_of(file))
    seed, keys = prepared.experiment.seed, prepared.keys(imported.to_dict())
    empty = int((lists.length == 0).sum())
    findings = [warning("users_without_list", missing=empty, users=len(lists), file=file.name)] if empty else []
    findings += guards.check_lists(task, lists, split.query)
    work = options.root / PARTIAL / f"{name}-{keys.fit[:10]}"
    draft = Draft(lists, imported, seed, keys, findings)
    return obtain(options.root / draft.name, work, options.observer, lambda: write_run(prepared, draft, work, options))


def evaluation_lines(evaluation: Evaluation | None) -> list[str]:
    """The metrics, one a line; empty for None."""
    if evaluation is None:
        return []
    lines = [f"evaluated on {evaluation.n_users:,} users with targets:"]
    for row in evaluation.frame().iter_rows(named=True):
        part = "" if row["part"] == "all" else f" [{row['part']}]"
        interval = "" if row["low"] is None else f"  ({row['low']:.4f} – {row['high']:.4f})"
        mean = "–" if row["mean"] is None else f"{row['mean']:.4f}"
        lines.append(f"  {row['metric']}{part}: {mean}{interval}")
    return lines
