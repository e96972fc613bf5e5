"""A prepared experiment: its log and split, and the options of its execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.errors import SpecError, UnsupportedError
from matinee.metrics import parse
from matinee.observer import SILENT, Observer
from matinee.runs.experiment import Experiment
from matinee.runs.keys import keys_of
from matinee.runs.record import Keys
from matinee.split import Split
from matinee.threads import check_threads


@dataclass(frozen=True)
class RunOptions:
    """Where and how runs are computed; no option changes their numbers."""

    root: Path
    """The folder of the run folders."""

    observer: Observer = SILENT
    """Receives the progress, the messages and the events of all runs."""

    device: str = "cpu"
    """Device of networks: "cpu", "cuda", or "cuda:1"."""

    threads: int | None = None
    """Threads of fits and of their lists; None means all cores this process may use."""

    def __post_init__(self) -> None:
        check_threads(self.threads)

    def context(self, seed: int, checkpoint_dir: Path, observer: Observer) -> FitContext:
        """The context of a fit that is resumed from `checkpoint_dir` after a kill."""
        return FitContext(
            seed=seed, device=self.device, observer=observer, threads=self.threads, checkpoint_dir=checkpoint_dir
        )


@dataclass(frozen=True, eq=False)
class PreparedExperiment:
    """An experiment with its log and its split."""

    experiment: Experiment
    log: Interactions
    split: Split

    @property
    def depth(self) -> int:
        """Number of items of a list."""
        task = self.experiment.task
        return min(max(task.stored_k, task.k), self.log.n_items)

    def keys(self, origin: Mapping[str, Any]) -> Keys:
        """The cache keys of lists that `origin` determines."""
        return keys_of(origin, self.split, self.experiment.task, self.log, self.experiment.seed)


def prepare(experiment: Experiment) -> PreparedExperiment:
    """Read the log and split it; refuse cut-offs, models and memory that would fail later."""
    log = experiment.data.read()
    task = experiment.task
    longest = max([task.k, *(m.k for name in (task.metric, *task.extra_metrics) for m in parse(name).metrics)])
    if longest > log.n_items:
        found = f"k or a metric needs lists of {longest} items"
        raise SpecError("task.k", found, f"at most the {log.n_items:,} items of the log", "Lower k or read more items.")
    for spec in experiment.model:
        FitContext(seed=experiment.seed).check_memory(spec, log)
    task.available_items(log)  # raises SpecError if the log has no times and the task needs them
    split = experiment.split.split(log)
    unknown = int((split.query.user < 0).sum())
    for spec in experiment.model:
        if spec.query_by == "user_id" and unknown:
            action = f"score {unknown:,} of {len(split.query):,} users without training interactions"
            raise UnsupportedError(spec.kind, action, "Leave them out of the test files, or use a model of histories.")
    return PreparedExperiment(experiment, log, split.drop_seen_targets() if task.seen == "exclude" else split)
