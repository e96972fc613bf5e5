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

from matinee.candidates.pool import CandidatePool
from matinee.candidates.user_features import UserFeatures, user_features
from matinee.contract import FitContext
from matinee.data import Histories, Targets
from matinee.ensemble.ensemble_spec import EnsembleSpec
from matinee.ensemble.gate import FittedGate
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.recipe import FusionRecipe
from matinee.ensemble.rule import F64, PointRule, Rule
from matinee.ensemble.weight_search import F32
from matinee.errors import SpecError
from matinee.topk import TopK

Mask: TypeAlias = NDArray[np.bool_]

FEWEST = 2
"""How many users a fold has at least."""


@dataclass(frozen=True, eq=False)
class UserContext:
    """What is known of the people before the answer, for gates."""

    query: Histories
    """Row by row those of the lists, with the same user codes."""

    popularity: NDArray[np.integer]
    """(n_items,) how many people took each item in the learn part."""

    real_time: bool
    """Whether times are seconds."""

    def features(self, pool: CandidatePool) -> UserFeatures:
        """Theirs, under the members of a pool."""
        return user_features(self.query, pool, self.popularity, clocked=self.real_time)


@dataclass(frozen=True)
class Objective:
    """What the search tries to raise: a metric of the people, by a profile; and how long its lists are."""

    metric: str
    profile: str = "matinee"
    k: int = 10


@dataclass(frozen=True, eq=False)
class SearchResult:
    """A search's end."""

    recipe: FusionRecipe
    """Found on everybody: what is delivered."""

    folds: tuple[FusionRecipe, ...]
    """Found without each fold."""

    fold: NDArray[np.int64]
    """Which fold a person is in, (m,)."""

    lists: TopK
    """Everybody's list by the recipe found without them."""

    in_sample: float
    """The metric of `recipe` on the people it was found on."""

    out_of_fold: float
    """The metric of `lists`."""

    single_model: Mapping[str, float]
    """The metric of every member by itself, under the recipe's depth."""

    @property
    def optimism(self) -> float:
        """How much of the apparent value is made up by choosing on the people judged."""
        return self.in_sample - self.out_of_fold

    @property
    def best(self) -> str:
        """The best single member."""
        return max(self.single_model, key=lambda name: self.single_model[name])


@dataclass(frozen=True, eq=False)
class Trial:
    """One rule and depth: the weights found without each fold (F + 1, M), the last with everybody, and their value."""

    rule: Rule
    depth: int
    weights: F64
    value: F64


def search(
    members: Mapping[str, TopK],
    answer: Targets,
    plan: EnsembleSpec,
    goal: Objective,
    people: UserContext | None = None,
    ctx: FitContext = FitContext(),
) -> SearchResult:
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
        trials += [task.run_trial(rule, depth, judge) for rule in plan.rules]
        alone[depth] = {name: judge.mean(_member_scores(judge.pool, m)) for m, name in enumerate(judge.pool.names)}
    chosen = [max(trials, key=lambda one: one.value[f]) for f in range(plan.folds + 1)]
    lists, recipes, apparent = task.build_lists(chosen)
    judged = FusionObjective(CandidatePool.of({"ensemble": lists}), answer, goal.metric, goal.profile)
    return SearchResult(
        recipe=recipes[-1],
        folds=tuple(recipes[:-1]),
        fold=fold,
        lists=lists,
        in_sample=apparent,
        out_of_fold=judged.mean(_member_scores(judged.pool, 0)),
        single_model=alone[recipes[-1].depth],
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """What all steps of a search share."""

    members: Mapping[str, TopK]
    answer: Targets
    plan: EnsembleSpec
    goal: Objective
    people: UserContext | None
    fold: NDArray[np.int64]
    """Which fold a user is in, (m,)."""

    ctx: FitContext

    def judge(self, depth: int) -> FusionObjective:
        """The judge of the members' lists at one depth."""
        return FusionObjective(CandidatePool.of(self.members, depth), self.answer, self.goal.metric, self.goal.profile)

    def run_trial(self, rule: Rule, depth: int, judge: FusionObjective) -> Trial:
        """The weights of one rule at one depth, found without each fold and with everybody."""
        plan, M = self.plan, len(judge.pool.names)
        points = rule.points(judge.pool) if isinstance(rule, PointRule) else np.zeros((M, 0), dtype=np.float32)
        weights, value = np.empty((plan.folds + 1, M)), np.empty(plan.folds + 1)
        adds_up = isinstance(rule, PointRule) and not rule.by_votes
        for f in range(plan.folds + 1):
            some = judge.restrict(self.fold != f)
            weights[f] = plan.weight_search.weights(some, points, self.ctx)
            value[f] = some.value(points, weights[f]) if adds_up else some.mean(rule.scores(judge.pool, weights[f]))
        return Trial(rule, depth, weights, value)

    def build_lists(self, chosen: list[Trial]) -> tuple[TopK, list[FusionRecipe], float]:
        """Everybody's list by what was chosen without them, every recipe, and the metric of the last; with gates."""
        out: TopK | None = None
        recipes: list[FusionRecipe] = [None] * len(chosen)  # pyright: ignore[reportAssignmentType]
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
                out = lists if out is None else _merge_rows(out, lists, self.fold == f)
        if out is None:
            raise ValueError("there is always a fold")
        return out, recipes, apparent

    def recipe(self, trial: Trial, f: int, gate: FittedGate | None) -> FusionRecipe:
        """What a trial found without fold f."""
        weight = tuple(map(float, trial.weights[f]))
        return FusionRecipe(members=tuple(self.members), weight=weight, rule=trial.rule, depth=trial.depth, gate=gate)

    def weights(self, recipe: FusionRecipe, pool: CandidatePool) -> F64:
        """The weights of a recipe: (M,), or a row for each user (m, M) with a gate."""
        if recipe.gate is None or self.people is None:
            return np.array(recipe.weight)
        return recipe.gate.weights(self.people.features(pool))

    def gates(self, trial: Trial, own: list[int], judge: FusionObjective) -> dict[int, FittedGate]:
        """What the plan's gate learnt without each fold of `own`, where it learnt anything that counts."""
        gate, fold = self.plan.gate, self.fold
        if gate is None or self.people is None or not isinstance(trial.rule, PointRule):
            return {}
        points, known = trial.rule.points(judge.pool), self.people.features(judge.pool)
        found = {f: gate.fit(judge.restrict(fold != f), points, trial.weights[f], known, self.ctx) for f in own}
        return {f: one for f, one in found.items() if not np.allclose(one.weights(known), trial.weights[f], atol=1e-9)}


def _merge_rows(lists: TopK, others: TopK, where: Mask) -> TopK:
    """The lists, those of some people (m,) taken from others."""
    return replace(
        lists,
        item=np.where(where[:, None], others.item, lists.item),
        score=np.where(where[:, None], others.score, lists.score),
    )


def _member_scores(pool: CandidatePool, member: int) -> F32:
    """Scores (c,) that give a member's own lists back."""
    rank = pool.rank[member].astype(np.float32)
    return np.where(rank > 0, -rank, np.float32(-np.inf))
