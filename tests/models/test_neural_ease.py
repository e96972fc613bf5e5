"""Neural EASE against x W in NumPy, its loss against arithmetic, and its limits against ridge and a minimiser."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from matinee.models.ease import EASE
from matinee.models.neural_ease import NeuralEASE, init_weights
from matinee.nn.batches import make_batch
from matinee.nn.losses import LOSSES
from tests.logs import random_log
from tests.nn.orders import in_own_order

TOY = {"epochs": 30, "learning_rate": 0.02, "l2": 1.0}
LIMIT = {"batch_size": 50, "epochs": 400, "learning_rate": 0.02, "l2": 4.0}
"""Everybody in one batch, so that nothing is left to chance, and far enough to stand at the minimum."""


def few(seed: int = 5):
    """More people than items: 50 and 7."""
    return random_log(seed, users=50, items=7, rows=170)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_scores_are_x_w_and_the_diagonal_is_zero(loss):
    log = random_log(seed=2)
    model = NeuralEASE(**TOY | {"epochs": 3, "loss": loss}).fit(log)
    wanted = log.matrix.toarray().astype(np.float64) @ model.weights.astype(np.float64)
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)
    np.testing.assert_array_equal(model.weights.diagonal(), np.zeros(40))
    assert (model.weights != 0).mean() > 0.3


@pytest.mark.parametrize("loss", ["bce", "multinomial"])
def test_the_loss_is_the_arithmetic(loss):
    """Two thirds are shown at 3/2, all is asked for; the penalty is spread over the 60 people."""
    log = random_log(seed=3)
    spec, user = NeuralEASE(loss=loss, l2=7.0), np.array([9, 3])
    W = np.random.default_rng(1).normal(scale=0.3, size=(40, 40))
    net = spec.net(40, 0)
    net.load_state_dict({"weight": torch.from_numpy(W.astype(np.float32))})
    batch = make_batch(log.matrix, user, np.random.default_rng(2), 1 / 3, normal=net.l2_normalize_input)
    x, shown = log.matrix.toarray()[user], np.zeros((2, 40))
    shown[np.repeat([0, 1], np.diff(batch.offsets)), batch.input_item] = 1.5
    assert 0 < (shown > 0).sum() < x.sum()
    s = shown @ W
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True) if loss == "multinomial" else 1 / (1 + np.exp(-s))
    judged = -(x * np.log(p) + (loss == "bce") * (1 - x) * np.log(1 - p)).sum(axis=1).mean()
    assert spec.penalized_loss(net, batch, 60).item() == pytest.approx(judged + 7 / 60 * (W**2).sum(), rel=1e-5)


def test_the_gradient_of_the_diagonal_is_zero_and_no_other():
    log = random_log()
    spec = NeuralEASE(loss="mse")
    net = spec.net(40, 0)
    init_weights(net, in_own_order(log), torch.Generator())
    assert not net.weight.any()
    spec.penalized_loss(net, make_batch(log.matrix, np.arange(60), normal=False), 60).backward()
    x = log.matrix.toarray().astype(np.float64)
    wanted = -2 * x.T @ x / 60  # of Σ (x − xW)² / 60 at W = 0
    np.fill_diagonal(wanted, 0.0)
    np.testing.assert_allclose(net.weight.grad, wanted, atol=1e-5)
    np.testing.assert_array_equal(net.weight.grad.diagonal(), np.zeros(40))


def test_with_squared_errors_its_limit_is_ridge_column_by_column():
    log = few()
    x = log.matrix.toarray().astype(np.float64)
    wanted = np.zeros((7, 7))
    for j in range(7):
        rest = np.delete(np.arange(7), j)
        wanted[rest, j] = np.linalg.solve(x[:, rest].T @ x[:, rest] + 4 * np.eye(6), x[:, rest].T @ x[:, j])
    made = NeuralEASE(**LIMIT, loss="mse").fit(log).weights
    assert np.abs(wanted).max() > 0.3
    np.testing.assert_allclose(made, wanted, atol=1e-3)
    np.testing.assert_allclose(made, EASE(l2=4.0).fit(log).weights, atol=1e-3)


@pytest.mark.parametrize("loss", ["bce", "multinomial"])
def test_its_limit_is_the_minimum_of_the_header(loss):
    log = few()
    x, off = log.matrix.toarray().astype(np.float64), ~np.eye(7, dtype=bool)

    def total(free):
        W = np.zeros((7, 7))
        W[off] = free
        s = x @ W
        if loss == "bce":
            judged = np.log1p(np.exp(s)).sum() - (x * s).sum()
        else:
            judged = (x.sum(axis=1) * np.log(np.exp(s).sum(axis=1))).sum() - (x * s).sum()
        return judged + 4 * (W**2).sum()

    wanted = np.zeros((7, 7))
    wanted[off] = minimize(total, np.zeros(42), method="BFGS", options={"gtol": 1e-6}).x
    assert np.abs(wanted).max() > 0.3
    np.testing.assert_allclose(NeuralEASE(**LIMIT, loss=loss).fit(log).weights, wanted, atol=2e-3)


def test_items_nobody_took_together_keep_a_weight_of_zero_under_squared_errors():
    log = random_log(rows=150)
    together = (log.matrix.T @ log.matrix).toarray() > 0
    weights = NeuralEASE(**TOY | {"epochs": 1, "batch_size": 60, "loss": "mse"}).fit(log).weights
    np.testing.assert_array_equal(weights != 0, together & ~np.eye(40, dtype=bool))


def test_every_knob_changes_what_is_learnt():
    log = random_log()
    base = NeuralEASE(**TOY | {"epochs": 3})
    changes = [{}, {"l2": 50.0}, {"dropout": 0.5}, {"batch_size": 7}, {"learning_rate": 0.01}]
    changes += [{"loss": loss} for loss in ("multinomial", "focal", "mse")]
    scores = [base.model_copy(update=change).fit(log).score(log.histories()) for change in changes]
    for place, one in enumerate(scores):
        assert not any(np.allclose(one, other, atol=1e-3) for other in scores[:place])


def test_every_loss_of_lists_can_be_chosen():
    assert set(get_args(NeuralEASE.model_fields["loss"].annotation)) == set(LOSSES)
