"""Gates on planted types of users with known best weights."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime

from matinee.candidates.user_features import UserFeatures, user_features
from matinee.contract import FitContext
from matinee.data import Histories, Targets
from matinee.ensemble import CandidatePool, fuse
from matinee.ensemble.gate import FittedGate, two_fold_gain, weighted_scores
from matinee.ensemble.gates import GATES
from matinee.ensemble.gates.logit import Logit, Scaling, TiltStart, inverse_temperature, standardized, tilt_loss
from matinee.ensemble.gates.segments import Segments
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.rules.dcg_points import DCGPoints
from matinee.ensemble.weight_searches.greedy import Greedy
from matinee.ensemble.weight_searches.listnet import ListNet
from matinee.errors import UnknownNameError
from matinee.metrics import compare, evaluate
from matinee.spec import build
from tests.metrics.lists_and_targets import lists_of, targets_of, vocabulary

N_ITEMS, DEPTH, METRIC = 200, 20, "recall@10"
RULE = DCGPoints()
GREEDY = Greedy(bags=0)
GATES_TO_TEST = [Segments(tau=50), Logit()]
UNTESTED = [Segments(feature="length", tau=50, max_p_value=1), Logit(max_p_value=1)]


def kind_of(gate):
    return gate.kind


@dataclass(frozen=True, eq=False)
class Example:
    """Users of two types with another best member each; half of them (`is_training`) are for training."""

    pool: CandidatePool
    targets: Targets
    features: UserFeatures
    kind: np.ndarray
    is_training: np.ndarray

    @property
    def objective(self) -> FusionObjective:
        return FusionObjective(self.pool, self.targets, METRIC).restrict(self.is_training)

    def evaluate(self, weights: np.ndarray):
        """The fused lists of the users not used for training, evaluated."""
        rows = np.flatnonzero(~self.is_training)
        row = np.repeat(np.arange(len(self.targets)), self.targets.count)
        keep = ~self.is_training[row]
        vocabularies = (self.targets.user, self.targets.users, self.targets.items)
        targets = Targets.from_rows(
            vocabularies[1],
            vocabularies[2],
            vocabularies[0],
            row[keep],
            self.targets.item[keep],
            self.targets.part[keep],
            self.targets.parts,
        )
        lists = fuse(RULE, self.pool.select_rows(rows), weights[rows] if weights.ndim > 1 else weights)
        return evaluate(lists, targets, [METRIC], resamples=400)


def listed(rng, items, chance):
    """A list of random items; each target has a `chance` of a place among the first ten."""
    row = rng.permutation(np.setdiff1d(np.arange(N_ITEMS), items))[:DEPTH]
    there = [a for a in items if rng.random() < chance]
    row[rng.permutation(10)[: len(there)]] = there
    return row.tolist()


@cache
def example(share: float = 0.5, visible: bool = True, n: int = 1200, seed: int = 0) -> Example:
    """A fraction `share` of type 1, with long histories if `visible`. Member a suits type 0, b type 1, c none."""
    rng = np.random.default_rng([seed, 77])
    kind = (rng.random(n) < share).astype(np.int64)
    items = [rng.permutation(N_ITEMS)[: rng.integers(1, 4)] for _ in range(n)]
    lists = {
        name: lists_of({u: listed(rng, items[u], chance[kind[u]]) for u in range(n)}, DEPTH, n, N_ITEMS)
        for name, chance in {"a": (0.6, 0.1), "b": (0.1, 0.6), "c": (0.1, 0.1)}.items()
    }
    side = kind if visible else rng.permutation(kind)
    length = np.where(side == 1, rng.integers(9, 40, n), rng.integers(1, 11, n))
    drawn = Histories.of([rng.integers(0, N_ITEMS, one).tolist() for one in length], vocabulary(N_ITEMS))
    query = replace(drawn, user=np.arange(n, dtype=np.int32), users=vocabulary(n))
    pool = CandidatePool.of(lists)
    popularity = rng.integers(1, 50, N_ITEMS)
    return Example(
        pool,
        targets_of({u: dict.fromkeys(items[u].tolist(), 0) for u in range(n)}, ("all",), n, N_ITEMS),
        user_features(query, pool, popularity, real_time=False),
        kind,
        np.arange(n) % 2 == 0,
    )


@cache
def points_of(one: Example):
    return RULE.points(one.pool)


def fit_gate(gate, one, weights, seed=0) -> FittedGate:
    return gate.fit(one.objective, points_of(one), weights, one.features, FitContext(seed=seed))


def common_weights(one, weight_search=GREEDY):
    return weight_search.weights(one.objective, points_of(one))


@pytest.mark.parametrize("gate", GATES_TO_TEST, ids=kind_of)
@pytest.mark.parametrize("weight_search", [GREEDY, ListNet()], ids=kind_of)
def test_types_visible_in_a_feature_are_found(gate, weight_search):
    """On users not used for training: clearly above common weights, and below the best weights."""
    one = example()
    weights = common_weights(one, weight_search)
    gated = fit_gate(gate, one, weights).weights(one.features)
    for kind in (0, 1):
        assert gated[one.kind == kind, kind].mean() > gated[one.kind != kind, kind].mean() + 0.3
    before, after, known = one.evaluate(weights), one.evaluate(gated), one.evaluate(np.eye(3)[one.kind])
    gain = compare(after, before, METRIC)
    assert gain.significant
    assert 0.06 < gain.mean < compare(known, before, METRIC).mean


@pytest.mark.parametrize("gate", GATES_TO_TEST, ids=kind_of)
@pytest.mark.parametrize("seed", [0, 1])
def test_invisible_types_change_nothing(gate, seed):
    one = example(visible=False, seed=seed)
    weights = common_weights(one)
    found = fit_gate(gate, one, weights)
    change = compare(one.evaluate(found.weights(one.features)), one.evaluate(weights), METRIC)
    assert abs(change.mean) < 0.02
    assert not change.significant
    assert found.p > gate.max_p_value or found.gain < 0
    assert_allclose(found.weights(one.features), np.tile(weights, (len(one.kind), 1)), rtol=1e-12)


@pytest.mark.parametrize("gate", UNTESTED, ids=kind_of)
def test_an_untested_gate_without_types_loses_little(gate):
    """One type only: the untested gate stays close to common weights."""
    one = example(share=0.0)
    weights = common_weights(one)
    change = compare(one.evaluate(fit_gate(gate, one, weights).weights(one.features)), one.evaluate(weights), METRIC)
    assert abs(change.mean) < 0.02


@pytest.mark.parametrize(("floor", "low", "high"), [(0.0, -1e-12, 1e-12), (0.02, 0.015, 0.1)])
def test_the_floor_gives_weight_to_a_member_of_weight_0(floor, low, high):
    one = example(share=0.15)
    weights = common_weights(one)
    assert weights[1] == 0
    gated = fit_gate(Logit(floor=floor, max_p_value=1), one, weights).weights(one.features)
    gain = compare(one.evaluate(gated), one.evaluate(weights), METRIC)
    assert low <= gain.mean <= high


def test_the_best_feature_is_the_informative_one():
    """Long histories are also broad; the other features are uninformative."""
    one = example()
    assert fit_gate(Segments(tau=50), one, common_weights(one)).feature in ("length", "breadth")


@pytest.mark.parametrize("weight_search", ["listnet", "greedy"])
def test_segments_are_shrunk_to_common_weights(weight_search):
    """By hand: users of each third, the weights fitted there, and the two limits of tau."""
    one = example()
    weights = np.array([0.2, 0.3, 0.5])
    value = one.features.of(("length",))[:, 0]
    low, high = np.quantile(value[one.is_training], [1 / 3, 2 / 3])
    segment = np.where(value < low, 0, np.where(value < high, 1, 2))
    kind = GREEDY if weight_search == "greedy" else ListNet()
    for tau in (0.0, 300.0, 1e12):
        gated = fit_gate(
            Segments(feature="length", weight_search=weight_search, tau=tau, max_p_value=1), one, weights
        ).weights(one.features)
        for s in range(3):
            own = one.is_training & (segment == s)
            own_weights = kind.weights(one.objective.restrict(own), points_of(one))
            expected = weights + (own_weights - weights) * own.sum() / (own.sum() + tau)
            assert_allclose(gated[segment == s], np.tile(expected, ((segment == s).sum(), 1)), atol=1e-9)


def test_a_large_penalty_gives_common_weights():
    one = example()
    weights = np.array([0.2, 0.3, 0.5])
    gated = fit_gate(Logit(l2=1e6, floor=0, max_p_value=1), one, weights).weights(one.features)
    assert_allclose(gated, np.tile(weights, (len(gated), 1)), atol=1e-5)


def test_a_constant_feature_is_ignored():
    one = example()
    flat = UserFeatures(one.features.names, np.tile(one.features.values[:1], (len(one.kind), 1)))
    for gate in UNTESTED:
        gated = gate.fit(one.objective, points_of(one), common_weights(one), flat).weights(flat)
        assert_array_equal(gated, np.tile(gated[:1], (len(gated), 1)))


def test_gradient_of_the_softmax_gate():
    one = example(n=60)
    rng = np.random.default_rng(3)
    base, objective = np.array([0.5, 0.3, 0.2]), one.objective
    values = one.features.values
    z = standardized(values, Scaling(values.mean(axis=0), values.std(axis=0)))
    points = points_of(one) * np.float32(inverse_temperature(objective, points_of(one), base))
    loss = tilt_loss(objective, points, TiltStart(base, z), 0.05)
    at = rng.normal(scale=0.4, size=3 * z.shape[1])
    assert_allclose(loss(at)[1], approx_fprime(at, lambda v: loss(v)[0], 1e-6), atol=2e-5)


def test_loss_of_the_softmax_gate_user_by_user():
    one = example(n=60)
    base, z = np.array([0.5, 0.3, 0.2]), np.random.default_rng(1).normal(size=(60, 2))
    tilt = np.array([[0.3, -0.2], [0.0, 0.5], [-0.4, 0.1]])
    points, pool, total = points_of(one), one.pool, []
    for u in np.flatnonzero(one.is_training):
        part = slice(pool.offsets[u], pool.offsets[u + 1])
        items = one.targets.item[one.targets.offsets[u] : one.targets.offsets[u + 1]]
        there = np.isin(pool.item[part], items)
        if not there.any():
            continue
        w = base * np.exp(tilt @ z[u])
        score = (w / w.sum()) @ points[:, part].astype(np.float64)
        total.append(np.log(np.exp(score).sum()) - score[there].mean())
    value, _ = tilt_loss(one.objective, points, TiltStart(base, z), 0.01)(tilt.ravel())
    assert value == pytest.approx(np.mean(total) + 0.01 * (tilt**2).sum(), rel=1e-6)


def test_inverse_temperature_minimizes_the_loss():
    one = example()
    base = np.array([0.4, 0.4, 0.2])
    best = inverse_temperature(one.objective, points_of(one), base)

    def loss(times):
        z = np.zeros((len(one.kind), 0))
        return tilt_loss(one.objective, points_of(one) * np.float32(best * times), TiltStart(base, z), 0.0)(
            np.zeros(0)
        )[0]

    assert loss(1.0) <= min(loss(0.8), loss(1.25))


def test_weighted_scores_equal_the_rule():
    one = example(n=60)
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    assert_allclose(weighted_scores(one.objective, points_of(one), weights), RULE.scores(one.pool, weights), rtol=1e-12)


def test_each_half_is_evaluated_with_the_fit_of_the_other():
    """A gate that is perfect on its training users and common elsewhere has no gain."""
    one = example()
    weights = np.array([1.0, 0.0, 0.0])
    training = []

    def fit_perfectly(objective):
        training.append(objective.is_selected)
        return np.where(objective.is_selected[:, None], np.eye(3)[one.kind], weights)

    assert two_fold_gain(one.objective, points_of(one), weights, fit_perfectly, FitContext()) == (0.0, 1.0)
    assert_array_equal(training[0] ^ training[1], one.is_training)
    known = two_fold_gain(one.objective, points_of(one), weights, lambda objective: np.eye(3)[one.kind], FitContext())
    perfect = one.objective.values(weighted_scores(one.objective, points_of(one), np.eye(3)[one.kind]))
    before = one.objective.values(weights @ points_of(one))
    assert known[0] == pytest.approx(np.nanmean(perfect - before))


@pytest.mark.parametrize("gate", UNTESTED, ids=kind_of)
def test_users_outside_the_training_half_change_nothing(gate):
    """Neither their targets nor their features."""
    one = example()
    row = np.repeat(np.arange(len(one.kind)), one.targets.count)
    item = np.where(one.is_training[row], one.targets.item, 0)
    vocabularies = (one.targets.user, one.targets.users, one.targets.items)
    other = replace(
        one,
        targets=Targets.from_rows(
            vocabularies[1], vocabularies[2], vocabularies[0], row, item, one.targets.part, one.targets.parts
        ),
        features=UserFeatures(one.features.names, np.where(one.is_training[:, None], one.features.values, 9.0)),
    )
    weights = common_weights(one)
    assert fit_gate(gate, one, weights) == gate.fit(other.objective, points_of(one), weights, other.features)


@pytest.mark.parametrize("gate", [*UNTESTED, Segments(tau=50), Logit()], ids=str)
def test_a_fitted_gate_is_a_value(gate):
    """Same seed, same result; through JSON and back; rows of sum 1; a single row equals the row in a batch."""
    one = example(n=400)
    weights = common_weights(one)
    found = fit_gate(gate, one, weights, seed=5)
    assert found == fit_gate(gate, one, weights, seed=5)
    table = json.loads(json.dumps(found.to_dict()))
    again = build(GATES.get(table.pop("kind")).fitted_type, table, "gate")
    assert again == found
    gated = again.weights(one.features)
    assert (gated >= 0).all()
    assert_allclose(gated.sum(axis=1), 1.0, rtol=1e-12)
    for r in (0, 17, 399):
        assert_array_equal(again.weights(one.features.select_rows(np.array([r]))), gated[[r]])


def test_an_unknown_feature_is_refused():
    one = example(n=60)
    with pytest.raises(UnknownNameError, match="did you mean 'length'"):
        fit_gate(Segments(feature="lenght"), one, np.ones(3) / 3)
    with pytest.raises(UnknownNameError, match="gate"):
        GATES.get("logits")


def test_no_training_users_give_common_weights():
    one = example(n=60)
    empty = replace(one, is_training=np.zeros(60, dtype=np.bool_))
    weights = np.array([0.2, 0.3, 0.5])
    for gate in [*GATES_TO_TEST, Segments(feature="length", max_p_value=1), Logit(max_p_value=1, floor=0)]:
        assert_allclose(fit_gate(gate, empty, weights).weights(one.features), np.tile(weights, (60, 1)), rtol=1e-12)
