"""Cache keys: what decides a fit, its lists and their numbers, so that a change repeats only the stages it concerns."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from matinee import models
from matinee.contract import ModelSpec, Task
from matinee.data import Interactions
from matinee.runs.record import FORMAT, Keys
from matinee.split import Split


def keys_of(made: Mapping[str, Any], split: Split, task: Task, log: Interactions, seed: int) -> Keys:
    """The keys of lists that are decided by `made` on a split; `seed` draws the intervals.

    The metrics that are reported decide neither the fit nor the lists.
    """
    fit = digest({"format": FORMAT, "version": version("matinee"), "split": split.fingerprint, "made": made})
    lists = digest({"fit": fit, "rules": list_rules(task), "depth": min(max(task.stored_k, task.k), log.n_items)})
    names = list(dict.fromkeys([task.metric, *task.extra_metrics]))
    metrics = digest({"lists": lists, "names": names, "profile": task.profile, "k": task.k, "seed": seed})
    return Keys(fit=fit, lists=lists, metrics=metrics)


def of_model(spec: ModelSpec, seed: int, task: Task) -> dict[str, Any]:
    """What decides a fit: hyperparameters, seed, code, and the validation metric where the model validates."""
    made = {"model": spec.to_dict(), "seed": seed, "code": code_of(type(spec))}
    if spec.uses_validation:
        made["validation"] = {"metric": task.metric, "profile": task.profile, **list_rules(task)}
    return made


def list_rules(task: Task) -> dict[str, Any]:
    """The rules that decide which items may be listed."""
    recent = {"recent_days": task.recent_days} if task.available == "recent" else {}
    return {"seen": task.seen, "available": task.available, **recent}


def code_of(cls: type[ModelSpec]) -> dict[str, str]:
    """The hash of a model's source file, and the distribution an outside package comes from.

    Files that it imports do not count, but the version of their distribution does.
    """
    try:
        source = inspect.getsourcefile(cls)
    except TypeError:
        source = None
    found = {"file": hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else cls.__qualname__}
    for entry in entry_points(group=models.__name__):
        if entry.module == cls.__module__ and entry.dist is not None:
            found["distribution"] = f"{entry.dist.name} {entry.dist.version}"
    return found


def digest(decides: Mapping[str, Any]) -> str:
    """A hash of plain values."""
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
