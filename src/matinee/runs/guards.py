"""Checks that run by themselves after every fit. One that fires is a warning on the board, with the next step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from matinee.contract import Task
from matinee.data import Histories
from matinee.metrics import Evaluation, compare
from matinee.topk import TopK

ALIKE = 0.5
"""Share of people who may have one and the same set of items before the guard fires."""


def check(task: Task, lists: TopK, ask: Histories, *, personal: bool = True) -> list[str]:
    """Warnings about lists alone, each with what to do next; empty when nothing is wrong.

    `personal` says that different people should get different lists.
    """
    found: list[str] = []
    if task.seen == "exclude" and _seen(lists, ask):
        found.append("lists hold items the user has seen: the mask is broken; do not submit this run")
    if personal and len(lists) > 1 and _share_alike(lists.first(min(lists.k, task.k))) > ALIKE:
        found.append("more than half of the users get the same items: the model did not learn; look at its knobs")
    if not _best_first(lists):
        found.append("lists are not best first, or hold an item twice: the model's scores are broken")
    short = int((lists.length < min(task.k, lists.k)).sum())
    if short:
        found.append(f"{short} users have fewer than {task.k} allowed items and get short lists")
    return found


def learnt(trainings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Warnings about how a network learnt: its `losses` an epoch, its `metrics` (epochs, value) on the stop fold."""
    found: list[str] = []
    for one in trainings:
        losses, metrics = one["losses"], one["metrics"]
        if len(losses) > 1 and min(losses[1:]) >= losses[0]:
            found.append(f"its loss never fell below the {losses[0]:.4g} of the first epoch: lower its learning_rate")
        if losses and metrics and max(metrics, key=lambda look: look[1])[0] == len(losses):
            found.append(f"it was best on the stop fold after the last of {len(losses)} epochs: give it more")
    return found


def beats(evaluation: Evaluation, baseline: Evaluation, metric: str) -> list[str]:
    """A warning where a model is not better than popularity beyond noise."""
    difference = compare(evaluation, baseline, metric)
    if difference.low > 0:
        return []
    gap = f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]"
    return [f"does not beat popularity on {metric} ({gap}): suspect the model or the split before the data"]


def _seen(lists: TopK, ask: Histories) -> bool:
    width = len(ask.items)
    taken = np.repeat(np.arange(len(ask)), np.diff(ask.offsets)) * width + ask.item
    there = lists.item >= 0
    given = np.nonzero(there)[0] * width + lists.item[there]
    return bool(np.isin(given, taken).any())


def _share_alike(lists: TopK) -> float:
    """The share of lists that are the most frequent set of items."""
    _, count = np.unique(np.sort(lists.item, axis=1), axis=0, return_counts=True)
    return float(count.max()) / len(lists)


def _best_first(lists: TopK) -> bool:
    falling = bool((lists.score[:, 1:] <= lists.score[:, :-1]).all())
    ordered = np.sort(lists.item, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    return falling and not bool(twice.any())
