"""Weights a person: planted types of people, whose right weights are known."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from matinee.ensemble.weight_searches.listnet import ListNet
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime

from matinee.candidates.user_features import UserFeatures, user_features
from matinee.contract import FitContext
from matinee.data import Histories, Targets
from matinee.ensemble import CandidatePool, fuse
from matinee.ensemble.gate import FittedGate, two_fold_gain, weighted_scores
from matinee.ensemble.gates import GATES
from matinee.ensemble.gates.logit import Logit, Start, inverse_temperature, objective, standardized
from matinee.ensemble.gates.segments import Segments
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.rules.dcg_points import DCGPoints
from matinee.ensemble.weight_searches.greedy import Greedy
from matinee.errors import UnknownNameError
from matinee.metrics import compare, evaluate
from matinee.spec import build
from tests.metrics.lists_and_answers import answers_of, lists_of, vocabulary

N_ITEMS, DEPTH, METRIC = 200, 20, "recall@10"
RULE = DCGPoints()
GREEDY = Greedy(bags=0)
GATED = [Segments(tau=50), Logit()]
UNLOOKED = [Segments(trait="length", tau=50, sure=1), Logit(sure=1)]


def kind_of(gate):
    return gate.kind


@dataclass(frozen=True, eq=False)
class Crowd:
    """People of two types, half of whom (`taught`) may teach; member `good[type]` is the one to trust."""

    pool: CandidatePool
    answer: Targets
    traits: UserFeatures
    kind: np.ndarray
    taught: np.ndarray

    @property
    def judge(self) -> FusionObjective:
        return FusionObjective(self.pool, self.answer, METRIC).restrict(self.taught)

    def judged(self, weights: np.ndarray):
        """The fused lists of those who did not teach, evaluated."""
        there = np.flatnonzero(~self.taught)
        row = np.repeat(np.arange(len(self.answer)), self.answer.count)
        keep = ~self.taught[row]
        asked = (self.answer.user, self.answer.users, self.answer.items)
        answer = Targets.of(row[keep], self.answer.item[keep], self.answer.part[keep], self.answer.parts, asked)
        lists = fuse(RULE, self.pool.select_rows(there), weights[there] if weights.ndim > 1 else weights)
        return evaluate(lists, answer, [METRIC], resamples=400)


def listed(rng, answers, chance):
    """A list of random items, in which each answer has a `chance` of one of the first ten places."""
    row = rng.permutation(np.setdiff1d(np.arange(N_ITEMS), answers))[:DEPTH]
    there = [a for a in answers if rng.random() < chance]
    row[rng.permutation(10)[: len(there)]] = there
    return row.tolist()


@cache
def crowd(share: float = 0.5, shown: bool = True, n: int = 1200, seed: int = 0) -> Crowd:
    """`share` are of type 1, of long histories if `shown`. Members: a for type 0, b for type 1, c for nobody."""
    rng = np.random.default_rng([seed, 77])
    kind = (rng.random(n) < share).astype(np.int64)
    answers = [rng.permutation(N_ITEMS)[: rng.integers(1, 4)] for _ in range(n)]
    lists = {
        name: lists_of({u: listed(rng, answers[u], chance[kind[u]]) for u in range(n)}, DEPTH, n, N_ITEMS)
        for name, chance in {"a": (0.6, 0.1), "b": (0.1, 0.6), "c": (0.1, 0.1)}.items()
    }
    side = kind if shown else rng.permutation(kind)
    length = np.where(side == 1, rng.integers(9, 40, n), rng.integers(1, 11, n))
    drawn = Histories.of([rng.integers(0, N_ITEMS, one).tolist() for one in length], vocabulary(N_ITEMS))
    ask = replace(drawn, user=np.arange(n, dtype=np.int32), users=vocabulary(n))
    pool = CandidatePool.of(lists)
    popularity = rng.integers(1, 50, N_ITEMS)
    return Crowd(
        pool,
        answers_of({u: dict.fromkeys(answers[u].tolist(), 0) for u in range(n)}, ("all",), n, N_ITEMS),
        user_features(ask, pool, popularity, clocked=False),
        kind,
        np.arange(n) % 2 == 0,
    )


@cache
def points_of(one: Crowd):
    return RULE.points(one.pool)


def learnt(gate, one, weights, seed=0) -> FittedGate:
    return gate.learn(one.judge, points_of(one), weights, one.traits, FitContext(seed=seed))


def chosen(one, chooser=GREEDY):
    return chooser.weights(one.judge, points_of(one))


@pytest.mark.parametrize("gate", GATED, ids=kind_of)
@pytest.mark.parametrize("chooser", [GREEDY, ListNet()], ids=kind_of)
def test_types_a_trait_shows_are_found(gate, chooser):
    """On people who did not teach, well above the weights for everybody, and below those of somebody who knows."""
    one = crowd()
    weights = chosen(one, chooser)
    gated = learnt(gate, one, weights).weights(one.traits)
    for kind in (0, 1):
        assert gated[one.kind == kind, kind].mean() > gated[one.kind != kind, kind].mean() + 0.3
    before, after, known = one.judged(weights), one.judged(gated), one.judged(np.eye(3)[one.kind])
    gain = compare(after, before, METRIC)
    assert gain.significant
    assert 0.06 < gain.mean < compare(known, before, METRIC).mean


@pytest.mark.parametrize("gate", GATED, ids=kind_of)
@pytest.mark.parametrize("seed", [0, 1])
def test_types_no_trait_shows_change_nothing(gate, seed):
    one = crowd(shown=False, seed=seed)
    weights = chosen(one)
    found = learnt(gate, one, weights)
    change = compare(one.judged(found.weights(one.traits)), one.judged(weights), METRIC)
    assert abs(change.mean) < 0.02
    assert not change.significant
    assert found.p > gate.max_p_value or found.gain < 0
    assert_allclose(found.weights(one.traits), np.tile(weights, (len(one.kind), 1)), rtol=1e-12)


@pytest.mark.parametrize("gate", UNLOOKED, ids=kind_of)
def test_unlooked_and_without_types_little_is_lost(gate):
    """One type only: the gate is taken as it is, and finds nothing to tilt."""
    one = crowd(share=0.0)
    weights = chosen(one)
    change = compare(one.judged(learnt(gate, one, weights).weights(one.traits)), one.judged(weights), METRIC)
    assert abs(change.mean) < 0.02


@pytest.mark.parametrize(("floor", "least", "most"), [(0.0, -1e-12, 1e-12), (0.02, 0.015, 0.1)])
def test_a_member_good_for_few_comes_in_through_the_floor(floor, least, most):
    one = crowd(share=0.15)
    weights = chosen(one)
    assert weights[1] == 0
    gated = learnt(Logit(floor=floor, sure=1), one, weights).weights(one.traits)
    gain = compare(one.judged(gated), one.judged(weights), METRIC)
    assert least <= gain.mean <= most


def test_the_best_trait_is_the_telling_one():
    """Long histories are broad ones too; the other traits say nothing."""
    one = crowd()
    assert learnt(Segments(tau=50), one, chosen(one)).trait in ("length", "breadth")


@pytest.mark.parametrize("chooser", ["listnet", "greedy"])
def test_segments_are_shrunk_to_everybody(chooser):
    """By hand: who is in which third, what the chooser finds there, and the two limits of tau."""
    one = crowd()
    weights = np.array([0.2, 0.3, 0.5])
    value = one.traits.of(("length",))[:, 0]
    low, high = np.quantile(value[one.taught], [1 / 3, 2 / 3])
    segment = np.where(value < low, 0, np.where(value < high, 1, 2))
    kind = GREEDY if chooser == "greedy" else ListNet()
    for tau in (0.0, 300.0, 1e12):
        gated = learnt(Segments(trait="length", weight_search=chooser, tau=tau, sure=1), one, weights).weights(
            one.traits
        )
        for s in range(3):
            own = one.taught & (segment == s)
            alone = kind.weights(one.judge.restrict(own), points_of(one))
            wanted = weights + (alone - weights) * own.sum() / (own.sum() + tau)
            assert_allclose(gated[segment == s], np.tile(wanted, ((segment == s).sum(), 1)), atol=1e-9)


def test_much_ridge_is_the_weights_for_everybody():
    one = crowd()
    weights = np.array([0.2, 0.3, 0.5])
    gated = learnt(Logit(l2=1e6, floor=0, sure=1), one, weights).weights(one.traits)
    assert_allclose(gated, np.tile(weights, (len(gated), 1)), atol=1e-5)


def test_a_trait_that_is_the_same_for_all_says_nothing():
    one = crowd()
    flat = UserFeatures(one.traits.names, np.tile(one.traits.values[:1], (len(one.kind), 1)))
    for gate in UNLOOKED:
        gated = gate.learn(one.judge, points_of(one), chosen(one), flat).weights(flat)
        assert_array_equal(gated, np.tile(gated[:1], (len(gated), 1)))


def test_the_slope_of_the_softmax_gate():
    one = crowd(n=60)
    rng = np.random.default_rng(3)
    base, judge = np.array([0.5, 0.3, 0.2]), one.judge
    values = one.traits.values
    z = standardized(values, values.mean(axis=0), values.std(axis=0))
    points = points_of(one) * np.float32(inverse_temperature(judge, points_of(one), base))
    loss = objective(judge, points, Start(base, z), 0.05)
    at = rng.normal(scale=0.4, size=3 * z.shape[1])
    assert_allclose(loss(at)[1], approx_fprime(at, lambda v: loss(v)[0], 1e-6), atol=2e-5)


def test_the_loss_of_the_softmax_gate_person_by_person():
    one = crowd(n=60)
    base, z = np.array([0.5, 0.3, 0.2]), np.random.default_rng(1).normal(size=(60, 2))
    tilt = np.array([[0.3, -0.2], [0.0, 0.5], [-0.4, 0.1]])
    points, pool, total = points_of(one), one.pool, []
    for u in np.flatnonzero(one.taught):
        part = slice(pool.offsets[u], pool.offsets[u + 1])
        answers = one.answer.item[one.answer.offsets[u] : one.answer.offsets[u + 1]]
        there = np.isin(pool.item[part], answers)
        if not there.any():
            continue
        w = base * np.exp(tilt @ z[u])
        score = (w / w.sum()) @ points[:, part].astype(np.float64)
        total.append(np.log(np.exp(score).sum()) - score[there].mean())
    value, _ = objective(one.judge, points, Start(base, z), 0.01)(tilt.ravel())
    assert value == pytest.approx(np.mean(total) + 0.01 * (tilt**2).sum(), rel=1e-6)


def test_sharpness_is_where_the_loss_is_least():
    one = crowd()
    base = np.array([0.4, 0.4, 0.2])
    best = inverse_temperature(one.judge, points_of(one), base)

    def loss(times):
        z = np.zeros((len(one.kind), 0))
        return objective(one.judge, points_of(one) * np.float32(best * times), Start(base, z), 0.0)(np.zeros(0))[0]

    assert loss(1.0) <= min(loss(0.8), loss(1.25))


def test_mixed_scores_are_those_of_the_rule():
    one = crowd(n=60)
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    assert_allclose(weighted_scores(one.judge, points_of(one), weights), RULE.scores(one.pool, weights), rtol=1e-12)


def test_each_half_is_judged_by_what_the_other_taught():
    """A gate that knows the answers of its pupils, and of nobody else, gains nothing."""
    one = crowd()
    weights = np.array([1.0, 0.0, 0.0])
    pupils = []

    def cheat(judge):
        pupils.append(judge.rows[1])
        return np.where(judge.rows[1][:, None], np.eye(3)[one.kind], weights)

    assert two_fold_gain(one.judge, points_of(one), weights, cheat, FitContext()) == (0.0, 1.0)
    assert_array_equal(pupils[0] ^ pupils[1], one.taught)
    known = two_fold_gain(one.judge, points_of(one), weights, lambda judge: np.eye(3)[one.kind], FitContext())
    told = one.judge.values(weighted_scores(one.judge, points_of(one), np.eye(3)[one.kind]))
    before = one.judge.values(weights @ points_of(one))
    assert known[0] == pytest.approx(np.nanmean(told - before))


@pytest.mark.parametrize("gate", UNLOOKED, ids=kind_of)
def test_those_who_do_not_teach_change_nothing(gate):
    """Neither their answers nor their traits."""
    one = crowd()
    row = np.repeat(np.arange(len(one.kind)), one.answer.count)
    item = np.where(one.taught[row], one.answer.item, 0)
    asked = (one.answer.user, one.answer.users, one.answer.items)
    other = replace(
        one,
        answer=Targets.of(row, item, one.answer.part, one.answer.parts, asked),
        features=UserFeatures(one.traits.names, np.where(one.taught[:, None], one.traits.values, 9.0)),
    )
    weights = chosen(one)
    assert learnt(gate, one, weights) == gate.learn(other.judge, points_of(one), weights, other.traits)


@pytest.mark.parametrize("gate", [*UNLOOKED, Segments(tau=50), Logit()], ids=str)
def test_what_is_learnt_is_a_value(gate):
    """Same seed, same result; through JSON and back; rows of sum 1; a person alone is the person among others."""
    one = crowd(n=400)
    weights = chosen(one)
    found = learnt(gate, one, weights, seed=5)
    assert found == learnt(gate, one, weights, seed=5)
    said = json.loads(json.dumps(found.to_dict()))
    again = build(GATES.get(said.pop("kind")).fitted_type, said, "learnt")
    assert again == found
    gated = again.weights(one.traits)
    assert (gated >= 0).all()
    assert_allclose(gated.sum(axis=1), 1.0, rtol=1e-12)
    for r in (0, 17, 399):
        assert_array_equal(again.weights(one.traits.select_rows(np.array([r]))), gated[[r]])


def test_an_unknown_trait_is_named():
    one = crowd(n=60)
    with pytest.raises(UnknownNameError, match="did you mean 'length'"):
        learnt(Segments(trait="lenght"), one, np.ones(3) / 3)
    with pytest.raises(UnknownNameError, match="gate"):
        GATES.get("logits")


def test_nobody_to_learn_from():
    one = crowd(n=60)
    nobody = replace(one, taught=np.zeros(60, dtype=np.bool_))
    weights = np.array([0.2, 0.3, 0.5])
    for gate in [*GATED, Segments(trait="length", sure=1), Logit(sure=1, floor=0)]:
        assert_allclose(learnt(gate, nobody, weights).weights(one.traits), np.tile(weights, (60, 1)), rtol=1e-12)
