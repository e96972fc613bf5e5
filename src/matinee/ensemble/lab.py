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

from matinee.contract import Context
from matinee.data import Answers, Histories
from matinee.ensemble.chooser import F32
from matinee.ensemble.gate import Learnt
from matinee.ensemble.judge import Judge
from matinee.ensemble.plan import Plan
from matinee.ensemble.pool import Pool
from matinee.ensemble.recipe import Recipe
from matinee.ensemble.rule import F64, Points, Rule
from matinee.ensemble.traits import Traits, traits
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
    trials: list[Trial] = []
    alone: dict[int, dict[str, float]] = {}
    for depth in plan.depths:
        judge = Judge(Pool.of(members, depth), answer, goal.metric, goal.profile)
        trials += [_try(rule, depth, judge, (fold, plan, ctx)) for rule in plan.rules]
        alone[depth] = {name: judge.mean(_order(judge.pool, m)) for m, name in enumerate(judge.pool.names)}
    chosen = [max(trials, key=lambda one: one.value[f]) for f in range(plan.folds + 1)]
    lists, recipes, apparent = _finish(members, answer, (plan, goal, people, ctx), chosen, fold)
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


def _try(rule: Rule, depth: int, judge: Judge, how: tuple[NDArray[np.int64], Plan, Context]) -> Trial:
    """The weights of one rule at one depth, found without each fold and with everybody."""
    fold, plan, ctx = how
    M = len(judge.pool.names)
    points = rule.points(judge.pool) if isinstance(rule, Points) else np.zeros((M, 0), dtype=np.float32)
    weights, value = np.empty((plan.folds + 1, M)), np.empty(plan.folds + 1)
    adds_up = isinstance(rule, Points) and not rule.by_votes
    for f in range(plan.folds + 1):
        some = judge.among(fold != f)
        weights[f] = plan.chooser.weights(some, points, ctx)
        value[f] = some.of(points, weights[f]) if adds_up else some.mean(rule.scores(judge.pool, weights[f]))
    return Trial(rule, depth, weights, value)


def _finish(
    members: Mapping[str, TopK],
    answer: Answers,
    how: tuple[Plan, Goal, People | None, Context],
    chosen: list[Trial],
    fold: NDArray[np.int64],
) -> tuple[TopK, list[Recipe], float]:
    """Everybody's list by what was chosen without them, every recipe, and the metric of the last, all with gates."""
    plan, goal, people, ctx = how
    out: TopK | None = None
    recipes: list[Recipe] = [None] * len(chosen)  # pyright: ignore[reportAssignmentType]
    apparent = 0.0
    for trial in {id(one): one for one in chosen}.values():
        judge = Judge(Pool.of(members, trial.depth), answer, goal.metric, goal.profile)
        own = [f for f, one in enumerate(chosen) if one is trial]
        learnt = _gates(trial, own, judge, (fold, plan, people, ctx))
        for f in own:
            recipe = Recipe(
                members=tuple(members),
                weight=tuple(map(float, trial.weights[f])),
                rule=trial.rule,
                depth=trial.depth,
                gate=learnt.get(f),
            )
            recipes[f] = recipe
            weights = trial.weights[f]
            if recipe.gate is not None and people is not None:
                weights = recipe.gate.weights(people.traits(judge.pool))
            score = trial.rule.scores(judge.pool, weights)
            if f == plan.folds:
                apparent = judge.mean(score)
                continue
            lists = judge.pool.top(score, goal.k)
            out = lists if out is None else _over(out, lists, fold == f)
    if out is None:
        raise ValueError("there is always a fold")
    return out, recipes, apparent


def _gates(
    trial: Trial, own: list[int], judge: Judge, how: tuple[NDArray[np.int64], Plan, People | None, Context]
) -> dict[int, Learnt]:
    """What the plan's gate learnt without each fold of `own`, where it learnt anything that counts."""
    fold, plan, people, ctx = how
    if plan.gate is None or people is None or not isinstance(trial.rule, Points):
        return {}
    points, known = trial.rule.points(judge.pool), people.traits(judge.pool)
    found = {f: plan.gate.learn(judge.among(fold != f), points, trial.weights[f], known, ctx) for f in own}
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
