"""ELSA against its formula in NumPy, the angle against arithmetic, and cases whose best weights are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from matinee.contract import FitContext
from matinee.data import Histories
from matinee.models.elsa import ELSA
from matinee.nn.batches import make_batch
from matinee.nn.fit import StepInfo
from tests.logs import log_of, random_log

TOY = {"factors": 8, "epochs": 40, "learning_rate": 0.03, "dropout": 0.0}


def rows(model):
    """A of the header (n, r), float64."""
    weight = model.state["weight"].astype(np.float64)
    return weight / np.linalg.norm(weight, axis=1, keepdims=True)


def network(weight, factors):
    net = ELSA(factors=factors).net(len(weight), 0)
    net.load_state_dict({"weight": torch.from_numpy(np.array(weight, dtype=np.float32))})
    return net


def test_scores_are_the_formula_of_the_header():
    log = random_log(seed=2)
    model = ELSA(**TOY | {"epochs": 4}).fit(log)
    x, A = log.matrix.toarray().astype(np.float64), rows(model)
    wanted = x @ A @ A.T - x
    assert np.ptp(wanted) > 1
    np.testing.assert_allclose(np.linalg.norm(model.state["weight"], axis=1), 1.0, atol=1e-6)  # A is kept
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-4)


def test_no_item_predicts_itself():
    """Of a history of one item, that item's score is 0 and another's the cosine of their rows."""
    log = random_log(seed=3)
    model = ELSA(**TOY | {"epochs": 3}).fit(log)
    scores = model.score(Histories.of([[5], [9]], log.items))
    A = rows(model)
    for place, item in enumerate((5, 9)):
        others = np.delete(np.arange(40), item)
        np.testing.assert_allclose(scores[place, others], (A @ A[item])[others], atol=1e-5)
        assert scores[place, item] == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("factors", [40, 43])
def test_with_ones_on_the_diagonal_of_a_nothing_is_left(factors):
    log = random_log()
    net = network(3.0 * np.eye(40, factors), factors)  # the length of a row does not matter
    batch = make_batch(log.matrix, np.arange(60), normal=False)
    with torch.no_grad():
        np.testing.assert_array_equal(net(batch), np.zeros((60, 40)))


def test_turning_a_changes_no_score():
    log, rng = random_log(), np.random.default_rng(0)
    weight = rng.normal(size=(40, 6))
    turn, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    batch = make_batch(log.matrix, np.arange(60), normal=False)
    with torch.no_grad():
        one, other = network(weight, 6)(batch), network(weight @ turn, 6)(batch)
        longer = network(weight * rng.uniform(0.1, 9, size=(40, 1)), 6)(batch)
    assert np.ptp(one.numpy()) > 1
    np.testing.assert_allclose(other, one, atol=1e-5)
    np.testing.assert_allclose(longer, one, atol=1e-5)


def test_the_loss_is_the_mean_distance_of_directions():
    """What is shown is taken away, what was taken is the target; here a third is hidden, the rest weighs 3/2."""
    log = random_log(seed=4)
    user = np.array([8, 1, 30])
    weight = np.random.default_rng(1).normal(size=(40, 5))
    batch = make_batch(log.matrix, user, np.random.default_rng(2), 1 / 3, normal=False)
    made = ELSA().cosine_loss(network(weight, 5), batch, StepInfo(0.0, torch.Generator()))
    x, shown = log.matrix.toarray()[user].astype(np.float64), np.zeros((3, 40))
    at = np.repeat(np.arange(3), np.diff(batch.offsets))
    shown[at, batch.input_item] = 1.5
    assert 0 < (shown > 0).sum() < x.sum()
    A = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    s = shown @ A @ A.T - shown
    apart = x / np.linalg.norm(x, axis=1, keepdims=True) - s / np.linalg.norm(s, axis=1, keepdims=True)
    assert made.item() == pytest.approx((apart**2).sum(axis=1).mean(), rel=1e-5)


def test_it_starts_in_random_directions_of_length_one():
    """A step of size 0 shows the start."""
    log = random_log(items=40)
    one, other = (ELSA(factors=300, epochs=1, learning_rate=1e-30).fit(log, FitContext(seed=s)) for s in (0, 1))
    weight = one.state["weight"]
    np.testing.assert_allclose(np.linalg.norm(weight, axis=1), np.ones(40), rtol=1e-5)
    cosines = (weight @ weight.T)[~np.eye(40, dtype=bool)]
    assert 0.04 < cosines.std() < 0.08  # of random directions it is 1/√300 = 0.058
    assert np.abs((weight * other.state["weight"]).sum(axis=1)).max() < 0.3


def test_two_tastes_without_overlap_are_two_directions():
    """Everybody took all of one side: the loss is 0 where A A' is 1 within a side and 0 across, flat around."""
    pairs = [(u, i) for u in range(30) for i in range(12) if (u + i) % 2 == 0]
    user, item = map(np.array, zip(*pairs, strict=True))
    model = ELSA(factors=6, epochs=400, batch_size=30, learning_rate=0.05, dropout=0.0).fit(log_of(user, item))
    A = rows(model)
    wanted = (np.add.outer(np.arange(12), np.arange(12)) % 2 == 0).astype(float)
    np.testing.assert_allclose(A @ A.T, wanted, atol=0.2)


def test_dropout_hides_while_learning():
    log = random_log()
    one, other = (ELSA(**TOY | {"epochs": 3, "dropout": p}).fit(log).score(log.histories()) for p in (0.0, 0.5))
    assert not np.allclose(one, other, atol=1e-2)
