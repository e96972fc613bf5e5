"""Multi-EASE against EASE where it starts, the posterior against arithmetic and a minimiser, and who wins the vote."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, minimize_scalar

from matinee.contract import FitContext
from matinee.models.ease import EASE
from matinee.models.multi_ease import MultiEASE, fit_log_scale
from matinee.nn.batches import make_batch
from matinee.nn.fit import meta_network
from matinee.nn.train import TrainConfig
from tests.logs import random_log
from tests.nn.orders import in_own_order

TOY = {"ease_l2": 1.0, "l2_to_ease": 1.0, "epochs": 10, "learning_rate": 0.001}


def few(seed: int = 5):
    """More people than items: 50 and 7."""
    return random_log(seed, users=50, items=7, rows=170)


def nll(x, shown, B, log_scale):
    """−log likelihood of each row, (b,), by the header."""
    s = np.exp(log_scale) * shown @ B / np.linalg.norm(x, axis=1, keepdims=True)
    return -(x * (s - np.log(np.exp(s).sum(axis=1, keepdims=True)))).sum(axis=1)


def ridge(x, l2):
    """EASE (n, n), one column after the other."""
    n = x.shape[1]
    found = np.zeros((n, n))
    for j in range(n):
        rest = np.delete(np.arange(n), j)
        found[rest, j] = np.linalg.solve(x[:, rest].T @ x[:, rest] + l2 * np.eye(n - 1), x[:, rest].T @ x[:, j])
    return found


def started(spec, log):
    """The network as training finds it, in the log's own order."""
    net = meta_network(spec.net, log.n_items, 0).to_empty(device="cpu")
    spec.init_weights(net, in_own_order(log), torch.Generator())
    return net


def test_zero_epochs_are_ease():
    log = random_log(seed=2)
    model = MultiEASE(ease_l2=30.0, epochs=0).fit(log)
    np.testing.assert_allclose(model.weights, EASE(l2=30.0).fit(log).weights, atol=1e-5)
    np.testing.assert_allclose(model.weights, ridge(log.matrix.toarray().astype(float), 30.0), atol=1e-5)
    assert model.spec.epochs == 0


def test_scores_are_x_b_and_the_diagonal_is_zero():
    log = random_log(seed=2)
    model = MultiEASE(**TOY).fit(log)
    wanted = log.matrix.toarray().astype(np.float64) @ model.weights.astype(np.float64)
    assert np.ptp(wanted) > 0.5
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)
    np.testing.assert_array_equal(model.weights.diagonal(), np.zeros(40))
    assert np.abs(model.weights - EASE(l2=1.0).fit(log).weights).max() > 0.01


def test_the_posterior_is_the_arithmetic():
    """Two thirds are shown at 3/2, all is asked for; the penalty is spread over the 60 people."""
    log = random_log(seed=3)
    spec, user = MultiEASE(ease_l2=20.0, l2_to_ease=7.0), np.array([9, 3])
    net = started(spec, log)
    away = np.random.default_rng(1).normal(scale=0.1, size=(40, 40))
    with torch.no_grad():
        net.weight.add_(torch.from_numpy(away.astype(np.float32)))
        net.log_scale.fill_(1.3)
    batch = make_batch(log.matrix, user, np.random.default_rng(2), 1 / 3, normal=net.l2_normalize_input)
    x, shown = log.matrix.toarray().astype(np.float64), np.zeros((2, 40))
    shown[np.repeat([0, 1], np.diff(batch.offsets)), batch.input_item] = 1.5
    assert 0 < (shown > 0).sum() < x[user].sum()
    wanted = nll(x[user], shown, ridge(x, 20.0) + away, 1.3).mean() + 7 / 60 * (away**2).sum()
    assert spec.map_loss(net, batch, 60).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("judges", [1024, 25])
def test_the_scale_starts_where_ease_is_most_likely(judges, monkeypatch):
    """Of 60 people every third is asked where 25 may be."""
    monkeypatch.setattr("matinee.models.multi_ease.SCALE_USERS", judges)
    log = random_log(seed=4)
    net = started(MultiEASE(ease_l2=20.0), log)
    x = log.matrix.toarray().astype(np.float64)
    some = x[:: 1 if judges > 60 else 3]
    wanted = minimize_scalar(lambda t: nll(some, some, ridge(x, 20.0), t).sum(), bounds=(-3, 8), method="bounded").x
    assert wanted > 0.5
    assert net.log_scale.item() == pytest.approx(wanted, abs=1e-3)
    assert fit_log_scale(net, log.matrix) == pytest.approx(wanted, abs=1e-3)


def test_its_limit_is_the_maximum_of_the_posterior():
    log = few()
    x, off = log.matrix.toarray().astype(np.float64), ~np.eye(7, dtype=bool)
    middle = ridge(x, 3.0)

    def total(free):
        B = np.zeros((7, 7))
        B[off] = free[:-1]
        return nll(x, x, B, free[-1]).sum() + 200 * ((B - middle) ** 2).sum()

    best = minimize(total, np.append(middle[off], 0.0), method="BFGS", options={"gtol": 1e-5}).x
    wanted = np.zeros((7, 7))
    wanted[off] = best[:-1]
    knobs = {
        "ease_l2": 3.0,
        "l2_to_ease": 200.0,
        "dropout": 0.0,
        "batch_size": 50,
        "epochs": 300,
        "learning_rate": 0.01,
    }
    assert np.abs(wanted - middle).max() > 0.02
    np.testing.assert_allclose(MultiEASE(**knobs).fit(log).weights, wanted, atol=1e-4)


def test_the_penalty_holds_it_near_ease():
    log = random_log()
    ease = EASE(l2=1.0).fit(log).weights
    away = [
        np.linalg.norm(MultiEASE(**TOY | {"l2_to_ease": l2, "learning_rate": 0.01}).fit(log).weights - ease)
        for l2 in (0.0, 30.0, 1e4)
    ]
    assert away[0] > 1.5 * away[1] > 3 * away[2]


def validator(values, seen):
    """Says the values one after the other and keeps what it was asked about; whom it saw before gets the same."""

    def validate(model):
        for weights, value in seen:
            if np.array_equal(weights, model.weights):
                return value
        seen.append((model.weights, values[min(len(seen), len(values) - 1)]))
        return seen[-1][1]

    return validate


def test_epochs_of_the_stop_fold_are_frozen():
    """The third epoch is best, better than EASE, which is asked about first."""
    log, seen = random_log(), []
    patience = TrainConfig(1, 1.0).patience
    values = [0.25, 0.1, 0.2, 0.3] + [0.2] * patience
    spec = MultiEASE(**TOY | {"epochs": 100})
    model = spec.fit(log, FitContext(seed=4, validate=validator(values, seen)))
    settled = model.spec
    assert settled.epochs == 3
    assert len(seen) == 1 + 3 + patience
    np.testing.assert_array_equal(model.weights, seen[3][0])
    np.testing.assert_allclose(seen[0][0], EASE(l2=1.0).fit(log).weights, atol=1e-5)
    np.testing.assert_array_equal(settled.fit(log, FitContext(seed=4)).weights, model.weights)


@pytest.mark.parametrize("ease", [0.3, 0.31])
def test_ease_wins_where_nothing_was_better(ease):
    log, seen = random_log(), []
    values = [ease, 0.1, 0.3, 0.2]
    model = MultiEASE(**TOY | {"epochs": 3}).fit(log, FitContext(seed=4, validate=validator(values, seen)))
    settled = model.spec
    assert settled.epochs == 0
    np.testing.assert_array_equal(model.weights, seen[0][0])
    np.testing.assert_allclose(model.weights, EASE(l2=1.0).fit(log).weights, atol=1e-5)
    np.testing.assert_array_equal(settled.fit(log).weights, model.weights)


def test_dropout_hides_while_learning():
    log = random_log()
    one, other = (MultiEASE(**TOY | {"dropout": p}).fit(log).weights for p in (0.0, 0.5))
    assert not np.allclose(one, other, atol=1e-3)
