"""VASP against both of its paths written out in NumPy, its loss against arithmetic, and what must never move."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch

from matinee.contract import FitContext
from matinee.data import Histories
from matinee.models import vasp
from matinee.models.vasp import MAX_ITEMS, VASP, init_weights
from matinee.nn.autoencoder import TrainedAutoEncoder
from matinee.nn.batches import half_split_batches, make_batch
from matinee.nn.blocks import init_parameters
from matinee.nn.fit import StepInfo, meta_network
from tests.logs import random_log
from tests.nn.orders import in_own_order

TOY = {"factors": 8, "hidden": 24, "epochs": 20, "learning_rate": 0.02}
SMALL = VASP(factors=3, hidden=5, epochs=6, learning_rate=0.02, shallow_item_share=0.5)
"""Deep enough that every sum of layers has two terms or more where there is one."""
DEEP = SMALL.model_copy(update={"encoder_layers": 4, "decoder_layers": 3})


def log_sigma(s):
    return -np.log1p(np.exp(-s))


def layers(state, name, first):
    """h_k = LN(swish(W_k h_{k−1} + b_k + Σ_{1≤j<k} h_j)), given W_1 h_0 + b_1, by the header's formula."""
    made = []
    for k in range(sum(key.startswith(f"{name}.norms") for key in state) // 2):
        inner = first
        if k > 0:
            at = f"{name}.layers.{k - 1}"
            inner = made[-1] @ state[f"{at}.weight"].T + state[f"{at}.bias"] + sum(made)
        swish = inner / (1 + np.exp(-inner))
        centred = swish - swish.mean(axis=1, keepdims=True)
        even = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-3)
        made.append(even * state[f"{name}.norms.{k}.weight"] + state[f"{name}.norms.{k}.bias"])
    return made[-1]


def encoded(state, x):
    """μ and log σ² of rows x (b, n), (b, d) each."""
    h = layers(state, "encoder", x @ state["first.weight"] + state["first.bias"])
    return np.split(h @ state["posterior.weight"].T + state["posterior.bias"], 2, axis=1)


def factors(state, z, x):
    """The three logits (b, n) whose sigmoids are multiplied."""
    d = layers(state, "decoder", z @ state["decoder_in.weight"].T + state["decoder_in.bias"])
    deep = d @ state["deep.weight"].T + state["deep.bias"]
    straight = z @ state["skip.weight"].T + state["skip.bias"]
    wide, seat = np.zeros((x.shape[1], x.shape[1])), state["shallow.slot"].astype(int)
    for i in np.flatnonzero(seat >= 0):
        for j in np.flatnonzero(seat >= 0):
            wide[i, j] = state["shallow.weight"][seat[i], seat[j]]
    return deep, straight, x @ wide


def in_long_numbers(state):
    return {name: array.astype(np.float64) for name, array in state.items()}


def loaded(spec, model, n_items):
    net = spec.net(n_items, 0)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in model.state.items()})
    return net


@pytest.mark.parametrize("spec", [SMALL, DEEP, DEEP.model_copy(update={"shallow_item_share": None})])
def test_scores_are_the_two_paths_of_the_header(spec):
    log = random_log(seed=2)
    model = spec.fit(log)
    state, x = in_long_numbers(model.state), log.matrix.toarray().astype(np.float64)
    logits = factors(state, encoded(state, x)[0], x)
    assert min(np.ptp(part) for part in logits) > 0.1
    made = model.score(log.histories())
    np.testing.assert_allclose(made, sum(log_sigma(part) for part in logits), atol=2e-5)
    product = np.prod([1 / (1 + np.exp(-part)) for part in logits], axis=0)
    assert product.min() > 1e-30
    np.testing.assert_allclose(np.exp(made.astype(np.float64)), product, rtol=1e-4)
    for row in range(5):
        np.testing.assert_array_equal(np.argsort(-made[row])[:5], np.argsort(-product[row])[:5])


def test_scores_go_on_where_the_product_is_nothing():
    """Logits of −60, −70 and −80: in float32 their sigmoids' product is 0, its logarithm −210."""
    log = random_log()
    net = loaded(SMALL, SMALL.fit(log), log.n_items)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.fill_({"deep.bias": -60.0, "skip.bias": -70.0}.get(name, 0.0))
        net.shallow.weight.fill_(-80.0)
        seats = (net.shallow.slot >= 0).numpy()
        asked = make_batch(log.matrix[[0]][:, :], np.array([0]), normal=False)
        shown = int(np.isin(asked.input_item.numpy(), np.flatnonzero(seats)).sum())
        made = net(asked)[0].numpy()
    np.testing.assert_allclose(made[seats], -130 - 80 * shown, rtol=1e-6)
    np.testing.assert_allclose(made[~seats], -130 - np.log(2), rtol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_the_bound_is_the_arithmetic(beta):
    """ε is drawn by the same generator; what is asked for is not what is shown."""
    log = random_log(seed=3)
    spec = DEEP.model_copy(update={"beta": beta, "alpha": 0.4, "gamma": 1.5})
    net = loaded(spec, spec.fit(log), log.n_items)
    with torch.no_grad():
        net.posterior.bias.copy_(torch.tensor([0.3, -0.2, 0.1, -1.0, 0.5, 14.0]))  # the last is kept at 10
    state = in_long_numbers({name: tensor.numpy() for name, tensor in net.state_dict().items()})
    batch = next(half_split_batches(log.matrix, 3, np.random.default_rng(5)))
    x, y = np.zeros((6, log.n_items)), np.zeros((6, log.n_items))
    x[np.repeat(np.arange(6), np.diff(batch.offsets)), batch.input_item] = 1
    y[batch.target_row, batch.target_item] = 1
    assert (x * y).sum() == 0
    np.testing.assert_array_equal(x[:3] + x[3:], log.matrix.toarray()[batch.user[:3]])
    mean, log_variance = encoded(state, x)
    assert log_variance.max() > 12
    log_variance = np.minimum(log_variance, 10)
    noise = torch.randn((6, 3), generator=torch.Generator().manual_seed(9)).double().numpy()
    p = np.exp(sum(log_sigma(part) for part in factors(state, mean + np.exp(log_variance / 2) * noise, x)))
    focal = -(0.4 * y * (1 - p) ** 1.5 * np.log(p) + 0.6 * (1 - y) * p**1.5 * np.log(1 - p)).sum(axis=1)
    divergence = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).mean(axis=1)
    made = spec.negative_elbo(net, batch, StepInfo(0.0, torch.Generator().manual_seed(9)))
    assert made.item() == pytest.approx((focal + beta * divergence).mean(), rel=1e-4)


def test_every_weight_learns():
    """No part is cut off from the loss; in W each pair of seats somebody's history may teach, but the diagonal."""
    log = random_log()
    spec = DEEP.model_copy(update={"epochs": 1})
    net = loaded(spec, spec.fit(log), log.n_items)
    init_weights(net, in_own_order(log), torch.Generator())
    for batch in half_split_batches(log.matrix, 60, np.random.default_rng(1)):
        spec.negative_elbo(net, batch, StepInfo(0.0, torch.Generator().manual_seed(0))).backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 1e-9, name
    grad = net.shallow.weight.grad
    assert grad is not None
    assert (grad.diagonal() == 0).all()
    assert (grad != 0).sum() > 0.9 * 20 * 19


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_the_diagonal_stays_exactly_nothing(l2, tmp_path, monkeypatch):
    """Through Adam, weight decay, and a checkpoint; everything else of W moves."""
    from matinee.nn import train

    monkeypatch.setattr(train, "monotonic", count(0, 100).__next__)
    log = random_log()
    for epochs in (4, 9):
        spec = SMALL.model_copy(update={"epochs": epochs, "weight_decay": l2, "shallow_item_share": None})
        weight = spec.fit(log, FitContext(checkpoint_dir=tmp_path)).state["shallow.weight"]
        assert weight.shape == (40, 40)
        assert (np.diag(weight) == 0).all()
        assert (weight != 0).sum() > 0.9 * 40 * 39


def test_seats_are_those_of_the_most_popular_whatever_their_codes():
    log = random_log()
    model = SMALL.fit(log)
    seat = model.state["shallow.slot"].astype(int)
    assert sorted(seat[seat >= 0].tolist()) == list(range(20))
    assert (seat < 0).sum() == 20
    assert log.popularity[seat >= 0].min() >= log.popularity[seat < 0].max()
    assert (np.diff(log.popularity[np.argsort(seat)[20:]]) <= 0).all()
    assert np.ptp(seat[:20]) > 20 or (seat[:20] < 0).any()  # codes do not go with popularity in this log


def test_half_of_the_seats_is_the_whole_with_nothing_between_others():
    """W (m, m) of the popular half scores as the whole W does that is 0 but in that block."""
    log = random_log()
    model = SMALL.fit(log)
    seat, n = model.state["shallow.slot"].astype(int), log.n_items
    wide = np.zeros((n, n), dtype=np.float32)
    some = np.flatnonzero(seat >= 0)
    wide[np.ix_(some, some)] = model.state["shallow.weight"][np.ix_(seat[some], seat[some])]
    state = model.state | {"shallow.weight": wide, "shallow.slot": np.arange(n, dtype=np.float32)}
    whole = SMALL.model_copy(update={"shallow_item_share": 1.0})
    again = TrainedAutoEncoder(whole, model.items, state, model.popularity)
    np.testing.assert_allclose(again.score(log.histories()), model.score(log.histories()), rtol=1e-5, atol=1e-6)


def test_at_first_norms_have_scale_one_and_the_shallow_path_says_nothing():
    log = random_log()
    net = SMALL.net(log.n_items, 0)
    for p in net.parameters():
        torch.nn.init.constant_(p, 0.3)
    init_parameters(net, torch.Generator())
    init_weights(net, in_own_order(log), torch.Generator())
    for norm in (*net.encoder.norms, *net.decoder.norms):
        assert (norm.weight == 1).all()
        assert (norm.bias == 0).all()
    assert (net.shallow.weight == 0).all()
    assert net.shallow.slot.tolist() == [*range(20), *[-1] * 20]
    assert (net.first.weight != 0.3).all()


@pytest.mark.parametrize(
    ("share", "n_items", "seats"),
    [
        (None, 40, 40),
        (None, MAX_ITEMS, MAX_ITEMS),
        (None, 30_001, MAX_ITEMS),
        (0.33, 1000, 330),
        (1.0, 50_000, 50_000),
        (0.1, 3, 1),
    ],
)
def test_how_many_have_a_seat(share, n_items, seats):
    net = meta_network(VASP(shallow_item_share=share, hidden=2, factors=2).net, n_items, 0)
    assert net.get_parameter("shallow.weight").shape == (seats, seats)


def test_a_tastes_side_comes_first():
    """Two tastes: somebody who took items of one side gets that side first."""
    log = random_log(users=120, rows=2400)
    asked = Histories.of([[0, 2, 4, 6], [1, 3, 5, 7]], log.items)
    scores = VASP(**TOY).fit(log).score(asked)
    sides = [scores[:, 8 + side :: 2].mean(axis=1) for side in (0, 1)]
    assert sides[0][0] - sides[1][0] > 0.1
    assert sides[1][1] - sides[0][1] > 0.1


def test_what_is_learnt_from_is_halves(monkeypatch):
    """Nothing shown is asked for, all is shown and asked for once an epoch, and other halves come in each epoch."""
    log, drawn, bound = random_log(), [], VASP.negative_elbo

    def noting(self, net, batch, moment):
        row = np.repeat(np.arange(len(batch)), np.diff(batch.offsets))
        shown = set(zip(row.tolist(), batch.input_item.tolist(), strict=True))
        asked = set(zip(batch.target_row.tolist(), batch.target_item.tolist(), strict=True))
        assert not shown & asked
        assert (batch.input_weight == 1).all()
        drawn.append((int(moment.epoch), len(shown), len(asked)))
        return bound(self, net, batch, moment)

    monkeypatch.setattr(VASP, "negative_elbo", noting)
    SMALL.fit(log)
    for epoch in range(SMALL.epochs):
        for part in (1, 2):
            assert sum(one[part] for one in drawn if one[0] == epoch) == log.matrix.nnz


def test_the_rate_falls_from_the_first_epoch_to_the_hundredth_whatever_the_epochs():
    plans = []

    class Stop(Exception):
        pass

    def noting(spec, data, ctx, setup):
        plans.append(setup.config)
        raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vasp, "fit_autoencoder", noting)
        for epochs in (5, 100):
            with pytest.raises(Stop):
                VASP(epochs=epochs, learning_rate=0.002).fit(random_log())
    for plan in plans:
        np.testing.assert_allclose([plan.lr_at(now) for now in (0, 50, 100)], [0.002, 0.001, 0], atol=1e-12)
