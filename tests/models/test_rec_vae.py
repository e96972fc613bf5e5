"""RecVAE against a network in NumPy, its KL against integrals, and its training against two optimisers by turns."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.sparse import csr_array
from scipy.special import log_softmax
from scipy.stats import norm

from matinee.data import Histories
from matinee.models import rec_vae
from matinee.models.rec_vae import PassBatch, RecVAE, composite_kl, init_weights, without_dropout
from matinee.nn.batches import make_batch
from matinee.nn.fit import StepInfo
from matinee.nn.losses import LOSSES
from matinee.nn.train import TrainConfig
from tests.logs import random_log
from tests.nn.orders import in_own_order

TOY = {"factors": 8, "hidden": 32, "epochs": 12, "learning_rate": 0.01}
SMALL = RecVAE(factors=3, hidden=5, epochs=2, learning_rate=0.01)
WEIGHTS = (0.15, 0.75, 0.1)


def normed(h, state, k):
    """Layer normalisation: the variance is that of the row, divided by its width."""
    middle = h - h.mean(axis=1, keepdims=True)
    middle = middle / np.sqrt((middle**2).mean(axis=1, keepdims=True) + 0.1)
    return middle * state[f"posterior.dense.norms.{k}.weight"] + state[f"posterior.dense.norms.{k}.bias"]


def encoded(state, shown):
    """μ and log σ² of dense rows that are weighed and dropped already, (b, d) each."""

    def swish(a):
        return a / (1 + np.exp(-a))

    h = [normed(swish(shown @ state["posterior.first.weight"] + state["posterior.first.bias"]), state, 0)]
    for k in range(4):
        a = h[-1] @ state[f"posterior.dense.layers.{k}.weight"].T + state[f"posterior.dense.layers.{k}.bias"]
        h.append(normed(swish(a + sum(h)), state, k + 1))
    both = h[4] @ state["posterior.heads.weight"].T + state["posterior.heads.bias"]
    mean, log_variance = np.split(both, 2, axis=1)
    return mean, np.clip(log_variance, -10, 10)


def decoded(state, z):
    return z @ state["output.weight"].T + state["output.bias"]


def unit(x):
    return x / np.sqrt(np.maximum(x.sum(axis=1, keepdims=True), 1))


def wild(log, seed):
    """A net with large weights, the second log σ² of everybody out of bounds, and its weights for NumPy."""
    net = SMALL.net(log.n_items, 0)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.normal_(0, 0.7, generator=generator)
        net.posterior.heads.bias[4] = 30.0
        net.output.weight.mul_(0.01)
    return net, {name: tensor.double().numpy().copy() for name, tensor in net.state_dict().items()}


def dense(batch, n):
    """What each row of a batch is shown, as it is weighed, (b, n)."""
    offsets, shown = batch.offsets.numpy(), batch.input_item.numpy()
    return csr_array((batch.input_weight.double().numpy(), shown, offsets), shape=(len(batch), n)).toarray()


def mixture(z, old, weights=WEIGHTS):
    """The prior's density of each dimension."""
    parts = (norm.pdf(z), norm.pdf(z, old[0], np.exp(old[1] / 2)), norm.pdf(z, 0, np.exp(5)))
    return sum(weight * part for weight, part in zip(weights, parts, strict=True))


def test_scores_are_the_network_of_the_header():
    log = random_log(seed=2)
    model = SMALL.model_copy(update={"epochs": 6}).fit(log)
    state = {name: array.astype(np.float64) for name, array in model.state.items()}
    wanted = decoded(state, encoded(state, unit(log.matrix.toarray()))[0])
    assert np.ptp(wanted) > 0.1
    np.testing.assert_allclose(model.score(log.histories()), wanted, atol=1e-5)


@pytest.mark.parametrize("beta", [None, 0.3])
def test_the_encoders_loss_is_the_arithmetic(beta):
    """The net has moved since it was remembered; the batch is dropped out, what the old encoder sees is not."""
    log = random_log(seed=3)
    spec = SMALL.model_copy(update={"gamma": 0.02, "beta": beta})
    net, was = wild(log, 5)
    init_weights(net, in_own_order(log), torch.Generator())
    net.snapshot()
    other, state = wild(log, 6)
    net.load_state_dict(other.state_dict())
    user = np.array([4, 0, 17])
    batch = make_batch(log.matrix, user, np.random.default_rng(1), 0.5)
    assert 0 < len(batch.input_item) < len(batch.target_item)
    x = log.matrix.toarray()[user].astype(np.float64)
    mean, log_variance = encoded(state, dense(batch, log.n_items))
    assert log_variance.max() == 10
    noise = torch.randn((3, 3), generator=torch.Generator().manual_seed(9)).double().numpy()
    z = mean + np.exp(log_variance / 2) * noise
    nll = -(x * log_softmax(decoded(state, z), axis=1)).sum(axis=1)
    said = norm.logpdf(z, mean, np.exp(log_variance / 2)) - np.log(mixture(z, encoded(was, unit(x))))
    weight = 0.02 * x.sum(axis=1) if beta is None else 0.3
    for turn in (0, 1):  # in the second pass the old encoder is not asked again
        made = spec.negative_elbo(net, PassBatch(batch, turn), StepInfo(3.0, torch.Generator().manual_seed(9)))
        assert made.item() == pytest.approx((nll + weight * said.sum(axis=1)).mean(), rel=1e-4)
        net.old_encoder = {}
    assert abs((weight * said.sum(axis=1)).mean()) > 0.01 * nll.mean()


def test_the_decoders_loss_is_the_reconstruction_alone():
    log = random_log(seed=3)
    net, state = wild(log, 6)
    user = np.array([4, 0, 17])
    x = log.matrix.toarray()[user].astype(np.float64)
    mean, log_variance = encoded(state, unit(x))
    noise = torch.randn((3, 3), generator=torch.Generator().manual_seed(9)).double().numpy()
    wanted = -(x * log_softmax(decoded(state, mean + np.exp(log_variance / 2) * noise), axis=1)).sum(axis=1).mean()
    made = SMALL.negative_elbo(
        net, PassBatch(make_batch(log.matrix, user), 3), StepInfo(3.0, torch.Generator().manual_seed(9))
    )
    assert made.item() == pytest.approx(wanted, rel=1e-4)


NOW = (np.array([[0.4, -1.5, 3.0]]), np.array([[0.3, -2.0, 1.0]]))
OLD = (np.array([[0.1, -1.2, -2.0]]), np.array([[-0.5, -2.5, 0.7]]))


def expected(weights):
    """The mean of `divergence` over z ~ NOW, by Gauss–Hermite quadrature of 80 points in each dimension."""
    node, share = np.polynomial.hermite_e.hermegauss(80)
    z = NOW[0] + np.exp(NOW[1] / 2) * node[:, None]
    now, old = ([torch.from_numpy(part).repeat(80, 1) for part in pair] for pair in (NOW, OLD))
    return share @ composite_kl(torch.from_numpy(z), now, old, weights).numpy() / share.sum()


@pytest.mark.parametrize(
    ("weights", "mean", "log_variance"), [((1, 0, 0), 0.0, 0.0), ((0, 1, 0), *OLD), ((0, 0, 1), 0.0, 10.0)]
)
def test_one_normal_as_prior_gives_the_kl_of_two_normals(weights, mean, log_variance):
    m, v = NOW
    ratio = np.exp(v - log_variance)
    wanted = 0.5 * (log_variance - v + ratio + (m - mean) ** 2 / np.exp(log_variance) - 1).sum()
    assert expected(weights) == pytest.approx(wanted, rel=1e-9)


def test_the_kl_to_the_mixture_is_its_integral():
    """Also by the draws that training makes: 200,000 of them, within four standard errors."""
    wanted = 0.0
    for m, v, a, b in zip(*(part[0] for part in (*NOW, *OLD)), strict=True):
        q = norm(m, np.exp(v / 2))
        edges = q.ppf([1e-14, 0.5, 1 - 1e-14])
        wanted += sum(
            quad(lambda z, q=q, a=a, b=b: q.pdf(z) * (q.logpdf(z) - np.log(mixture(z, (a, b)))), low, high)[0]
            for low, high in pairwise(edges)
        )
    assert expected(WEIGHTS) == pytest.approx(wanted, rel=1e-3)
    now, old = ([torch.from_numpy(part).repeat(200_000, 1) for part in pair] for pair in (NOW, OLD))
    moment = StepInfo(0.0, torch.Generator().manual_seed(4))
    drawn = composite_kl(now[0] + torch.exp(0.5 * now[1]) * moment.randn_like(now[0]), now, old).numpy()
    assert drawn.mean() == pytest.approx(wanted, abs=4 * drawn.std() / np.sqrt(len(drawn)))


def test_densities_far_out_stay_finite():
    z = torch.tensor([[1e4, -1e4]])
    narrow = (torch.zeros(1, 2), torch.full((1, 2), -10.0))
    wanted = (norm.logpdf(1e4, 1e4, np.exp(-5)) - np.log(0.1) - norm.logpdf(1e4, 0, np.exp(5))) * 2
    assert composite_kl(z, (z, narrow[1]), narrow).item() == pytest.approx(wanted, rel=1e-5)


def noted(monkeypatch):
    """What every step of the fits to come was given: turn, batch, noise, and the weights before it."""
    steps, bound = [], RecVAE.negative_elbo

    def noting(self, net, batch, moment):
        state = {name: p.detach().clone() for name, p in net.state_dict().items()}
        noise = torch.Generator().set_state(moment.generator.get_state())
        loss = bound(self, net, batch, moment)
        steps.append((batch, batch.batch, noise, state, dict(net.old_encoder)))
        return loss

    monkeypatch.setattr(RecVAE, "negative_elbo", noting)
    return steps


def test_encoder_and_decoder_take_turns(monkeypatch):
    """Weight decay included; the old encoder is that of the epoch's first step, through all passes."""
    steps = noted(monkeypatch)
    spec = SMALL.model_copy(update={"weight_decay": 0.1, "batch_size": 30})
    model = spec.fit(random_log())
    assert [step[0].number for step in steps] == [0, 0, 1, 1, 2, 2, 3, 3] * 2
    assert [step[0].epoch_start for step in steps] == [True, *[False] * 7] * 2
    after = [step[3] for step in steps[1:]]
    for (moment, batch, _, before, _), then in zip(steps, after, strict=False):
        moved = {name for name in before if not torch.equal(before[name], then[name])}
        of_encoder = {name for name in before if name.startswith("posterior.")}
        assert moved == ({"output.weight", "output.bias"} if moment.number == 3 else of_encoder)
        assert (len(batch.input_item) == len(batch.target_item)) == (moment.number == 3)
    for n, step in enumerate(steps):
        found = steps[n // 8 * 8][3]
        assert step[4].keys() == {name.removeprefix("posterior.") for name in found if name.startswith("posterior.")}
        assert all(torch.equal(array, found[f"posterior.{name}"]) for name, array in step[4].items())
    assert not any("before" in name for name in model.state)


class Twin(torch.nn.Module):
    """The encoder on dense input, layer by layer."""

    def __init__(self, n, h, d):
        super().__init__()
        self.linear = torch.nn.ModuleList([torch.nn.Linear(n, h), *(torch.nn.Linear(h, h) for _ in range(4))])
        self.norm = torch.nn.ModuleList(torch.nn.LayerNorm(h, eps=0.1) for _ in range(5))
        self.mean, self.log_variance = torch.nn.Linear(h, d), torch.nn.Linear(h, d)

    def take(self, state, d):
        mine = {f"norm.{k}.{n}": state[f"posterior.dense.norms.{k}.{n}"] for k in range(5) for n in ("weight", "bias")}
        mine |= {
            f"linear.{k + 1}.{n}": state[f"posterior.dense.layers.{k}.{n}"]
            for k in range(4)
            for n in ("weight", "bias")
        }
        mine |= {"linear.0.weight": state["posterior.first.weight"].T, "linear.0.bias": state["posterior.first.bias"]}
        for n in ("weight", "bias"):
            mine |= {
                f"mean.{n}": state[f"posterior.heads.{n}"][:d],
                f"log_variance.{n}": state[f"posterior.heads.{n}"][d:],
            }
        self.load_state_dict(mine)

    def forward(self, x):
        one = self.norm[0](torch.nn.functional.silu(self.linear[0](x)))
        two = self.norm[1](torch.nn.functional.silu(self.linear[1](one) + one))
        three = self.norm[2](torch.nn.functional.silu(self.linear[2](two) + one + two))
        four = self.norm[3](torch.nn.functional.silu(self.linear[3](three) + one + two + three))
        five = self.norm[4](torch.nn.functional.silu(self.linear[4](four) + one + two + three + four))
        return self.mean(five), self.log_variance(five).clamp(-10, 10)


def test_training_is_that_of_two_optimisers(monkeypatch):
    """The whole loss and all gradients in every pass, in float64; one Adam steps for the encoder, one for the other."""
    monkeypatch.setattr(rec_vae, "TrainConfig", partial(TrainConfig, allow_bf16=False))
    steps = noted(monkeypatch)
    spec = SMALL.model_copy(update={"batch_size": 20, "epochs": 3, "gamma": 0.1})
    log = random_log(seed=8)
    spec.fit(log)
    n, start = log.n_items, steps[0][3]
    now, old, output = Twin(n, 5, 3).double(), Twin(n, 5, 3).double(), torch.nn.Linear(3, n).double()
    now.take(start, 3)
    output.load_state_dict({"weight": start["output.weight"], "bias": start["output.bias"]})
    optimisers = torch.optim.Adam(now.parameters(), lr=0.01), torch.optim.Adam(output.parameters(), lr=0.01)
    for at, (moment, batch, noise, _, _) in enumerate(steps[:-1]):
        if at % 12 == 0:
            old.load_state_dict(now.state_dict())
        x = torch.zeros(len(batch), n, dtype=torch.float64).index_put_(
            (batch.target_row, batch.target_item), torch.tensor(1.0).double()
        )
        mean, log_variance = now(torch.from_numpy(dense(batch, n)))
        z = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=noise).double()
        with torch.no_grad():
            a, b = old(torch.nn.functional.normalize(x))
        normals = [torch.distributions.Normal(m, s) for m, s in ((0.0, 1.0), (a, (b / 2).exp()), (0.0, np.exp(5.0)))]
        p = sum(w * one.log_prob(z).exp() for w, one in zip(WEIGHTS, normals, strict=True))
        kl = (torch.distributions.Normal(mean, (log_variance / 2).exp()).log_prob(z) - p.log()).sum(dim=1)
        nll = -(x * torch.log_softmax(output(z), dim=1)).sum(dim=1)
        for optimiser in optimisers:
            optimiser.zero_grad()
        (nll + 0.1 * x.sum(dim=1) * kl).mean().backward()
        optimisers[moment.number == 3].step()
    end = steps[-1][3]
    now_end = Twin(n, 5, 3).double()
    now_end.take(end, 3)
    pairs = [*zip(now.parameters(), now_end.parameters(), strict=True), (output.weight, end["output.weight"])]
    began = Twin(n, 5, 3).double()
    began.take(start, 3)
    for (one, other), first in zip(pairs, [*began.parameters(), start["output.weight"]], strict=True):
        assert (one - other).norm() < 1e-3 * (one - first).norm()


def test_the_whole_batch_is_the_batch_without_dropout():
    log = random_log()
    matrix = csr_array(log.matrix.toarray() * (np.arange(log.n_users) != 2)[:, None])
    user = np.array([5, 2, 9, 1])
    made = without_dropout(make_batch(matrix, user, np.random.default_rng(0), 0.7))
    wanted = make_batch(matrix, user)
    assert wanted.offsets.diff()[1] == 0
    for name in ("user", "target_row", "target_item", "offsets", "input_item"):
        assert torch.equal(getattr(made, name), getattr(wanted, name)), name
    torch.testing.assert_close(made.input_weight, wanted.input_weight)


@pytest.mark.parametrize("beta", [None, 0.2])
@pytest.mark.parametrize("turn", [0, 3])
def test_empty_rows_do_no_harm(beta, turn):
    matrix = csr_array(random_log().matrix.toarray() * (np.arange(60) % 2)[:, None])
    net, _ = wild(random_log(), 1)
    net.n_users = 60
    spec = SMALL.model_copy(update={"beta": beta})
    batch = make_batch(matrix, np.arange(6), np.random.default_rng(0), 0.5)
    loss = spec.negative_elbo(
        net, PassBatch(batch, turn, epoch_start=True), StepInfo(0.0, torch.Generator().manual_seed(0))
    )
    loss.backward()
    assert np.isfinite(loss.item())
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert spec.kl_weight(batch).tolist()[::2] == [pytest.approx(beta or 0.0)] * 3


def test_layer_normalisation_starts_as_the_identity():
    model = RecVAE(factors=3, hidden=5, epochs=1, learning_rate=1e-12).fit(random_log())
    for k in range(5):
        np.testing.assert_allclose(model.state[f"posterior.dense.norms.{k}.weight"], 1, atol=1e-6)
        np.testing.assert_allclose(model.state[f"posterior.dense.norms.{k}.bias"], 0, atol=1e-6)


@pytest.mark.parametrize("loss", get_args(RecVAE.model_fields["loss"].annotation))
def test_every_loss_of_lists_learns(loss):
    """Two tastes: somebody who took items of one side gets that side first."""
    log = random_log(users=120, rows=2400)
    model = RecVAE(**TOY | {"loss": loss, "batch_size": 40}).fit(log)
    scores = model.score(Histories.of([[0, 2, 4, 6], [1, 3, 5, 7]], log.items))
    sides = [scores[:, side::2].mean(axis=1) for side in (0, 1)]
    assert sides[0][0] > sides[1][0]
    assert sides[1][1] > sides[0][1]
    assert set(get_args(RecVAE.model_fields["loss"].annotation)) == set(LOSSES)
