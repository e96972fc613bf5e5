"""What a split's stop fold decides of a model, such as for how many epochs it learns."""

from __future__ import annotations

from dataclasses import replace

from matinee.contract import FitContext, FittedModel, Mask, ModelSpec, Task
from matinee.metrics import evaluate, parse
from matinee.split import Split
from matinee.topk import recommend


def task_mask(task: Task, split: Split) -> Mask:
    """The task's rules for the people the split asks about."""
    return Mask(seen=task.seen == "exclude", available=task.available_items(split.train), candidates=split.candidates)


def resolve_spec(spec: ModelSpec, split: Split, task: Task = Task(), ctx: FitContext = FitContext()) -> ModelSpec:
    """`spec` with what validation decides frozen in, ready to be fitted on `split.learn` or on everything.

    It is fitted once, on what the stop fold leaves of `split.learn`, and judged by the task's metric on what that holds
    out; the answers of `split` are not looked at. A spec that validates nothing is settled as it is. Raises
    `SplitError` where the log is too small for a stop fold.
    """
    return fit_early_stopped(spec, split, task, ctx).spec if spec.uses_validation else spec


def fit_early_stopped(
    spec: ModelSpec, split: Split, task: Task = Task(), ctx: FitContext = FitContext()
) -> FittedModel:
    """The model `settle` fits: on what the stop fold leaves, with the epochs that were best for what it holds out."""
    stop = split.validation_split()
    stop = stop.drop_seen_targets() if task.seen == "exclude" else stop
    mask, depth = task_mask(task, stop), max(metric.k for metric in parse(task.metric).metrics)

    def validate(model: FittedModel) -> float:
        lists = replace(recommend(model, stop.query, depth, mask), user=stop.target.user)
        return evaluate(lists, stop.target, [task.metric], task.profile, stop.train.popularity)[task.metric]

    return spec.fit(stop.train, replace(ctx, validate=validate))
