"""List files made elsewhere: checked by the same rules as ours, and scored where answers are at hand."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from matinee import models
from matinee.contract import Task
from matinee.data import Histories, Interactions
from matinee.errors import DataError, SpecError, SubmissionError
from matinee.metrics import Evaluation, evaluate, parse
from matinee.runs import guards
from matinee.runs.combine import KIND
from matinee.runs.execute import PARTIAL, Made, Prepared, Stage, finished, key, prepare, record
from matinee.runs.experiment import Experiment
from matinee.runs.folder import Run
from matinee.runs.list_file import pairs
from matinee.runs.submission import Checked, check, faults_of, judge
from matinee.split import Split
from matinee.topk import TopK

OUTSIDE = "outside"
"""The kind of runs whose lists came from a file."""

RESERVED = (KIND, OUTSIDE, "best")
"""Names that mean something else on a board."""


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
    if not name.isidentifier() or name in (*models.kinds(), *RESERVED):
        reserved = f"no kind of a model and none of {', '.join(RESERVED)}"
        raise SpecError("import --name", f"found {name!r}", f"a word of letters, digits and _ that is {reserved}")
    split, task = prepared.split, prepared.experiment.task
    lists = outside_lists(file, split.learn, task, queries_of(split))
    longest = max(metric.k for goal in (task.metric, *task.also) for metric in parse(goal).metrics)
    if lists.k < longest:
        found = f"its longest list has {lists.k} items"
        raise DataError(file, found, f"lists of {longest}, which the metrics look at", "Write longer lists.")
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    model = {"kind": OUTSIDE, "name": name, "content": content[:16]}
    label = f"{name}-{key(prepared, model, prepared.experiment.seed)[:10]}"
    done = finished(label, stage)
    if done is not None:
        return done
    empty = int((lists.length == 0).sum())
    warnings = [f"{empty:,} of {len(lists):,} people have no list in {file.name}"] if empty else []
    warnings += guards.check(task, lists, split.ask)
    made = Made(model, model, prepared.experiment.seed, 0.0, 0.0, warnings)
    return record(prepared, lists, made, stage.root / PARTIAL / label, stage, None)


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
