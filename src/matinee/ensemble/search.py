"""The search over combinations: each user is evaluated with weights fitted on other folds (cross-fitting).

Users are split into folds at random. For every fold the whole search, including rule and depth, runs on the other
folds, and the fold's lists are fused by the result; these lists together are evaluated (out of fold). The final recipe
is the search on all users; its in-sample value minus the out-of-fold value is the optimism (Efron 1983).
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

MIN_FOLD_USERS = 2
"""Smallest number of users per fold."""


@dataclass(frozen=True, eq=False)
class UserContext:
    """The queries and the training set's popularity, for user features."""

    query: Histories
    """Queries in the rows of the lists, with the same user codes."""

    popularity: NDArray[np.integer]
    """Number of users of each item in the training set, (n_items,)."""

    real_time: bool
    """Whether times are seconds."""

    def features(self, pool: CandidatePool) -> UserFeatures:
        """Features of the users of a pool."""
        return user_features(self.query, pool, self.popularity, real_time=self.real_time)


@dataclass(frozen=True)
class Objective:
    """The metric that the search maximizes, by a profile, and the list length."""

    metric: str
    profile: str = "matinee"
    k: int = 10


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of a search."""

    recipe: FusionRecipe
    """The recipe fitted on all users, for submission."""

    folds: tuple[FusionRecipe, ...]
    """The recipes fitted without each fold."""

    fold: NDArray[np.int64]
    """Fold of each user, (m,)."""

    lists: TopK
    """Lists (m, k) by the recipe fitted without the user's fold."""

    in_sample: float
    """The metric of `recipe` on the users it was fitted on."""

    out_of_fold: float
    """The metric of `lists`."""

    single_model: Mapping[str, float]
    """The metric of every single member at the recipe's depth."""

    @property
    def optimism(self) -> float:
        """In-sample value minus out-of-fold value."""
        return self.in_sample - self.out_of_fold

    @property
    def best(self) -> str:
        """The best single member."""
        return max(self.single_model, key=lambda name: self.single_model[name])


@dataclass(frozen=True, eq=False)
class Trial:
    """Weights of one rule and depth, and their values.

    `weights` (F + 1, M) and `value` (F + 1,): without each of F folds, then on all users.
    """

    rule: Rule
    depth: int
    weights: F64
    value: F64


def search(
    members: Mapping[str, TopK],
    targets: Targets,
    spec: EnsembleSpec,
    goal: Objective,
    context: UserContext | None = None,
    ctx: FitContext = FitContext(),
) -> SearchResult:
    """Search for members, weights, rule and depth, and fit the gate.

    Rows of `targets` are those of the first member's lists; a gate needs `context`. Cost: (folds + 1) · rules · depths
    weight searches. Raises `SpecError` for more folds than half the users.
    """
    max_folds = len(targets) // MIN_FOLD_USERS
    if spec.folds > max_folds:
        found = f"folds = {spec.folds:,} for {len(targets):,} users"
        raise SpecError("ensemble", found, f"at most {max_folds:,}, {MIN_FOLD_USERS} users per fold", "Lower folds.")
    fold = ctx.rng(0xF01D).permutation(len(targets)) % spec.folds
    steps = _Search(members, targets, spec, goal, context, fold, ctx)
    trials: list[Trial] = []
    single: dict[int, dict[str, float]] = {}
    for depth in spec.depths:
        objective = steps.objective(depth)
        trials += [steps.run_trial(rule, depth, objective) for rule in spec.rules]
        pool = objective.pool
        single[depth] = {name: objective.mean(_member_scores(pool, m)) for m, name in enumerate(pool.names)}
    best_trials = [max(trials, key=lambda one: one.value[f]) for f in range(spec.folds + 1)]
    lists, recipes, in_sample = steps.build_lists(best_trials)
    fused = FusionObjective(CandidatePool.of({"ensemble": lists}), targets, goal.metric, goal.profile)
    return SearchResult(
        recipe=recipes[-1],
        folds=tuple(recipes[:-1]),
        fold=fold,
        lists=lists,
        in_sample=in_sample,
        out_of_fold=fused.mean(_member_scores(fused.pool, 0)),
        single_model=single[recipes[-1].depth],
    )


@dataclass(frozen=True, eq=False)
class _Search:
    """Everything that the steps of a search share."""

    members: Mapping[str, TopK]
    targets: Targets
    spec: EnsembleSpec
    goal: Objective
    context: UserContext | None
    fold: NDArray[np.int64]
    """Fold of each user, (m,)."""

    ctx: FitContext

    def objective(self, depth: int) -> FusionObjective:
        """The objective of the members' lists at one depth."""
        return FusionObjective(CandidatePool.of(self.members, depth), self.targets, self.goal.metric, self.goal.profile)

    def run_trial(self, rule: Rule, depth: int, objective: FusionObjective) -> Trial:
        """Fit the weights of one rule and depth, without each fold and on all users."""
        spec, M = self.spec, len(objective.pool.names)
        points = rule.points(objective.pool) if isinstance(rule, PointRule) else np.zeros((M, 0), dtype=np.float32)
        weights, value = np.empty((spec.folds + 1, M)), np.empty(spec.folds + 1)
        adds_up = isinstance(rule, PointRule) and not rule.by_votes
        for f in range(spec.folds + 1):
            training = objective.restrict(self.fold != f)
            weights[f] = spec.weight_search.weights(training, points, self.ctx)
            if adds_up:
                value[f] = training.value(points, weights[f])
            else:
                value[f] = training.mean(rule.scores(objective.pool, weights[f]))
        return Trial(rule, depth, weights, value)

    def build_lists(self, best_trials: list[Trial]) -> tuple[TopK, list[FusionRecipe], float]:
        """Out-of-fold lists, the recipe of every fold and of all users, and the in-sample value."""
        out: TopK | None = None
        recipes: list[FusionRecipe] = [None] * len(best_trials)  # pyright: ignore[reportAssignmentType]
        in_sample = 0.0
        for trial in {id(one): one for one in best_trials}.values():
            objective = self.objective(trial.depth)
            own = [f for f, one in enumerate(best_trials) if one is trial]
            fitted = self.gates(trial, own, objective)
            for f in own:
                recipes[f] = self.recipe(trial, f, fitted.get(f))
                score = trial.rule.scores(objective.pool, self.weights(recipes[f], objective.pool))
                if f == self.spec.folds:
                    in_sample = objective.mean(score)
                    continue
                lists = objective.pool.top(score, self.goal.k)
                out = lists if out is None else _merge_rows(out, lists, self.fold == f)
        if out is None:
            raise ValueError("a search has at least one fold")
        return out, recipes, in_sample

    def recipe(self, trial: Trial, f: int, gate: FittedGate | None) -> FusionRecipe:
        """The recipe of a trial fitted without fold f."""
        weight = tuple(map(float, trial.weights[f]))
        return FusionRecipe(members=tuple(self.members), weight=weight, rule=trial.rule, depth=trial.depth, gate=gate)

    def weights(self, recipe: FusionRecipe, pool: CandidatePool) -> F64:
        """The weights of a recipe: (M,), or (m, M) with a gate."""
        if recipe.gate is None or self.context is None:
            return np.array(recipe.weight)
        return recipe.gate.weights(self.context.features(pool))

    def gates(self, trial: Trial, own: list[int], objective: FusionObjective) -> dict[int, FittedGate]:
        """The gates fitted without each fold of `own`.

        Gates that return the common weights are omitted.
        """
        gate, fold = self.spec.gate, self.fold
        if gate is None or self.context is None or not isinstance(trial.rule, PointRule):
            return {}
        points, features = trial.rule.points(objective.pool), self.context.features(objective.pool)
        common = trial.weights
        gates = {f: gate.fit(objective.restrict(fold != f), points, common[f], features, self.ctx) for f in own}
        return {f: one for f, one in gates.items() if not np.allclose(one.weights(features), common[f], atol=1e-9)}


def _merge_rows(lists: TopK, others: TopK, where: Mask) -> TopK:
    """The lists, with rows `where` (m,) from `others`."""
    return replace(
        lists,
        item=np.where(where[:, None], others.item, lists.item),
        score=np.where(where[:, None], others.score, lists.score),
    )


def _member_scores(pool: CandidatePool, member: int) -> F32:
    """Scores (c,) that reproduce a member's lists."""
    rank = pool.rank[member].astype(np.float32)
    return np.where(rank > 0, -rank, np.float32(-np.inf))
