"""AutoRec against a network written out in NumPy, and its linear case against the minimum in closed form."""

from __future__ import annotations

from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch

from matinee.data import Histories, Interactions, Vocabulary
from matinee.models.autorec import AutoRec
from matinee.nn.batches import make_batch
from matinee.nn.losses import LOSSES
from tests.logs import random_log

TOY = {"factors": 24, "epochs": 100, "learning_rate": 0.01}
SMALL = AutoRec(factors=4, epochs=4, learning_rate=0.03)
HIDDEN = {"sigmoid": lambda a: 1 / (1 + np.exp(-a)), "tanh": np.tanh, "identity": lambda a: a}


def weights(model):
    """V, μ, W, b as the header has them: V (factors, n), W (n, factors)."""
    names = ("first.weight", "first.bias", "output.weight", "output.bias")
    first, mu, w, b = (model.state[name].astype(np.float64) for name in names)
    return first.T, mu, w, b


def rebuilt(model, x):
    v, mu, w, b = weights(model)
    return np.stack([w @ HIDDEN[model.spec.activation](v @ row + mu) + b for row in x])


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "identity"])
def test_scores_are_the_network_of_the_header(activation):
    """The history goes in as it stands: it is not divided by its length."""
    log = random_log(seed=2)
    model = SMALL.model_copy(update={"activation": activation}).fit(log)
    wanted = rebuilt(model, log.matrix.toarray())
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_the_objective_is_the_arithmetic_over_every_cell(loss):
    """A batch of some people tells the mean of all: the penalty stays that of 60 people."""
    log = random_log(seed=3)
    spec = SMALL.model_copy(update={"loss": loss, "l2": 7.0})
    model = spec.fit(log)
    net = spec.net(log.n_items, 0)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in model.state.items()})
    x = log.matrix.toarray().astype(np.float64)
    s = rebuilt(model, x)
    p = 1 / (1 + np.exp(-s))
    cells = (x - s) ** 2 if loss == "mse" else -x * np.log(p) - (1 - x) * np.log(1 - p)
    v, _, w, _ = weights(model)
    penalty = 7.0 / 2 * ((v**2).sum() + (w**2).sum())
    for user in (np.arange(60), np.array([31, 4, 9])):
        made = spec.penalized_loss(net, make_batch(log.matrix, user, normal=False), 60)
        assert made.item() == pytest.approx(cells[user].sum(axis=1).mean() + penalty / 60, rel=1e-5)


def shrunk(x, by):
    """x̄ + (x − x̄) Q diagM(f) Q', f = by(s) for each singular value s of X − x̄; and f."""
    mean = x.mean(axis=0)
    _, s, turned = np.linalg.svd(x - mean)
    return mean + (x - mean) @ turned.T @ np.diag(by(s)) @ turned, by(s)


def test_the_linear_case_reaches_its_minimum_in_closed_form():
    """As many factors as items: weak directions are forgotten, which ridge regression of X on itself never does."""
    log = random_log(users=80, items=12, rows=700)
    knobs = {"factors": 12, "activation": "identity", "loss": "mse", "l2": 40.0}
    model = AutoRec(**knobs, epochs=400, batch_size=80, learning_rate=0.02).fit(log)
    x = log.matrix.toarray().astype(np.float64)
    wanted, kept = shrunk(x, lambda s: np.maximum(0, 1 - 20 / s**2))
    assert (kept == 0).sum() == 9
    assert np.ptp(wanted, axis=0).min() > 0.05
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=0.015)
    ridge, _ = shrunk(x, lambda s: s**2 / (s**2 + 20))
    assert np.abs(ridge - wanted).max() > 0.1


def test_the_penalty_is_for_all_people_together():
    """Somebody without a row adds nothing, not even to how much the penalty weighs."""
    log = random_log()
    more = Vocabulary.of(pl.Series([*log.users.ids, 9000, 9001]))
    wide = Interactions.of((more, log.items), log.user, log.item, log.time)
    spec = SMALL.model_copy(update={"l2": 50.0, "batch_size": 60})
    np.testing.assert_array_equal(spec.fit(wide).score(log.histories()), spec.fit(log).score(log.histories()))


def test_at_the_end_of_training_nothing_pulls():
    """The gradient of the header's objective, written out, for a sigmoid layer: 60 people are one batch."""
    log = random_log(items=15)
    x = log.matrix.toarray().astype(np.float64)

    def pull(epochs):
        spec = AutoRec(factors=5, loss="mse", l2=5.0, batch_size=60, learning_rate=0.02, epochs=epochs)
        v, mu, w, b = weights(spec.fit(log))
        z = 1 / (1 + np.exp(-(x @ v.T + mu)))
        error = 2 * (z @ w.T + b - x)  # (users, n)
        back = error @ w * z * (1 - z)  # (users, factors)
        return [error.sum(axis=0), error.T @ z + 5.0 * w, back.sum(axis=0), back.T @ x + 5.0 * v]

    before, after = pull(1), pull(500)
    for start, end in zip(before, after, strict=True):
        assert np.abs(end).max() < 0.05 * np.abs(start).max()


def test_nothing_is_hidden_unless_asked_for(monkeypatch):
    log, shown, objective = random_log(), [], AutoRec.penalized_loss

    def noting(self, net, batch, people):
        shown.append((len(batch.input_item), len(batch.target_item), sorted(set(batch.input_weight.tolist()))))
        return objective(self, net, batch, people)

    monkeypatch.setattr(AutoRec, "penalized_loss", noting)
    AutoRec(factors=3, epochs=1, batch_size=60).fit(log)
    AutoRec(factors=3, epochs=1, batch_size=60, dropout=0.5).fit(log)
    t = log.matrix.nnz
    assert shown[0] == (t, t, [1.0])
    assert shown[1][1:] == (t, [2.0])
    assert 0.35 * t < shown[1][0] < 0.65 * t


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_learns(loss):
    """Two tastes: somebody who took items of one side gets that side first."""
    log = random_log(users=120, rows=2400)
    model = AutoRec(factors=16, batch_size=60, epochs=30, learning_rate=0.03, loss=loss).fit(log)
    scores = model.score(Histories.of([[0, 2, 4, 6], [1, 3, 5, 7]], log.items))
    sides = [scores[:, side::2].mean(axis=1) for side in (0, 1)]
    assert sides[0][0] > sides[1][0]
    assert sides[1][1] > sides[0][1]
    assert set(get_args(AutoRec.model_fields["loss"].annotation)) == set(LOSSES)
