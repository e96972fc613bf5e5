"""Cache keys: hashes of the inputs of a fit, its lists and its metrics; a change repeats the stages it concerns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from matinee import models
from matinee.contract import ModelSpec, Task
from matinee.data import Interactions
from matinee.runs.record import FORMAT, Keys
from matinee.split import Split


def keys_of(origin: Mapping[str, Any], split: Split, task: Task, log: Interactions, seed: int) -> Keys:
    """The keys of lists on a split; `origin` determines them, `seed` draws the bootstrap intervals.

    Reported metrics enter neither the key of the fit nor that of the lists.
    """
    fit = digest({"format": FORMAT, "version": version("matinee"), "split": split.fingerprint, "origin": origin})
    lists = digest({"fit": fit, "rules": list_rules(task), "depth": min(max(task.stored_k, task.k), log.n_items)})
    names = list(dict.fromkeys([task.metric, *task.extra_metrics]))
    metrics = digest({"lists": lists, "names": names, "profile": task.profile, "k": task.k, "seed": seed})
    return Keys(fit=fit, lists=lists, metrics=metrics)


def of_model(spec: ModelSpec, seed: int, task: Task) -> dict[str, Any]:
    """The inputs of a fit: hyperparameters, seed, code, validation metric."""
    origin = {"model": spec.to_dict(), "seed": seed, "code": code_of(spec)}
    if spec.uses_validation:
        origin["validation"] = {"metric": task.metric, "profile": task.profile, **list_rules(task)}
    return origin


def list_rules(task: Task) -> dict[str, Any]:
    """The rules that determine which items may be listed."""
    recent = {"recent_days": task.recent_days} if task.available == "recent" else {}
    return {"seen": task.seen, "available": task.available, **recent}


def code_of(spec: ModelSpec) -> dict[str, str]:
    """The hash of a model's source file and its distribution's version.

    Of the files that it imports, only the version of their distribution counts.
    """
    return asdict(models.CATALOGUE.source(spec.kind))


def digest(values: Mapping[str, Any]) -> str:
    """A hash of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
