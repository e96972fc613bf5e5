"""From lists to a finished run folder: evaluation, record, files."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from matinee.metrics import Evaluation, evaluate
from matinee.runs import folder as run_folder
from matinee.runs.environment import current_environment
from matinee.runs.finding import Finding
from matinee.runs.folder import Run
from matinee.runs.log import LogObserver
from matinee.runs.prepared import PreparedExperiment, RunOptions
from matinee.runs.producer import Producer
from matinee.runs.record import (
    FORMAT,
    EnsembleReport,
    Interval,
    Keys,
    MetricSummary,
    RunRecord,
    Seconds,
    SplitRecord,
)
from matinee.runs.store import publish
from matinee.runs.timed import Timed
from matinee.topk import TopK


@dataclass(frozen=True, eq=False)
class Draft:
    """Lists and their origin, before they are evaluated."""

    lists: TopK
    producer: Producer
    seed: int
    keys: Keys
    findings: list[Finding]
    fit_seconds: float = 0.0
    lists_seconds: float = 0.0
    ensemble: EnsembleReport | None = None

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return f"{self.producer.label}-{self.keys.metrics[:10]}"


def write_run(
    prepared: PreparedExperiment, draft: Draft, work: Path, options: RunOptions, model: Path | None = None
) -> Run:
    """Evaluate lists and write them as a run folder, whole or not at all.

    `model` is the folder of the fitted model; None means it is not kept. Raises `RunError` if the folder cannot be
    written.
    """
    task, split = prepared.experiment.task, prepared.split
    with options.observer.progress(f"evaluating {draft.producer.label}", 1) as advance:
        evaluation = evaluate_lists(draft.lists, prepared)
        advance(1)
    log = LogObserver(options.observer, work, draft.name)
    log.event("evaluate", None, {"seconds": round(evaluation.seconds, 4)})
    meta = run_folder.evaluation_meta(evaluation.value)
    record = RunRecord(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        producer=draft.producer,
        seed=draft.seed,
        task=task,
        split=SplitRecord(fingerprint=split.fingerprint, source=split.source, protocol=split.protocol),
        log=prepared.log.summary(),
        keys=draft.keys,
        seconds=Seconds(fit=draft.fit_seconds, lists=draft.lists_seconds, evaluate=evaluation.seconds),
        metrics=metric_summary(evaluation.value),
        evaluation=meta,
        findings=tuple(draft.findings),
        ensemble=draft.ensemble,
        environment=current_environment(options.device, options.threads),
        experiment=prepared.experiment.to_dict(),
        files={},
    )
    frames = {
        run_folder.LISTS: run_folder.lists_frame(draft.lists),
        run_folder.METRICS: run_folder.metrics_frame(evaluation.value),
        run_folder.CATALOGUE: run_folder.catalogue_frame(split.train, task.available_items(split.train)),
    }
    return publish(work, options.root / draft.name, record, frames, model)


def evaluate_lists(lists: TopK, prepared: PreparedExperiment) -> Timed[Evaluation]:
    """The evaluation of lists by the metrics of the task."""
    task, started = prepared.experiment.task, time.perf_counter()
    names = list(dict.fromkeys([task.metric, *task.extra_metrics]))
    popularity = prepared.split.train.popularity
    evaluation = evaluate(lists, prepared.split.target, names, task.profile, popularity, seed=prepared.experiment.seed)
    return Timed(evaluation, time.perf_counter() - started)


def metric_summary(evaluation: Evaluation) -> dict[str, MetricSummary]:
    """Mean, low and high of every metric, and of every part if there are several."""
    rows = evaluation.frame().rows(named=True)
    intervals = {
        (row["metric"], row["part"]): Interval(mean=row["mean"], low=row["low"], high=row["high"]) for row in rows
    }
    summaries: dict[str, MetricSummary] = {}
    for (metric, part), whole in intervals.items():
        if part == "all":
            parts = {name: one for (other, name), one in intervals.items() if other == metric and name != "all"}
            summaries[metric] = MetricSummary(mean=whole.mean, low=whole.low, high=whole.high, parts=parts)
    return summaries


def pad_lists(lists: TopK, k: int) -> TopK:
    """Lists with at least k columns, as they were before their file omitted the padding."""
    wide = ((0, 0), (0, max(k - lists.k, 0)))
    item = np.pad(lists.item, wide, constant_values=-1)
    return replace(lists, item=item, score=np.pad(lists.score, wide, constant_values=-np.inf))
