"""Mult-DAE against a network written out in NumPy, and its place beside Mult-VAE."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from matinee.models.mult_dae import MultDAE
from matinee.models.mult_vae import MultVAE
from matinee.nn.batches import make_batch
from matinee.nn.fit import StepInfo
from tests.logs import random_log

TOY = {"factors": 16, "epochs": 60, "learning_rate": 0.01}


@pytest.mark.parametrize("hidden", [None, 7])
def test_scores_are_the_network_of_the_header(hidden):
    log = random_log(seed=2)
    model = MultDAE(factors=4, hidden=hidden, epochs=4, learning_rate=0.01).fit(log)
    state = {name: array.astype(np.float64) for name, array in model.state.items()}
    x = log.matrix.toarray()
    h = np.tanh(x / np.sqrt(x.sum(axis=1, keepdims=True)) @ state["first.weight"] + state["first.bias"])
    for layer in range(0 if hidden is None else 2):
        h = np.tanh(h @ state[f"middle.layers.{layer}.weight"].T + state[f"middle.layers.{layer}.bias"])
    wanted = h @ state["output.weight"].T + state["output.bias"]
    assert np.ptp(wanted) > 0.1
    assert {name: array.shape for name, array in state.items() if "weight" in name} == (
        {"first.weight": (40, 4), "output.weight": (40, 4)}
        if hidden is None
        else {
            "first.weight": (40, 7),
            "middle.layers.0.weight": (4, 7),
            "middle.layers.1.weight": (7, 4),
            "output.weight": (40, 7),
        }
    )
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)


@pytest.mark.parametrize("loss", ["multinomial", "bce"])
def test_the_loss_is_the_mean_over_people(loss):
    log = random_log(seed=3)
    spec = MultDAE(factors=4, epochs=2, loss=loss)
    model = spec.fit(log)
    net = spec.net(log.n_items, 0)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in model.state.items()})
    user = np.array([9, 3])
    x, s = log.matrix.toarray()[user], model.score(log.histories(user)).astype(np.float64)
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True) if loss == "multinomial" else 1 / (1 + np.exp(-s))
    wanted = -(x * np.log(p) + (loss == "bce") * (1 - x) * np.log(1 - p)).sum(axis=1).mean()
    made = spec.reconstruction_loss(net, make_batch(log.matrix, user), StepInfo(0.0, torch.Generator()))
    assert made.item() == pytest.approx(wanted, rel=1e-5)


def test_a_mult_vae_without_noise_and_prior_is_this_model():
    """σ → 0 and β = 0: the posterior's mean is a linear layer where this model has one with tanh."""
    log = random_log(seed=4)
    spec = MultVAE(factors=3, hidden=5, beta=0.0)
    net, user = spec.net(log.n_items, 0), np.arange(6)
    torch.nn.init.constant_(net.first.weight, 0.1)
    torch.nn.init.normal_(net.first.bias, generator=torch.Generator().manual_seed(0))
    for name, p in net.named_parameters():
        if not name.startswith("first"):
            torch.nn.init.normal_(p, generator=torch.Generator().manual_seed(len(name)))
    with torch.no_grad():
        net.posterior.weight[3:] = 0
        net.posterior.bias[3:] = -1e9  # kept at −10: σ = 0.0067
    batch = make_batch(log.matrix, user)
    quiet = spec.negative_elbo(net, batch, StepInfo(50.0, torch.Generator().manual_seed(1))).item()
    wanted = MultDAE().reconstruction_loss(net, batch, StepInfo(0.0, torch.Generator())).item()
    assert quiet == pytest.approx(wanted, rel=2e-3)


def test_weight_decay_makes_weights_smaller():
    log = random_log()
    size = [np.abs(MultDAE(**TOY | {"weight_decay": l2}).fit(log).state["first.weight"]).mean() for l2 in (0.0, 1.0)]
    assert size[1] < 0.8 * size[0]
