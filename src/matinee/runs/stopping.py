"""What a split's stop fold decides of a model, such as for how many epochs it learns."""

from __future__ import annotations

from dataclasses import replace

from matinee.contract import Context, Fitted, Mask, ModelSpec, Task
from matinee.metrics import evaluate, parse
from matinee.split import Split
from matinee.topk import recommend


def mask_of(task: Task, split: Split) -> Mask:
    """The task's rules for the people the split asks about."""
    return Mask(seen=task.seen == "exclude", available=task.allowed(split.learn), candidates=split.candidates)


def settle(spec: ModelSpec, split: Split, task: Task = Task(), ctx: Context = Context()) -> ModelSpec:
    """`spec` with what validation decides frozen in, ready to be fitted on `split.learn` or on everything.

    It is fitted once, on what the stop fold leaves of `split.learn`, and judged by the task's metric on what that holds
    out; the answers of `split` are not looked at. A spec that validates nothing is settled as it is. Raises
    `SplitError` where the log is too small for a stop fold.
    """
    return stopped(spec, split, task, ctx).refit_spec() if spec.uses_validation else spec


def stopped(spec: ModelSpec, split: Split, task: Task = Task(), ctx: Context = Context()) -> Fitted:
    """The model `settle` fits: on what the stop fold leaves, with the epochs that were best for what it holds out."""
    stop = split.stop()
    stop = stop.without_seen() if task.seen == "exclude" else stop
    mask, depth = mask_of(task, stop), max(metric.k for metric in parse(task.metric).metrics)

    def validate(model: Fitted) -> float:
        lists = replace(recommend(model, stop.ask, depth, mask), user=stop.answer.user)
        return evaluate(lists, stop.answer, [task.metric], task.profile, stop.learn.popularity)[task.metric]

    return spec.fit(stop.learn, replace(ctx, validate=validate))
