"""From runs to an ensemble: a run like any other, on the board, refittable, submittable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
from matinee.runs.execute import PARTIAL, Made, Prepared, Stage, execute, finished, judged, key, note, record
from matinee.runs.folder import Run
from matinee.threads import limit_threads
from matinee.topk import TopK

PORTRAYED = 5_000
"""To leave each member out takes as many fusions as there are members: more people would not make it clearer."""

KIND = "ensemble"
"""The kind such runs go by."""


def is_ensemble(run: Run) -> bool:
    """Whether a run was made from other runs' lists."""
    return run.kind == KIND


def combine(prepared: Prepared, runs: Sequence[Run], plan: Plan, stage: Stage) -> Run:
    """Search a combination of finished runs of one split and record it; nothing is computed where it was before."""
    chosen = chosen_members(runs, plan)
    seed = prepared.experiment.seed
    model = {"kind": KIND, **_shown(plan), "members": [run.name for run in chosen.values()]}
    name = f"{KIND}-{key(prepared, {**model, 'plan': plan.written()}, seed)[:10]}"
    done = finished(name, stage)
    if done is not None:
        return done
    work = stage.root / PARTIAL / name
    work.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with limit_threads(stage.threads):
        story = Story.of(prepared, chosen, plan, Context(seed=seed, progress=stage.progress, threads=stage.threads))
    found = story.found
    seconds = time.perf_counter() - started
    note(work, "search", seconds=round(seconds, 4))
    said = story.said()
    refit = {"kind": KIND, "recipe": found.recipe.written()}
    refit["members"] = {label: chosen[label].said["refit"] for label in found.recipe.needed}
    refit["seeds"] = {label: chosen[label].said["seed"] for label in found.recipe.needed}
    wrong = guards.check(prepared.experiment.task, found.lists, prepared.split.ask)
    made = Made(model, refit, seed, seconds, 0.0, wrong + warnings(said), {"ensemble": said})
    baseline = next((run for run in runs if run.kind == "popularity"), None)
    return record(prepared, found.lists, made, work, stage, baseline)


def execute_all(prepared: Prepared, stage: Stage) -> list[Run]:
    """Every fit of the experiment, the seed ensembles of models with several seeds, and the ensemble it asks for."""
    runs = execute(prepared, stage)
    made: list[Run] = []
    experiment = prepared.experiment
    for spec, n in zip(experiment.model, experiment.counts, strict=True):
        if n > 1:
            names = tuple(run.name for run in runs if run.said["model"] == spec.written())
            depth = min(experiment.task.depth, prepared.log.n_items)
            made.append(combine(prepared, runs, Plan(chooser=Fixed(), members=names, depths=(depth,)), stage))
    if experiment.ensemble is not None:
        made.append(combine(prepared, runs, experiment.ensemble, stage))
    for run in made:
        for warning in run.said["warnings"]:
            stage.say(f"{run.name}: warning: {warning}")
    return runs + made


def chosen_members(runs: Sequence[Run], plan: Plan) -> dict[str, Run]:
    """The runs a plan may combine by the names it uses: the kind, or the run's name where a kind stands for several."""
    single = [run for run in runs if not is_ensemble(run)]
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

    def said(self) -> dict[str, Any]:
        """Ready for JSON."""
        found, task = self.found, self.prepared.experiment.task
        ours, _ = judged(found.lists, self.prepared)
        theirs, _ = judged(self.members[found.best].first(task.k), self.prepared)
        gap = compare(ours, theirs, task.metric)
        past = Past.of(self.people.ask, real_time=self.people.clocked)
        judge, weights = self.jury()
        members = portrait(judge, found.recipe.rule, weights, self.people.popularity, task.k)
        won = winners(judge, self.people.traits(judge.pool))
        robust = gains(ours, theirs, task.metric, past)
        return {
            "chooser": self.plan.chooser.written(),
            "recipe": found.recipe.written(),
            "folds": [recipe.written() for recipe in found.folds],
            "alone": dict(found.alone),
            "best": found.best,
            "apparent": found.apparent,
            "honest": found.honest,
            "selection": found.selection,
            "gain": {"mean": gap.mean, "low": gap.low, "high": gap.high, "p": gap.p, "significant": gap.significant},
            "robust": robust.said(),
            "portrait": members.said(),
            "winners": [one.said() for one in won],
            "text": [*members.text(), "", *(one.text() for one in won), "", *robust.text()],
        }

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


def warnings(said: dict[str, Any]) -> list[str]:
    """What a reader of the board should know before believing in it."""
    gain = said["gain"]
    if not gain["significant"] or gain["mean"] <= 0:
        best = said["best"]
        return [f"no gain over its best member {best} beyond noise ({shown(gain)}): deliver {best} instead"]
    return []


def shown(gain: dict[str, Any]) -> str:
    """A difference with its interval."""
    return f"{gain['mean']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]"


def _shown(plan: Plan) -> dict[str, Any]:
    """The knobs of a plan that a board shows."""
    said: dict[str, Any] = {"chooser": plan.chooser.kind, "rule": ", ".join(rule.kind for rule in plan.rules)}
    return said if plan.gate is None else {**said, "gate": plan.gate.kind}


def lines(run: Run) -> list[str]:
    """The story of an ensemble run, a line at a time; empty for other runs."""
    said = run.said.get("ensemble")
    if said is None:
        return []
    recipe, gain, metric = said["recipe"], said["gain"], run.said["task"]["metric"]
    shares = sorted(zip(recipe["weight"], recipe["members"], strict=True), reverse=True)
    mix = ", ".join(f"{name} {w:.2f}" for w, name in shares if w > 0)
    verdict = "not significant" if not gain["significant"] else ("better" if gain["mean"] > 0 else "worse")
    return [
        f"{run.name}: {recipe['rule']['kind']} over the first {recipe['depth']} of {mix}",
        f"  {metric} {said['honest']:.4f} for people the weights were not found on; "
        f"{said['apparent']:.4f} for those they were: {said['selection']:+.4f} is selection",
        f"  over {said['best']}, the best member: {shown(gain)}, {verdict}",
        *(f"  {line}" for line in ["", *said["text"]]),
    ]
