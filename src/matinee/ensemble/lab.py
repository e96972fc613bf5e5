"""The search over combinations, and its honesty: nobody's list is judged under weights that were found with them.

People are dealt into folds. For every fold the whole search, rule and depth included, runs on the others; the fold gets
lists by what was found. All those lists together are the ensemble that is judged. What is delivered later is the search
on everybody; how much higher that scores here than the honest lists is what selection alone made up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.candidates.pool import Pool
from matinee.candidates.user_features import Traits, traits
from matinee.contract import Context
from matinee.data import Answers, Histories
from matinee.ensemble.chooser import F32
from matinee.ensemble.gate import Learnt
from matinee.ensemble.judge import Judge
from matinee.ensemble.plan import Plan
from matinee.ensemble.recipe import Recipe
from matinee.ensemble.rule import F64, Points, Rule
from matinee.errors import SpecError
from matinee.topk import TopK

Mask: TypeAlias = NDArray[np.bool_]

FEWEST = 2
"""How many users a fold has at least."""


@dataclass(frozen=True, eq=False)
class People:
    """What is known of the people before the answer, for gates."""

    ask: Histories
    """Row by row those of the lists, with the same user codes."""

    popularity: NDArray[np.integer]
    """(n_items,) how many people took each item in the learn part."""

    clocked: bool
    """Whether times are seconds."""

    def traits(self, pool: Pool) -> Traits:
        """Theirs, under the members of a pool."""
        return traits(self.ask, pool, self.popularity, clocked=self.clocked)


@dataclass(frozen=True)
class Goal:
    """What the search tries to raise: a metric of the people, by a profile; and how long its lists are."""

    metric: str
    profile: str = "matinee"
    k: int = 10


@dataclass(frozen=True, eq=False)
class Found:
    """A search's end."""

    recipe: Recipe
    """Found on everybody: what is delivered."""

    folds: tuple[Recipe, ...]
    """Found without each fold."""

    fold: NDArray[np.int64]
    """Which fold a person is in, (m,)."""

    lists: TopK
    """Everybody's list by the recipe found without them."""

    apparent: float
    """The metric of `recipe` on the people it was found on."""

    honest: float
    """The metric of `lists`."""

    alone: Mapping[str, float]
    """The metric of every member by itself, under the recipe's depth."""

    @property
    def selection(self) -> float:
        """How much of the apparent value is made up by choosing on the people judged."""
        return self.apparent - self.honest

    @property
    def best(self) -> str:
        """The best single member."""
        return max(self.alone, key=lambda name: self.alone[name])


@dataclass(frozen=True, eq=False)
class Trial:
    """One rule and depth: the weights found without each fold (F + 1, M), the last with everybody, and their value."""

    rule: Rule
    depth: int
    weights: F64
    value: F64


def search(
    members: Mapping[str, TopK],
    answer: Answers,
    plan: Plan,
    goal: Goal,
    people: People | None = None,
    ctx: Context = Context(),
) -> Found:
    """Choose members, weights, rule, depth and, where the plan has a gate and `people` are given, everybody's own.

    Rows of `answer` are those of the first member's lists. Cost: (folds + 1) · rules · depths runs of the chooser.
    Raises `SpecError` for more folds than half the users.
    """
    most = len(answer) // FEWEST
    if plan.folds > most:
        found = f"folds = {plan.folds:,} for {len(answer):,} users"
        raise SpecError("ensemble", found, f"at most {most:,}, {FEWEST} users a fold", "Lower folds.")
    fold = ctx.rng(0xF01D).permutation(len(answer)) % plan.folds
    task = _Search(members, answer, plan, goal, people, fold, ctx)
    trials: list[Trial] = []
    alone: dict[int, dict[str, float]] = {}
    for depth in plan.depths:
        judge = task.judge(depth)
        trials += [task.trial(rule, depth, judge) for rule in plan.rules]
        alone[depth] = {name: judge.mean(_order(judge.pool, m)) for m, name in enumerate(judge.pool.names)}
    chosen = [max(trials, key=lambda one: one.value[f]) for f in range(plan.folds + 1)]
    lists, recipes, apparent = task.finish(chosen)
    judged = Judge(Pool.of({"ensemble": lists}), answer, goal.metric, goal.profile)
    return Found(
        recipe=recipes[-1],
        folds=tuple(recipes[:-1]),
        fold=fold,
        lists=lists,
        apparent=apparent,
        honest=judged.mean(_order(judged.pool, 0)),
        alone=alone[recipes[-1].depth],
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """What all steps of a search share."""

    members: Mapping[str, TopK]
    answer: Answers
    plan: Plan
    goal: Goal
    people: People | None
    fold: NDArray[np.int64]
    """Which fold a user is in, (m,)."""

    ctx: Context

    def judge(self, depth: int) -> Judge:
        """The judge of the members' lists at one depth."""
        return Judge(Pool.of(self.members, depth), self.answer, self.goal.metric, self.goal.profile)

    def trial(self, rule: Rule, depth: int, judge: Judge) -> Trial:
        """The weights of one rule at one depth, found without each fold and with everybody."""
        plan, M = self.plan, len(judge.pool.names)
        points = rule.points(judge.pool) if isinstance(rule, Points) else np.zeros((M, 0), dtype=np.float32)
        weights, value = np.empty((plan.folds + 1, M)), np.empty(plan.folds + 1)
        adds_up = isinstance(rule, Points) and not rule.by_votes
        for f in range(plan.folds + 1):
            some = judge.among(self.fold != f)
            weights[f] = plan.chooser.weights(some, points, self.ctx)
            value[f] = some.of(points, weights[f]) if adds_up else some.mean(rule.scores(judge.pool, weights[f]))
        return Trial(rule, depth, weights, value)

    def finish(self, chosen: list[Trial]) -> tuple[TopK, list[Recipe], float]:
        """Everybody's list by what was chosen without them, every recipe, and the metric of the last; with gates."""
        out: TopK | None = None
        recipes: list[Recipe] = [None] * len(chosen)  # pyright: ignore[reportAssignmentType]
        apparent = 0.0
        for trial in {id(one): one for one in chosen}.values():
            judge = self.judge(trial.depth)
            own = [f for f, one in enumerate(chosen) if one is trial]
            learnt = self.gates(trial, own, judge)
            for f in own:
                recipes[f] = self.recipe(trial, f, learnt.get(f))
                score = trial.rule.scores(judge.pool, self.weights(recipes[f], judge.pool))
                if f == self.plan.folds:
                    apparent = judge.mean(score)
                    continue
                lists = judge.pool.top(score, self.goal.k)
                out = lists if out is None else _over(out, lists, self.fold == f)
        if out is None:
            raise ValueError("there is always a fold")
        return out, recipes, apparent

    def recipe(self, trial: Trial, f: int, gate: Learnt | None) -> Recipe:
        """What a trial found without fold f."""
        weight = tuple(map(float, trial.weights[f]))
        return Recipe(members=tuple(self.members), weight=weight, rule=trial.rule, depth=trial.depth, gate=gate)

    def weights(self, recipe: Recipe, pool: Pool) -> F64:
        """The weights of a recipe: (M,), or a row for each user (m, M) with a gate."""
        if recipe.gate is None or self.people is None:
            return np.array(recipe.weight)
        return recipe.gate.weights(self.people.traits(pool))

    def gates(self, trial: Trial, own: list[int], judge: Judge) -> dict[int, Learnt]:
        """What the plan's gate learnt without each fold of `own`, where it learnt anything that counts."""
        gate, fold = self.plan.gate, self.fold
        if gate is None or self.people is None or not isinstance(trial.rule, Points):
            return {}
        points, known = trial.rule.points(judge.pool), self.people.traits(judge.pool)
        found = {f: gate.learn(judge.among(fold != f), points, trial.weights[f], known, self.ctx) for f in own}
        return {f: one for f, one in found.items() if not np.allclose(one.weights(known), trial.weights[f], atol=1e-9)}


def _over(lists: TopK, others: TopK, where: Mask) -> TopK:
    """The lists, those of some people (m,) taken from others."""
    return replace(
        lists,
        item=np.where(where[:, None], others.item, lists.item),
        score=np.where(where[:, None], others.score, lists.score),
    )


def _order(pool: Pool, member: int) -> F32:
    """Scores (c,) that give a member's own lists back."""
    rank = pool.rank[member].astype(np.float32)
    return np.where(rank > 0, -rank, np.float32(-np.inf))
