"""From runs to an ensemble: a run like any other, on the board, refittable, submittable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from matinee.ensemble.weight_searches.fixed import Fixed
from matinee.errors import RunError, UnknownNameError
from matinee.metrics import compare
from matinee.runs import guards
from matinee.runs.execute import (
    Draft,
    PreparedExperiment,
    RunOptions,
    evaluate_lists,
    execute,
    obtain_and_warn,
    padded_lists,
    write_run,
)
from matinee.runs.finding import Finding, warning
from matinee.runs.folder import Run
from matinee.runs.keys import list_rules
from matinee.runs.log import append_log
from matinee.runs.producers.ensemble import EnsembleMember, EnsembleProducer
from matinee.runs.producers.model import ModelProducer
from matinee.runs.record import EnsembleReport, Gain, Keys
from matinee.runs.store import PARTIAL, donors
from matinee.threads import limit_threads
from matinee.topk import TopK

ANALYSIS_USERS = 5_000
"""To leave each member out takes as many fusions as there are members: more people would not make it clearer."""

KIND = "ensemble"
"""The kind such runs go by."""


def combine(prepared: PreparedExperiment, runs: Sequence[Run], plan: EnsembleSpec, stage: RunOptions) -> Run:
    """Search a combination of finished runs of one split and record it; nothing is computed where it was before."""
    chosen = chosen_members(runs, plan)
    keys = _keys(prepared, chosen, plan)
    work = stage.root / PARTIAL / f"{KIND}-{keys.fit[:10]}"
    baseline = next((run for run in runs if run.kind == "popularity"), None)

    def compute() -> Run:
        lists, draft = _known(prepared, keys, stage) or _searched(prepared, chosen, plan, keys, stage, work)
        return write_run(prepared, lists, draft, work, stage, (baseline, None))

    return obtain_and_warn(f"{KIND}-{keys.metrics[:10]}", work, stage, compute)


def _keys(prepared: PreparedExperiment, chosen: dict[str, Run], plan: EnsembleSpec) -> Keys:
    """The cache keys of a combination: the members count by their lists, whatever was computed of them."""
    task = prepared.experiment.task
    made = {
        "plan": {name: value for name, value in plan.to_dict().items() if name != "members"},
        "members": [run.record.keys.lists for run in chosen.values()],
        "goal": {"metric": task.metric, "profile": task.profile, "k": task.k, **list_rules(task)},
        "seed": prepared.experiment.seed,
    }
    return prepared.keys(made)


def _known(prepared: PreparedExperiment, keys: Keys, stage: RunOptions) -> tuple[TopK, Draft] | None:
    """Lists and report of a run of the same search that reports other metrics."""
    for run in donors(stage.root, KIND, keys):
        stage.say(f"{KIND}-{keys.metrics[:10]}: {run.name} is the same search, which is not repeated")
        lists, seconds = member_lists(run, prepared), run.record.seconds
        report = run.record.ensemble
        if report is not None:
            task = prepared.experiment.task
            findings = guards.check_lists(task, lists, prepared.split.query) + no_gain(report)
            draft = Draft(run.producer, run.record.seed, keys, (seconds.fit, seconds.lists), findings, report)
            return padded_lists(lists, task.k), draft
    return None


def _searched(
    prepared: PreparedExperiment, chosen: dict[str, Run], plan: EnsembleSpec, keys: Keys, stage: RunOptions, work: Path
) -> tuple[TopK, Draft]:
    """Lists and report of a search."""
    seed, started = prepared.experiment.seed, time.perf_counter()
    ctx = FitContext(seed=seed, progress=stage.progress, threads=stage.threads)
    with limit_threads(stage.threads):
        story = EnsembleAnalysis.of(prepared, chosen, plan, ctx)
    found = story.result
    seconds = time.perf_counter() - started
    append_log(work, "search", seconds=round(seconds, 4))
    report = story.report()
    members = tuple(
        EnsembleMember(label=label, run=run.name, producer=run.producer, seed=run.record.seed)
        for label, run in chosen.items()
    )
    producer = EnsembleProducer(spec=plan, recipe=found.recipe, runs=members)
    findings = guards.check_lists(prepared.experiment.task, found.lists, prepared.split.query) + no_gain(report)
    return found.lists, Draft(producer, seed, keys, (seconds, 0.0), findings, report)


def execute_all(prepared: PreparedExperiment, stage: RunOptions) -> list[Run]:
    """Every fit of the experiment, the seed ensembles of models with several seeds, and the ensemble it asks for."""
    runs = execute(prepared, stage)
    made: list[Run] = []
    experiment = prepared.experiment
    for spec, n in zip(experiment.model, experiment.seed_counts, strict=True):
        if n > 1:
            names = tuple(
                run.name for run in runs if isinstance(run.producer, ModelProducer) and run.producer.spec == spec
            )
            depth = min(experiment.task.stored_k, prepared.log.n_items)
            made.append(combine(prepared, runs, EnsembleSpec(chooser=Fixed(), members=names, depths=(depth,)), stage))
    if experiment.ensemble is not None:
        made.append(combine(prepared, runs, experiment.ensemble, stage))
    return runs + made


def chosen_members(runs: Sequence[Run], plan: EnsembleSpec) -> dict[str, Run]:
    """The runs a plan may combine by the names it uses: the kind, or the run's name where a kind stands for several."""
    single = [run for run in runs if not run.producer.members]
    kinds = [run.kind for run in single]
    named = {(run.kind if kinds.count(run.kind) == 1 else run.name): run for run in single}
    if not plan.members:
        return named
    found: dict[str, Run] = {}
    for wanted in plan.members:
        fitting = {label: run for label, run in named.items() if wanted in (label, run.name, run.kind)}
        if not fitting:
            raise UnknownNameError("member", wanted, [*named, *(run.name for run in single)], "ensemble")
        found |= fitting
    return found


def member_lists(run: Run, prepared: PreparedExperiment) -> TopK:
    """A run's lists in the rows of the split."""
    answer = prepared.split.target
    if run.split != prepared.split.fingerprint:
        raise RunError(run.folder, "its lists are of another split", "Run its model on this split.")
    return run.lists(answer.users, answer.items)


@dataclass(frozen=True, eq=False)
class EnsembleAnalysis:
    """A search and what there is to say about it."""

    prepared: PreparedExperiment
    plan: EnsembleSpec
    members: dict[str, TopK]
    user_context: UserContext
    result: SearchResult

    @staticmethod
    def of(
        prepared: PreparedExperiment, chosen: dict[str, Run], plan: EnsembleSpec, ctx: FitContext
    ) -> EnsembleAnalysis:
        """Read the members' lists and search."""
        split, task = prepared.split, prepared.experiment.task
        members = {label: member_lists(run, prepared) for label, run in chosen.items()}
        ask = replace(split.query, user=split.target.user)
        people = UserContext(ask, split.train.popularity, real_time=split.train.time_kind == "seconds")
        goal = Objective(task.metric, task.profile, task.k)
        return EnsembleAnalysis(prepared, plan, members, people, search(members, split.target, plan, goal, people, ctx))

    def report(self) -> EnsembleReport:
        """What the run's record says of the search."""
        found, task = self.result, self.prepared.experiment.task
        ours, _ = evaluate_lists(found.lists, self.prepared)
        theirs, _ = evaluate_lists(self.members[found.best].first(task.k), self.prepared)
        gap = compare(ours, theirs, task.metric)
        past = HistoryStats.of(self.user_context.query, real_time=self.user_context.real_time)
        judge, weights = self.analysis_sample()
        return EnsembleReport(
            recipe=found.recipe,
            folds=found.folds,
            best=found.best,
            single_model=dict(found.single_model),
            in_sample=found.in_sample,
            out_of_fold=found.out_of_fold,
            optimism=found.optimism,
            gain=Gain(mean=gap.mean, low=gap.low, high=gap.high, p=gap.p, significant=gap.significant),
            portrait=analyze_members(judge, found.recipe.rule, weights, self.user_context.popularity, task.k),
            winners=tuple(member_wins(judge, self.user_context.features(judge.pool))),
            robustness=robustness(ours, theirs, task.metric, past),
        )

    def analysis_sample(self) -> tuple[FusionObjective, NDArray[np.float64]]:
        """At most `PORTRAYED` of the people, drawn, and the weights of the recipe that is delivered."""
        recipe, task = self.result.recipe, self.prepared.experiment.task
        pool = CandidatePool.of(self.members, recipe.depth)
        weights = (
            np.array(recipe.weight) if recipe.gate is None else recipe.gate.weights(self.user_context.features(pool))
        )
        judge = FusionObjective(pool, self.prepared.split.target, task.metric, task.profile)
        if len(pool) > ANALYSIS_USERS:
            drawn = np.random.default_rng(self.prepared.experiment.seed).permutation(len(pool)) < ANALYSIS_USERS
            judge = judge.restrict(drawn)
        return judge, weights


def no_gain(report: EnsembleReport) -> list[Finding]:
    """A finding where the combination is not better than its best member significantly."""
    gain = report.gain
    if gain.significant and gain.mean > 0:
        return []
    return [warning("no_gain", best=report.best, mean=gain.mean, low=gain.low, high=gain.high)]
