"""From runs to an ensemble: a run like any other, on the board, refittable, submittable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.pool import Pool
from matinee.contract import Context
from matinee.ensemble.analysis.members import portrait
from matinee.ensemble.analysis.robustness import Past, gains
from matinee.ensemble.analysis.winners import winners
from matinee.ensemble.choosers.fixed import Fixed
from matinee.ensemble.judge import Judge
from matinee.ensemble.lab import Found, Goal, People, search
from matinee.ensemble.plan import Plan
from matinee.errors import RunError, UnknownName
from matinee.metrics import compare
from matinee.runs import guards
from matinee.runs.execute import Draft, Prepared, Stage, execute, judged, obtain_and_warn, record, widened
from matinee.runs.finding import Finding, warning
from matinee.runs.folder import Run
from matinee.runs.keys import list_rules
from matinee.runs.log import note
from matinee.runs.producers.ensemble import Ensemble, Member
from matinee.runs.producers.model import Model
from matinee.runs.record import EnsembleReport, Gain, Keys
from matinee.runs.store import PARTIAL, donors
from matinee.threads import limit_threads
from matinee.topk import TopK

PORTRAYED = 5_000
"""To leave each member out takes as many fusions as there are members: more people would not make it clearer."""

KIND = "ensemble"
"""The kind such runs go by."""


def combine(prepared: Prepared, runs: Sequence[Run], plan: Plan, stage: Stage) -> Run:
    """Search a combination of finished runs of one split and record it; nothing is computed where it was before."""
    chosen = chosen_members(runs, plan)
    keys = _keys(prepared, chosen, plan)
    work = stage.root / PARTIAL / f"{KIND}-{keys.fit[:10]}"
    baseline = next((run for run in runs if run.kind == "popularity"), None)

    def compute() -> Run:
        lists, draft = _known(prepared, keys, stage) or _searched(prepared, chosen, plan, keys, stage, work)
        return record(prepared, lists, draft, work, stage, (baseline, None))

    return obtain_and_warn(f"{KIND}-{keys.metrics[:10]}", work, stage, compute)


def _keys(prepared: Prepared, chosen: dict[str, Run], plan: Plan) -> Keys:
    """The cache keys of a combination: the members count by their lists, whatever was computed of them."""
    task = prepared.experiment.task
    made = {
        "plan": {name: value for name, value in plan.written().items() if name != "members"},
        "members": [run.record.keys.lists for run in chosen.values()],
        "goal": {"metric": task.metric, "profile": task.profile, "k": task.k, **list_rules(task)},
        "seed": prepared.experiment.seed,
    }
    return prepared.keys(made)


def _known(prepared: Prepared, keys: Keys, stage: Stage) -> tuple[TopK, Draft] | None:
    """Lists and report of a run of the same search that reports other metrics."""
    for run in donors(stage.root, KIND, keys):
        stage.say(f"{KIND}-{keys.metrics[:10]}: {run.name} is the same search, which is not repeated")
        lists, seconds = lists_of(run, prepared), run.record.seconds
        report = run.record.ensemble
        if report is not None:
            task = prepared.experiment.task
            findings = guards.check(task, lists, prepared.split.ask) + no_gain(report)
            draft = Draft(run.producer, run.record.seed, keys, (seconds.fit, seconds.lists), findings, report)
            return widened(lists, task.k), draft
    return None


def _searched(
    prepared: Prepared, chosen: dict[str, Run], plan: Plan, keys: Keys, stage: Stage, work: Path
) -> tuple[TopK, Draft]:
    """Lists and report of a search."""
    seed, started = prepared.experiment.seed, time.perf_counter()
    ctx = Context(seed=seed, progress=stage.progress, threads=stage.threads)
    with limit_threads(stage.threads):
        story = Story.of(prepared, chosen, plan, ctx)
    found = story.found
    seconds = time.perf_counter() - started
    note(work, "search", seconds=round(seconds, 4))
    report = story.report()
    members = tuple(
        Member(label=label, run=run.name, producer=run.producer, seed=run.record.seed) for label, run in chosen.items()
    )
    producer = Ensemble(plan=plan, recipe=found.recipe, runs=members)
    findings = guards.check(prepared.experiment.task, found.lists, prepared.split.ask) + no_gain(report)
    return found.lists, Draft(producer, seed, keys, (seconds, 0.0), findings, report)


def execute_all(prepared: Prepared, stage: Stage) -> list[Run]:
    """Every fit of the experiment, the seed ensembles of models with several seeds, and the ensemble it asks for."""
    runs = execute(prepared, stage)
    made: list[Run] = []
    experiment = prepared.experiment
    for spec, n in zip(experiment.model, experiment.counts, strict=True):
        if n > 1:
            names = tuple(run.name for run in runs if isinstance(run.producer, Model) and run.producer.spec == spec)
            depth = min(experiment.task.depth, prepared.log.n_items)
            made.append(combine(prepared, runs, Plan(chooser=Fixed(), members=names, depths=(depth,)), stage))
    if experiment.ensemble is not None:
        made.append(combine(prepared, runs, experiment.ensemble, stage))
    return runs + made


def chosen_members(runs: Sequence[Run], plan: Plan) -> dict[str, Run]:
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
            raise UnknownName("member", wanted, [*named, *(run.name for run in single)], "ensemble")
        found |= fitting
    return found


def lists_of(run: Run, prepared: Prepared) -> TopK:
    """A run's lists in the rows of the split."""
    answer = prepared.split.answer
    if run.split != prepared.split.fingerprint:
        raise RunError(run.folder, "its lists are of another split", "Run its model on this split.")
    return run.lists(answer.users, answer.items)


@dataclass(frozen=True, eq=False)
class Story:
    """A search and what there is to say about it."""

    prepared: Prepared
    plan: Plan
    members: dict[str, TopK]
    people: People
    found: Found

    @staticmethod
    def of(prepared: Prepared, chosen: dict[str, Run], plan: Plan, ctx: Context) -> Story:
        """Read the members' lists and search."""
        split, task = prepared.split, prepared.experiment.task
        members = {label: lists_of(run, prepared) for label, run in chosen.items()}
        ask = replace(split.ask, user=split.answer.user)
        people = People(ask, split.learn.popularity, clocked=split.learn.clock == "seconds")
        goal = Goal(task.metric, task.profile, task.k)
        return Story(prepared, plan, members, people, search(members, split.answer, plan, goal, people, ctx))

    def report(self) -> EnsembleReport:
        """What the run's record says of the search."""
        found, task = self.found, self.prepared.experiment.task
        ours, _ = judged(found.lists, self.prepared)
        theirs, _ = judged(self.members[found.best].first(task.k), self.prepared)
        gap = compare(ours, theirs, task.metric)
        past = Past.of(self.people.ask, real_time=self.people.clocked)
        judge, weights = self.jury()
        return EnsembleReport(
            recipe=found.recipe,
            folds=found.folds,
            best=found.best,
            single_model=dict(found.alone),
            in_sample=found.apparent,
            out_of_fold=found.honest,
            optimism=found.selection,
            gain=Gain(mean=gap.mean, low=gap.low, high=gap.high, p=gap.p, significant=gap.significant),
            portrait=portrait(judge, found.recipe.rule, weights, self.people.popularity, task.k),
            winners=tuple(winners(judge, self.people.traits(judge.pool))),
            robustness=gains(ours, theirs, task.metric, past),
        )

    def jury(self) -> tuple[Judge, NDArray[np.float64]]:
        """At most `PORTRAYED` of the people, drawn, and the weights of the recipe that is delivered."""
        recipe, task = self.found.recipe, self.prepared.experiment.task
        pool = Pool.of(self.members, recipe.depth)
        weights = np.array(recipe.weight) if recipe.gate is None else recipe.gate.weights(self.people.traits(pool))
        judge = Judge(pool, self.prepared.split.answer, task.metric, task.profile)
        if len(pool) > PORTRAYED:
            drawn = np.random.default_rng(self.prepared.experiment.seed).permutation(len(pool)) < PORTRAYED
            judge = judge.among(drawn)
        return judge, weights


def no_gain(report: EnsembleReport) -> list[Finding]:
    """A finding where the combination is not better than its best member significantly."""
    gain = report.gain
    if gain.significant and gain.mean > 0:
        return []
    return [warning("no_gain", best=report.best, mean=gain.mean, low=gain.low, high=gain.high)]
