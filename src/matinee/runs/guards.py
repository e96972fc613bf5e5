"""Checks after every fit; a check that fails is a finding of the run, shown on the leaderboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from matinee.contract import Task
from matinee.data import Histories
from matinee.metrics import Evaluation, compare
from matinee.runs.finding import Finding, warning
from matinee.topk import TopK

MAX_IDENTICAL = 0.5
"""Largest fraction of users with the same set of items that is no finding."""


def check_lists(task: Task, lists: TopK, queries: Histories, *, personalized: bool = True) -> list[Finding]:
    """Findings about lists; `personalized` requires that lists differ between users."""
    findings: list[Finding] = []
    if task.seen == "exclude" and _has_seen(lists, queries):
        findings.append(warning("seen_items"))
    top = lists.first(min(lists.k, task.k))
    if personalized and len(lists) > 1 and _max_identical_share(top) > MAX_IDENTICAL:
        findings.append(warning("identical_lists"))
    if not _is_sorted(lists):
        findings.append(warning("unsorted_lists"))
    short = int((lists.length < min(task.k, lists.k)).sum())
    if short:
        findings.append(warning("short_lists", users=short, k=task.k))
    return findings


def check_training(epochs: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Findings about the trainings of a network, from the epochs in its log."""
    trainings: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in epochs:
        trainings[str(line.get("split"))].append(line)
    findings: list[Finding] = []
    for lines in trainings.values():
        ordered = sorted(lines, key=lambda line: line["step"])
        losses = [line["loss"] for line in ordered if "loss" in line]
        metrics = [(line["metric"], line["step"]) for line in ordered if "metric" in line]
        if len(losses) > 1 and min(losses[1:]) >= losses[0]:
            findings.append(warning("loss_not_falling", loss=losses[0]))
        if losses and metrics and max(metrics, key=lambda one: one[0])[1] == ordered[-1]["step"]:
            findings.append(warning("best_at_last_epoch", epochs=ordered[-1]["step"]))
    return findings


def check_beats_popularity(evaluation: Evaluation, baseline: Evaluation, metric: str) -> list[Finding]:
    """A finding if an evaluation is not significantly better than that of popularity."""
    difference = compare(evaluation, baseline, metric)
    if difference.low > 0:
        return []
    gap = {"mean": difference.mean, "low": difference.low, "high": difference.high}
    return [warning("popularity_not_beaten", metric=metric, **gap)]


def _has_seen(lists: TopK, queries: Histories) -> bool:
    """Whether a list contains an item of its query."""
    width = len(queries.items)
    seen = np.repeat(np.arange(len(queries)), np.diff(queries.offsets)) * width + queries.item
    filled = lists.item >= 0
    listed = np.nonzero(filled)[0] * width + lists.item[filled]
    return bool(np.isin(listed, seen).any())


def _max_identical_share(lists: TopK) -> float:
    """The fraction of lists that are the most frequent set of items."""
    _, count = np.unique(np.sort(lists.item, axis=1), axis=0, return_counts=True)
    return float(count.max()) / len(lists)


def _is_sorted(lists: TopK) -> bool:
    """Whether scores do not increase and no list repeats an item."""
    falling = bool((lists.score[:, 1:] <= lists.score[:, :-1]).all())
    ordered = np.sort(lists.item, axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    return falling and not bool(repeated.any())
