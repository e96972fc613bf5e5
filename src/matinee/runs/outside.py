"""List files made elsewhere: checked by the same rules as ours, and scored where answers are at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.contract import Task
from matinee.data import Interactions
from matinee.metrics import Evaluation, evaluate, parse
from matinee.runs.execute import prepare
from matinee.runs.experiment import Experiment
from matinee.runs.submission import Checked, check, judge


def held_against_task(
    file: Path, log: Interactions, task: Task, users: NDArray[np.int32] | None, answers: Path | None
) -> tuple[Checked, Evaluation | None]:
    """Lists made from the whole log; answers, if any, are a file of what came after."""
    checked = check(file, log, task, users)
    return checked, judge(checked.lists, answers, task) if answers else None


def held_against_split(file: Path, experiment: Experiment) -> tuple[Checked, Evaluation]:
    """Lists made from the learn part of the experiment's split, scored on its answers."""
    prepared = prepare(experiment)
    split, task = prepared.split, experiment.task
    checked = check(file, split.learn, task, split.answer.user)
    names = [name for name in dict.fromkeys([task.metric, *task.also]) if parse(name).k <= checked.lists.k]
    return checked, evaluate(checked.lists, split.answer, names, task.profile, split.learn.popularity)


def sentences(evaluation: Evaluation | None) -> list[str]:
    """The numbers, one metric a line."""
    if evaluation is None:
        return []
    lines = [f"scored on {evaluation.n_users:,} users with answers:"]
    for row in evaluation.frame().iter_rows(named=True):
        part = "" if row["part"] == "all" else f" [{row['part']}]"
        interval = "" if row["low"] is None else f"  ({row['low']:.4f} – {row['high']:.4f})"
        lines.append(f"  {row['metric']}{part}: {row['mean']:.4f}{interval}")
    return lines
