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
from matinee.runs.execute import Draft, Prepared, Stage, obtain_and_warn, prepare, record
from matinee.runs.experiment import Experiment
from matinee.runs.files import sha256_of
from matinee.runs.finding import warning
from matinee.runs.folder import Run
from matinee.runs.list_file import pairs
from matinee.runs.producers import PRODUCERS
from matinee.runs.producers.imported import Imported
from matinee.runs.store import PARTIAL
from matinee.runs.submission import Checked, check, faults_of, judge
from matinee.split import Split
from matinee.topk import TopK


def held_against_task(
    file: Path, log: Interactions, task: Task, queries: Histories | None, answers: Path | None
) -> tuple[Checked, Evaluation | None]:
    """Lists made from the whole log; answers, if any, are a file of what came after."""
    checked = check(file, log, task, queries)
    return checked, judge(checked.lists, answers, task) if answers else None


def held_against_split(file: Path, experiment: Experiment) -> tuple[Checked, Evaluation]:
    """Lists made from the learn part of the experiment's split, scored on its answers."""
    prepared = prepare(experiment)
    split, task = prepared.split, experiment.task
    checked = check(file, split.learn, task, queries_of(split))
    names = [name for name in dict.fromkeys([task.metric, *task.also]) if parse(name).k <= checked.lists.k]
    return checked, evaluate(checked.lists, split.answer, names, task.profile, split.learn.popularity)


def queries_of(split: Split) -> Histories:
    """The queries of a split with the user code of every row, that of new users included."""
    return replace(split.ask, user=split.answer.user)


def outside_lists(file: Path, log: Interactions, task: Task, queries: Histories) -> TopK:
    """Lists of a file for the users of `queries` (m,), as deep as it goes.

    A user it lacks has an empty list. Raises `SubmissionError` for unknown ids, repeated rows, and items the task bars.
    """
    rows = pairs(file, queries.users, queries.items)
    faults = faults_of(rows, queries, log, task)
    if faults:
        raise SubmissionError(file, faults)
    return rows.lists(queries)


def bring_in(file: Path, name: str, prepared: Prepared, stage: Stage) -> Run:
    """A run of lists made elsewhere from the learn part of the split: on the board, and a member like any other."""
    reserved = (*PRODUCERS.names(), "outside", "best")
    if not name.isidentifier() or name in (*models.kinds(), *reserved):
        rule = f"no kind of a model and none of {', '.join(reserved)}"
        raise SpecError("import --name", f"found {name!r}", f"a word of letters, digits and _ that is {rule}")
    split, task = prepared.split, prepared.experiment.task
    lists = outside_lists(file, split.learn, task, queries_of(split))
    longest = max(metric.k for goal in (task.metric, *task.also) for metric in parse(goal).metrics)
    if lists.k < longest:
        found = f"its longest list has {lists.k} items"
        raise DataError(file, found, f"lists of {longest}, which the metrics look at", "Write longer lists.")
    imported = Imported(name=name, sha256=sha256_of(file))
    seed, keys = prepared.experiment.seed, prepared.keys(imported.written())
    empty = int((lists.length == 0).sum())
    findings = [warning("users_without_list", missing=empty, users=len(lists), file=file.name)] if empty else []
    findings += guards.check(task, lists, split.ask)
    work = stage.root / PARTIAL / f"{name}-{keys.fit[:10]}"
    draft = Draft(imported, seed, keys, (0.0, 0.0), findings)
    return obtain_and_warn(
        f"{name}-{keys.metrics[:10]}", work, stage, lambda: record(prepared, lists, draft, work, stage)
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
