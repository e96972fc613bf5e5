"""Checks that run by themselves after every fit. One that fires is a finding of the run, shown on the board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from matinee.contract import Task
from matinee.data import Histories
from matinee.metrics import Evaluation, compare
from matinee.runs.finding import Finding, warning
from matinee.topk import TopK

MAX_IDENTICAL = 0.5
"""Share of people who may have one and the same set of items before the guard fires."""


def check_lists(task: Task, lists: TopK, ask: Histories, *, personal: bool = True) -> list[Finding]:
    """Findings about lists alone; empty when nothing is wrong.

    `personal` says that different people should get different lists.
    """
    found: list[Finding] = []
    if task.seen == "exclude" and _seen(lists, ask):
        found.append(warning("seen_items"))
    if personal and len(lists) > 1 and _max_identical_share(lists.first(min(lists.k, task.k))) > MAX_IDENTICAL:
        found.append(warning("identical_lists"))
    if not _is_sorted(lists):
        found.append(warning("unsorted_lists"))
    short = int((lists.length < min(task.k, lists.k)).sum())
    if short:
        found.append(warning("short_lists", users=short, k=task.k))
    return found


def check_training(trainings: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Findings about how a network learnt: its `losses` an epoch, its `metrics` (epochs, value) on the stop fold."""
    found: list[Finding] = []
    for one in trainings:
        losses, metrics = one["losses"], one["metrics"]
        if len(losses) > 1 and min(losses[1:]) >= losses[0]:
            found.append(warning("loss_not_falling", loss=losses[0]))
        if losses and metrics and max(metrics, key=lambda look: look[1])[0] == len(losses):
            found.append(warning("best_at_last_epoch", epochs=len(losses)))
    return found


def check_beats_popularity(evaluation: Evaluation, baseline: Evaluation, metric: str) -> list[Finding]:
    """A finding where a model is not better than popularity beyond noise."""
    difference = compare(evaluation, baseline, metric)
    if difference.low > 0:
        return []
    gap = {"mean": difference.mean, "low": difference.low, "high": difference.high}
    return [warning("popularity_not_beaten", metric=metric, **gap)]


def _seen(lists: TopK, ask: Histories) -> bool:
    width = len(ask.items)
    taken = np.repeat(np.arange(len(ask)), np.diff(ask.offsets)) * width + ask.item
    there = lists.item >= 0
    given = np.nonzero(there)[0] * width + lists.item[there]
    return bool(np.isin(given, taken).any())


def _max_identical_share(lists: TopK) -> float:
    """The share of lists that are the most frequent set of items."""
    _, count = np.unique(np.sort(lists.item, axis=1), axis=0, return_counts=True)
    return float(count.max()) / len(lists)


def _is_sorted(lists: TopK) -> bool:
    falling = bool((lists.score[:, 1:] <= lists.score[:, :-1]).all())
    ordered = np.sort(lists.item, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    return falling and not bool(twice.any())
