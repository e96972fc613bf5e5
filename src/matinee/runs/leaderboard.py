"""The leaderboard: runs of one split ranked by one metric, with intervals and the significance of each gap."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from matinee.errors import RunError
from matinee.metrics import Difference, compare_all, parse
from matinee.runs.finding import Finding
from matinee.runs.folder import Run
from matinee.runs.guards import check_beats_popularity
from matinee.runs.record import MetricSummary
from matinee.runs.text import warnings

BASELINE = "popularity"
"""The kind of the run that every other run should beat."""


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Runs of one split and one set of rules, best first."""

    runs: tuple[Run, ...]
    metric: str
    differences: dict[str, Difference]
    """The difference of each run to the best, by its name; p-values are Holm-adjusted over the leaderboard."""

    beats_popularity: dict[str, list[Finding]]
    """The findings of the comparison with popularity, by the name of the run; see `check_beats_popularity`."""

    def rows(self) -> list[dict[str, Any]]:
        """One plain object a run: name, params, seconds, and every metric's interval."""
        return [self._row(run) for run in self.runs]

    def findings(self, run: Run) -> list[Finding]:
        """The findings in the run's record, then those of the comparison with popularity."""
        return [*run.record.findings, *self.beats_popularity.get(run.name, [])]

    def _row(self, run: Run) -> dict[str, Any]:
        gap = self.differences.get(run.name)
        return {
            "run": run.name,
            "kind": run.kind,
            "params": run.params,
            "split": run.split,
            "fit_seconds": run.record.seconds.fit,
            "score_seconds": run.record.seconds.lists,
            **{name: _numbers(one) for name, one in run.record.metrics.items()},
            "behind": None
            if gap is None
            else {"mean": -gap.mean, "low": -gap.high, "high": -gap.low, "p": gap.p_adjusted},
            "significant": None if gap is None else gap.significant,
            "warnings": warnings(self.findings(run)),
        }

    def frame(self) -> pl.DataFrame:
        """One row a run, three columns a metric: `recall@10`, `recall@10 low`, `recall@10 high`."""
        rows: list[dict[str, Any]] = []
        for run, row in zip(self.runs, self.rows(), strict=True):
            flat = {name: row[name] for name in ("run", "kind", "split", "fit_seconds", "score_seconds")}
            flat["params"] = ", ".join(f"{name}={value}" for name, value in non_default_params(run).items())
            for name, one in run.record.metrics.items():
                flat |= {name: one.mean, f"{name} low": one.low, f"{name} high": one.high}
            rows.append(flat)
        return pl.DataFrame(rows)


def leaderboard(runs: Sequence[Run], metric: str | None = None) -> Leaderboard:
    """The ranking of runs by a metric; None means that of their task.

    Raises `RunError` for runs of different splits or rules, and if a run lacks the metric.
    """
    if not runs:
        raise RunError("leaderboard", "there are no finished runs", "Run an experiment first: matinee run FILE.")
    _check_comparable(runs)
    metric = str(parse(metric or runs[0].record.task.metric))
    lacking = [run.name for run in runs if metric not in run.record.metrics]
    if lacking:
        known = sorted(set.intersection(*(set(run.record.metrics) for run in runs)))
        found = f"{', '.join(lacking[:3])} did not compute {metric}"
        todo = f"All runs have {', '.join(known) or 'no metric in common'}; `matinee run` computes metrics of"
        raise RunError("leaderboard", found, f"{todo} task.extra_metrics without another fit.")
    ranked = sorted(runs, key=lambda run: (-_mean(run, metric), run.name))
    if runs[0].record.metrics[metric].low is None:
        return Leaderboard(tuple(ranked), metric, {}, {})
    evaluations = {run.name: run.evaluation for run in ranked}
    differences = {gap.a: gap for gap in compare_all(evaluations, metric, to=ranked[0].name)}
    return Leaderboard(tuple(ranked), metric, differences, _check_all_beat_popularity(ranked, metric))


def _check_all_beat_popularity(runs: Sequence[Run], metric: str) -> dict[str, list[Finding]]:
    """The findings of every run but the baseline, which is popularity with default hyperparameters; empty without."""
    baseline = next((run for run in runs if run.kind == BASELINE and not non_default_params(run)), None)
    if baseline is None:
        return {}
    return {
        run.name: check_beats_popularity(run.evaluation, baseline.evaluation, metric)
        for run in runs
        if run is not baseline
    }


def _check_comparable(runs: Sequence[Run]) -> None:
    """Raise `RunError` for runs of different splits or rules."""
    rules = Counter((run.split, _task_rules(run)) for run in runs)
    if len(rules) == 1:
        return
    splits = Counter(run.split for run in runs)
    if len(splits) > 1:
        listed = ", ".join(f"{split[:10]} ({n} runs, {_protocol(runs, split)})" for split, n in splits.items())
        found = f"these runs are of {len(splits)} different splits: {listed}"
        raise RunError("leaderboard", found, "Choose one with --split and the first letters of its fingerprint.")
    found = f"these runs follow {len(rules)} different rules (k, seen items, availability, metric profile)"
    raise RunError("leaderboard", found, "Name the runs to compare.")


def _task_rules(run: Run) -> str:
    task = run.record.task
    return str((task.k, task.seen, task.available, task.recent_days, task.profile))


def _protocol(runs: Sequence[Run], split: str) -> str:
    return next(run.record.split.protocol.kind for run in runs if run.split == split)


def _mean(run: Run, metric: str) -> float:
    """The mean to rank by; a run without one is last."""
    mean = run.record.metrics[metric].mean
    return -math.inf if mean is None else mean


def _numbers(metric: MetricSummary) -> dict[str, Any]:
    """Mean, low and high, and those of each part if there are several."""
    return metric.model_dump(exclude=None if metric.parts else {"parts"})


def non_default_params(run: Run) -> dict[str, Any]:
    """The hyperparameters that differ from their default; of an ensemble, its options."""
    return run.producer.non_default_options
