"""Validation of a spec on the validation split, which also resolves early stopping."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from matinee.contract import FitContext, FittedModel, Mask, ModelSpec, Task
from matinee.metrics import evaluate, parse
from matinee.observer import Advance, EventValue, Observer
from matinee.split import Split
from matinee.topk import recommend


@dataclass(frozen=True)
class Epoch:
    """An epoch of a training; 0 is the state before the first."""

    epoch: int
    loss: float | None
    """Mean training loss; None before the first epoch."""

    metric: float | None
    """The metric on the validation split; None where it was not evaluated."""


@dataclass(frozen=True)
class Validation:
    """The result of a fit on the validation split."""

    spec: ModelSpec
    """The resolved spec: fitting it on other data needs no validation."""

    metric: float
    """The task's metric on the targets of the validation split."""

    history: tuple[Epoch, ...]
    """The epochs of the training; empty for a model without epochs."""

    seconds: float
    """Duration of the fit and its evaluation."""


@dataclass(frozen=True, eq=False)
class ValidationMetric:
    """The task's metric of a model on the targets of a validation split."""

    split: Split
    task: Task

    def __call__(self, model: FittedModel) -> float:
        """The metric; larger is better."""
        split, metric = self.split, self.task.metric
        depth = max(one.k for one in parse(metric).metrics)
        lists = recommend(model, split.query, depth, task_mask(self.task, split))
        lists = replace(lists, user=split.target.user)
        return evaluate(lists, split.target, [metric], self.task.profile, split.train.popularity)[metric]


@dataclass(frozen=True, eq=False)
class HistoryObserver:
    """Collects the epochs of a training and passes everything on."""

    observer: Observer
    epochs: dict[int, Epoch] = field(default_factory=dict[int, Epoch])

    def progress(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """The progress of the observer behind this one."""
        return self.observer.progress(what, total)

    def message(self, text: str) -> None:
        """Passes on the line."""
        self.observer.message(text)

    def event(self, name: str, step: int | None, values: Mapping[str, EventValue]) -> None:
        """Passes on the event; collects it if it is an epoch."""
        self.observer.event(name, step, values)
        if name == "epoch" and step is not None:
            loss, metric = (float(values[key]) if key in values else None for key in ("loss", "metric"))
            self.epochs[step] = Epoch(step, loss, metric)


def task_mask(task: Task, split: Split) -> Mask:
    """The task's rules for the queries of a split."""
    return Mask(seen=task.seen == "exclude", available=task.available_items(split.train), candidates=split.candidates)


def validate(spec: ModelSpec, split: Split, task: Task = Task(), ctx: FitContext = FitContext()) -> Validation:
    """The validation of `spec`: its metric, and the spec with the number of epochs resolved.

    The model is fitted once, on the training set of `split.validation_split()`; the targets of `split` are not used.
    A spec without early stopping is returned unchanged. Raises `SplitError` if the log is too small for a validation
    split.
    """
    started = time.perf_counter()
    history = HistoryObserver(ctx.observer)
    metric = validation_metric(split, task)
    model = spec.fit(metric.split.train, replace(ctx, observer=history, validate=metric))
    value = metric(model)
    resolved = model.spec if spec.uses_validation else spec
    epochs = tuple(history.epochs[step] for step in sorted(history.epochs))
    return Validation(resolved, value, epochs, time.perf_counter() - started)


def validation_metric(split: Split, task: Task = Task()) -> ValidationMetric:
    """The metric on the validation split, without targets that lists cannot contain."""
    inner = split.validation_split()
    return ValidationMetric(inner.drop_seen_targets() if task.seen == "exclude" else inner, task)


def fit_early_stopped(
    spec: ModelSpec, split: Split, task: Task = Task(), ctx: FitContext = FitContext()
) -> FittedModel:
    """The model that `validate` fits, on the training set of the validation split."""
    metric = validation_metric(split, task)
    return spec.fit(metric.split.train, replace(ctx, validate=metric))
