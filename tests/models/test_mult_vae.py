"""Mult-VAE against a network written out in NumPy, the bound against arithmetic, and how it is stopped and settled."""

from __future__ import annotations

from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch

from matinee.data import Histories, Interactions, Vocabulary
from matinee.models.mult_dae import MultDAE
from matinee.models.mult_vae import MultVAE
from matinee.nn.batches import make_batch
from matinee.nn.fit import StepInfo
from matinee.nn.losses import LOSSES
from tests.logs import random_log

TOY = {"factors": 8, "hidden": 32, "epochs": 60, "learning_rate": 0.01}
SMALL = MultVAE(factors=3, hidden=5, epochs=4, learning_rate=0.01)


def encoded(state, x):
    """μ and log σ² of 0/1 rows by the header's formulas, (b, d) each; x is dense here."""
    shown = x / np.sqrt(np.maximum(x.sum(axis=1, keepdims=True), 1))
    h = np.tanh(shown @ state["first.weight"] + state["first.bias"])
    both = h @ state["posterior.weight"].T + state["posterior.bias"]
    return np.split(both, 2, axis=1)


def decoded(state, z):
    h = np.tanh(z @ state["decoder.layers.0.weight"].T + state["decoder.layers.0.bias"])
    return h @ state["output.weight"].T + state["output.bias"]


def test_scores_are_the_network_of_the_header():
    log = random_log(seed=2)
    model = SMALL.fit(log)
    state = {name: array.astype(np.float64) for name, array in model.state.items()}
    wanted = decoded(state, encoded(state, log.matrix.toarray())[0])
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)


@pytest.mark.parametrize(("now", "weight"), [(0.0, 0.0), (5.0, 0.1), (50.0, 0.4)])
def test_the_bound_is_the_arithmetic(now, weight):
    """ε is drawn by the same generator; β is 0.4 after 20 epochs and a quarter of that after 5."""
    log = random_log(seed=3)
    spec = SMALL.model_copy(update={"beta": 0.4})
    model = spec.fit(log)
    net = spec.net(log.n_items, 0)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in model.state.items()})
    with torch.no_grad():
        net.posterior.bias.copy_(torch.tensor([0.3, -0.2, 0.1, -1.0, 0.5, 14.0]))  # the last is kept at 10
    state = {name: tensor.double().numpy() for name, tensor in net.state_dict().items()}
    user = np.array([4, 0, 17])
    x = log.matrix.toarray()[user].astype(np.float64)
    mean, log_variance = encoded(state, x)
    assert log_variance.max() > 12
    log_variance = np.minimum(log_variance, 10)
    noise = torch.randn((3, 3), generator=torch.Generator().manual_seed(9)).double().numpy()
    s = decoded(state, mean + np.exp(log_variance / 2) * noise)
    nll = -(x * (s - np.log(np.exp(s).sum(axis=1, keepdims=True)))).sum(axis=1)
    divergence = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
    made = spec.negative_elbo(net, make_batch(log.matrix, user), StepInfo(now, torch.Generator().manual_seed(9)))
    assert made.item() == pytest.approx((nll + weight * divergence).mean(), rel=1e-4)


def test_without_a_hidden_layer_both_sides_are_linear():
    log = random_log(seed=2)
    model = MultVAE(factors=3, hidden=0, epochs=4, learning_rate=0.01).fit(log)
    state = {name: array.astype(np.float64) for name, array in model.state.items()}
    x = log.matrix.toarray()
    shown = x / np.sqrt(np.maximum(x.sum(axis=1, keepdims=True), 1))
    mean = (shown @ state["first.weight"] + state["first.bias"])[:, :3]
    wanted = mean @ state["output.weight"].T + state["output.bias"]
    assert np.ptp(wanted) > 0.05
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", [MultVAE, MultDAE])
def test_a_hidden_layer_takes_people_enough_unless_it_is_asked_for(kind, monkeypatch):
    """Sixty people learn, of a vocabulary of 600 or of their own."""
    log = random_log()
    wide = Interactions.of((Vocabulary.of(pl.Series(range(600))), log.items), 9 * log.user, log.item, log.time)
    few, some = kind(factors=3, epochs=1), kind(factors=3, epochs=1, hidden=4)
    assert some.fit(log).spec.hidden == 4
    monkeypatch.setattr("matinee.nn.autoencoder.HIDDEN_FROM_USERS", 61)
    assert [few.fit(data).spec.hidden for data in (log, wide)] == [0, 0]
    monkeypatch.setattr("matinee.nn.autoencoder.HIDDEN_FROM_USERS", 60)
    assert [few.fit(data).spec.hidden for data in (log, wide)] == [600, 600]


def test_a_knob_changes_the_loss_it_names():
    log = random_log()
    scores = [SMALL.model_copy(update={"loss": loss}).fit(log).score(log.histories()) for loss in ("bce", "mse")]
    scores.append(SMALL.fit(log).score(log.histories()))
    assert not np.allclose(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])


@pytest.mark.parametrize("loss", ["bce", "focal", "mse"])
def test_every_loss_learns(loss):
    """Two tastes: somebody who took items of one side gets that side first."""
    log = random_log(users=120, rows=2400)
    model = MultVAE(**TOY | {"loss": loss, "beta": 0.05}).fit(log)
    scores = model.score(Histories.of([[0, 2, 4, 6], [1, 3, 5, 7]], log.items))
    sides = [scores[:, side::2].mean(axis=1) for side in (0, 1)]
    assert sides[0][0] > sides[1][0]
    assert sides[1][1] > sides[0][1]


@pytest.mark.parametrize("kind", [MultVAE, MultDAE])
def test_every_loss_of_lists_can_be_chosen(kind):
    assert set(get_args(kind.model_fields["loss"].annotation)) == set(LOSSES)


def test_a_batch_is_a_64th_of_the_people_within_bounds():
    from matinee.nn.autoencoder import default_batch_size

    assert [default_batch_size(n) for n in (60, 1_000, 2_000, 31_360, 100_000)] == [16, 16, 31, 490, 500]
