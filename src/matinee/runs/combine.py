"""From runs to an ensemble: a run like any other, on the leaderboard, refittable, submittable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.pool import CandidatePool
from matinee.contract import FitContext
from matinee.ensemble.analysis.members import analyze_members
from matinee.ensemble.analysis.robustness import HistoryStats, robustness
from matinee.ensemble.analysis.winners import member_wins
from matinee.ensemble.ensemble_spec import EnsembleSpec
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.search import Objective, SearchResult, UserContext, search
from matinee.errors import RunError, UnknownNameError
from matinee.metrics import compare
from matinee.runs import guards
from matinee.runs.draft import Draft, evaluate_lists, pad_lists, write_run
from matinee.runs.finding import Finding, warning
from matinee.runs.folder import Run
from matinee.runs.keys import list_rules
from matinee.runs.log import LogObserver
from matinee.runs.prepared import PreparedExperiment, RunOptions
from matinee.runs.producers.ensemble import EnsembleMember, EnsembleProducer
from matinee.runs.record import EnsembleReport, Gain, Keys
from matinee.runs.store import PARTIAL, donors, obtain
from matinee.threads import limit_threads
from matinee.topk import TopK

ANALYSIS_USERS = 5_000
"""Users of the analysis at most: leaving each member out costs one fusion a member."""

KIND = "ensemble"
"""The kind of such runs."""


def combine(prepared: PreparedExperiment, runs: Sequence[Run], spec: EnsembleSpec, options: RunOptions) -> Run:
    """The run of a combination of finished runs, searched unless it exists."""
    job = EnsembleJob(prepared, chosen_members(runs, spec), spec, options)
    return obtain(options.root / job.name, job.work, options.observer, job.compute)


@dataclass(frozen=True, eq=False)
class EnsembleJob:
    """A combination of runs, from their lists to its run folder."""

    prepared: PreparedExperiment
    members: dict[str, Run]
    spec: EnsembleSpec
    options: RunOptions

    @cached_property
    def keys(self) -> Keys:
        """The cache keys; of the members only their lists count."""
        task = self.prepared.experiment.task
        origin = {
            "spec": {name: value for name, value in self.spec.to_dict().items() if name != "members"},
            "members": [run.record.keys.lists for run in self.members.values()],
            "objective": {"metric": task.metric, "profile": task.profile, "k": task.k, **list_rules(task)},
            "seed": self.prepared.experiment.seed,
        }
        return self.prepared.keys(origin)

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return f"{KIND}-{self.keys.metrics[:10]}"

    @property
    def work(self) -> Path:
        """The folder of the computation."""
        return self.options.root / PARTIAL / f"{KIND}-{self.keys.fit[:10]}"

    def compute(self) -> Run:
        """The run; the search of a run that reports other metrics is not repeated."""
        return write_run(self.prepared, self._draft_of_donor() or self._search(), self.work, self.options)

    def _draft_of_donor(self) -> Draft | None:
        """Lists and report of a run of the same search that reports other metrics."""
        for run in donors(self.options.root, KIND, self.keys):
            report = run.record.ensemble
            if report is not None:
                self.options.observer.message(f"{self.name}: {run.name} is the same search, which is not repeated")
                lists, seconds = member_lists(run, self.prepared), run.record.seconds
                findings = self._findings(lists, report)
                lists = pad_lists(lists, self.prepared.experiment.task.k)
                seed = run.record.seed
                return Draft(lists, run.producer, seed, self.keys, findings, seconds.fit, seconds.lists, report)
        return None

    def _search(self) -> Draft:
        """Lists and report of a search."""
        seed, started = self.prepared.experiment.seed, time.perf_counter()
        log = LogObserver(self.options.observer, self.work, self.name)
        ctx = FitContext(seed=seed, observer=log, threads=self.options.threads)
        with limit_threads(self.options.threads):
            analysis = EnsembleAnalysis.of(self.prepared, self.members, self.spec, ctx)
        seconds = time.perf_counter() - started
        log.event("search", None, {"seconds": round(seconds, 4)})
        report, result = analysis.report(), analysis.result
        members = tuple(
            EnsembleMember(label=label, run=run.name, producer=run.producer, seed=run.record.seed)
            for label, run in self.members.items()
        )
        producer = EnsembleProducer(spec=self.spec, recipe=result.recipe, runs=members)
        findings = self._findings(result.lists, report)
        return Draft(result.lists, producer, seed, self.keys, findings, fit_seconds=seconds, ensemble=report)

    def _findings(self, lists: TopK, report: EnsembleReport) -> list[Finding]:
        task, queries = self.prepared.experiment.task, self.prepared.split.query
        return guards.check_lists(task, lists, queries) + check_gain(report)


def chosen_members(runs: Sequence[Run], spec: EnsembleSpec) -> dict[str, Run]:
    """The runs an ensemble may combine, by label.

    The label is the kind, or the run's name if several runs are of that kind.
    """
    single = [run for run in runs if not run.producer.members]
    kinds = [run.kind for run in single]
    labelled = {(run.kind if kinds.count(run.kind) == 1 else run.name): run for run in single}
    if not spec.members:
        return labelled
    chosen: dict[str, Run] = {}
    for name in spec.members:
        fitting = {label: run for label, run in labelled.items() if name in (label, run.name, run.kind)}
        if not fitting:
            raise UnknownNameError("member", name, [*labelled, *(run.name for run in single)], "ensemble")
        chosen |= fitting
    return chosen


def member_lists(run: Run, prepared: PreparedExperiment) -> TopK:
    """A run's lists in the rows of the split."""
    targets = prepared.split.target
    if run.split != prepared.split.fingerprint:
        raise RunError(run.folder, "its lists are of another split", "Run its model on this split.")
    return run.lists(targets.users, targets.items)


@dataclass(frozen=True, eq=False)
class EnsembleAnalysis:
    """The result of a search, and its analysis."""

    prepared: PreparedExperiment
    members: dict[str, TopK]
    user_context: UserContext
    result: SearchResult

    @staticmethod
    def of(prepared: PreparedExperiment, runs: dict[str, Run], spec: EnsembleSpec, ctx: FitContext) -> EnsembleAnalysis:
        """Read the members' lists and search."""
        split, task = prepared.split, prepared.experiment.task
        members = {label: member_lists(run, prepared) for label, run in runs.items()}
        queries = replace(split.query, user=split.target.user)
        users = UserContext(queries, split.train.popularity, real_time=split.train.time_kind == "seconds")
        objective = Objective(task.metric, task.profile, task.k)
        result = search(members, split.target, spec, objective, users, ctx)
        return EnsembleAnalysis(prepared, members, users, result)

    def report(self) -> EnsembleReport:
        """The report in the run's record."""
        result, task = self.result, self.prepared.experiment.task
        combined = evaluate_lists(result.lists, self.prepared).value
        best = evaluate_lists(self.members[result.best].first(task.k), self.prepared).value
        gain = compare(combined, best, task.metric)
        history = HistoryStats.of(self.user_context.query, real_time=self.user_context.real_time)
        objective = self.sample_objective()
        weights, popularity = self.weights(), self.user_context.popularity
        return EnsembleReport(
            recipe=result.recipe,
            folds=result.folds,
            best=result.best,
            single_model=dict(result.single_model),
            in_sample=result.in_sample,
            out_of_fold=result.out_of_fold,
            optimism=result.optimism,
            gain=Gain(mean=gain.mean, low=gain.low, high=gain.high, p=gain.p, significant=gain.significant),
            portrait=analyze_members(objective, result.recipe.rule, weights, popularity, task.k),
            winners=tuple(member_wins(objective, self.user_context.features(objective.pool))),
            robustness=robustness(combined, best, task.metric, history),
        )

    @cached_property
    def pool(self) -> CandidatePool:
        """The candidates of the recipe."""
        return CandidatePool.of(self.members, self.result.recipe.depth)

    def weights(self) -> NDArray[np.float64]:
        """The weights of the recipe: (M,), or (m, M) with a gate."""
        recipe = self.result.recipe
        return (
            np.array(recipe.weight)
            if recipe.gate is None
            else recipe.gate.weights(self.user_context.features(self.pool))
        )

    def sample_objective(self) -> FusionObjective:
        """The task's metric over a random sample of at most `ANALYSIS_USERS` users."""
        task, pool = self.prepared.experiment.task, self.pool
        objective = FusionObjective(pool, self.prepared.split.target, task.metric, task.profile)
        if len(pool) > ANALYSIS_USERS:
            sample = np.random.default_rng(self.prepared.experiment.seed).permutation(len(pool)) < ANALYSIS_USERS
            objective = objective.restrict(sample)
        return objective


def check_gain(report: EnsembleReport) -> list[Finding]:
    """A finding if the combination is not significantly better than its best member."""
    gain = report.gain
    if gain.significant and gain.mean > 0:
        return []
    return [warning("no_gain", best=report.best, mean=gain.mean, low=gain.low, high=gain.high)]
