"""Item-VAE against a network and a regression written out in NumPy, and against audiences that were planted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from matinee.contract import FitContext, Mask
from matinee.data import Histories, Interactions, Vocabulary
from matinee.fitted import DotProduct, LinearFoldIn
from matinee.models import CATALOGUE, item_vae
from matinee.models.item_vae import ItemVAE
from matinee.nn.batches import make_batch
from matinee.nn.fit import StepInfo
from matinee.storage import load, save
from matinee.topk import recommend
from tests.logs import log_of, random_log

TOY = {"factors": 8, "hidden": 32, "epochs": 60, "learning_rate": 0.01}
SMALL = ItemVAE(factors=3, hidden=5, epochs=4, learning_rate=0.01)


def wider(log: Interactions) -> Interactions:
    """The same rows with a person and an item more, both first among the codes, that have none."""
    users, items = (Vocabulary.of(pl.Series([1, *v.ids])) for v in (log.users, log.items))
    return Interactions.of((users, items), log.user + 1, log.item + 1, log.time)


def encoded(state, x):
    """μ and log σ² of 0/1 rows by the header's formulas, (b, d) each; x is dense here."""
    shown = x / np.sqrt(np.maximum(x.sum(axis=1, keepdims=True), 1))
    h = np.tanh(shown @ state["first.weight"] + state["first.bias"])
    return np.split(h @ state["posterior.weight"].T + state["posterior.bias"], 2, axis=1)


def features(state, z):
    return np.tanh(z @ state["decoder.layers.0.weight"].T + state["decoder.layers.0.bias"])


def explained(H, x, p, penalty):
    """The score of one history: p + H w, w by least squares of x − p with penalty‖w‖² as further rows."""
    rows = np.vstack([H, np.sqrt(penalty) * np.eye(H.shape[1])])
    w = np.linalg.lstsq(rows, np.concatenate([x - p, np.zeros(H.shape[1])]), rcond=None)[0]
    return p + H @ w


def watched(monkeypatch):
    """Where the weights that `described` is given are kept, in float64."""
    kept, described = {}, item_vae.item_features

    def watching(spec, state, turned, device="cpu"):
        kept.update({name: array.astype(np.float64) for name, array in state.items()})
        return described(spec, state, turned, device)

    monkeypatch.setattr(item_vae, "item_features", watching)
    return kept


def test_scores_are_the_network_and_the_regression_of_the_header(monkeypatch):
    log = wider(random_log(seed=2))
    state = watched(monkeypatch)
    model = SMALL.model_copy(update={"readout_l2": 0.3}).fit(log)
    x = log.matrix.toarray().astype(np.float64)
    some = x.any(axis=1)
    assert state["first.weight"].shape == state["output.weight"].shape == (60, 5)  # people with rows
    taken = x.any(axis=0)
    H = features(state, encoded(state, x[some][:, taken].T)[0])
    p = x.sum(axis=0)[taken] / 60
    penalty = 0.3 * (H**2).sum() / 5
    wanted = np.array([explained(H, row, p, penalty) for row in x[some][:, taken]])
    assert np.ptp(wanted - p) > 0.1
    np.testing.assert_allclose(model.score(log.histories())[np.ix_(some, taken)], wanted, atol=2e-5)


@pytest.mark.parametrize(("now", "weight"), [(0.0, 0.0), (5.0, 0.2), (50.0, 0.4)])
def test_the_bound_is_the_arithmetic(now, weight):
    """ε is drawn by the same generator; β is 0.4 after 10 epochs and half of that after 5."""
    turned = item_vae.transposed_data(random_log(seed=3))
    spec = SMALL.model_copy(update={"beta": 0.4})
    net = spec.net(turned.n_items, 0)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.5, generator=torch.Generator().manual_seed(p.numel()))
    with torch.no_grad():
        net.posterior.bias.copy_(torch.tensor([0.3, -0.2, 0.1, -1.0, 0.5, 19.0]))  # the last is kept at 10
    state = {name: tensor.double().numpy() for name, tensor in net.state_dict().items()}
    item = np.array([4, 0, 17])
    x = turned.matrix.toarray()[item].astype(np.float64)
    mean, log_variance = encoded(state, x)
    assert log_variance.max() > 12
    log_variance = np.clip(log_variance, -10, 10)
    noise = torch.randn((3, 3), generator=torch.Generator().manual_seed(9)).double().numpy()
    h = features(state, mean + np.exp(log_variance / 2) * noise)
    s = h @ state["output.weight"].T + state["output.bias"]
    nll = -(x * (s - np.log(np.exp(s).sum(axis=1, keepdims=True)))).sum(axis=1)
    divergence = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(axis=1)
    made = spec.negative_elbo(net, make_batch(turned.matrix, item), StepInfo(now, torch.Generator().manual_seed(9)))
    assert made.item() == pytest.approx((nll + weight * divergence).mean(), rel=1e-4)


def planted():
    """Two camps of 60 people. Each has 6 items that 40 people took and 12 that 10 did, 9 in 10 of them its own.

    So p(u | i) is 0.9 / 60 in the camp of an item and 0.1 / 60 outside, and p(i | u) in proportion to n_i p(u | i).
    """
    rng = np.random.default_rng(5)
    camp, size = np.repeat([0, 1], 18), np.tile(np.repeat([40, 10], [6, 12]), 2)
    shuffled = rng.permutation(36)
    camp, size = camp[shuffled], size[shuffled]
    user = [
        np.concatenate([rng.choice(60, n * 9 // 10, replace=False) + 60 * c, rng.choice(60, n // 10) + 60 * (1 - c)])
        for c, n in zip(camp, size, strict=True)
    ]
    item = np.repeat(np.arange(36), size)
    return log_of(np.concatenate(user), item, users=120, items=36), camp, size


def test_it_ranks_by_bayes_and_the_column_of_the_decoder_does_not(monkeypatch):
    log, camp, size = planted()
    state = watched(monkeypatch)
    model = ItemVAE(**TOY, readout_l2=0.3).fit(log)
    x = log.matrix.toarray().astype(np.float64)
    own = np.repeat([0, 1], 60)[:, None] == camp
    chance = size * np.where(own, 0.9, 0.1) / 60  # of person u for item i, up to a factor
    levels = np.unique(chance)
    assert len(levels) == 4

    def by_level(scores):
        """Mean score of the items nobody's history has, at each level of the planted chance, ascending."""
        return np.array([scores[(chance == level) & (x == 0)].mean() for level in levels])

    assert (np.diff(by_level(model.score(log.histories()))) > 0.02).all()
    h = features(state, encoded(state, x.T)[0])
    column = state["output.weight"] @ h.T + state["output.bias"][:, None]
    column -= np.log(np.exp(column).sum(axis=0))  # log π_i(u)
    naive = by_level(column)
    assert naive[3] < naive[2]  # the rare items of the camp stand before its popular ones
    people, held = np.arange(120), [np.flatnonzero(own[u] & (size == 40) & (x[u] == 0)) for u in range(120)]
    asked = [u for u in people if len(held[u])]
    best = recommend(model, log.histories(), 1).item[asked, 0]
    assert np.mean([one in held[u] for one, u in zip(best, asked, strict=True)]) > 0.75
    first = np.where(x > 0, -np.inf, column).argmax(axis=1)[asked]
    assert np.mean([one in held[u] for one, u in zip(first, asked, strict=True)]) < 0.25


def test_who_took_nothing_is_not_there_and_what_nobody_took_comes_last():
    log = random_log(seed=6)
    more, one = wider(log), SMALL.fit(log)
    two = SMALL.fit(more)
    scores = two.score(more.histories())
    np.testing.assert_allclose(scores[1:, 1:], one.score(log.histories()), atol=1e-6)
    np.testing.assert_allclose(scores[1:, 0], -1 - np.sqrt(41), rtol=1e-6)
    asked = Histories.of([[3], list(range(1, 41))], more.items)  # one item, and all of them
    assert (recommend(two, asked, 41).item[0, 39:] == [0, -1]).all()
    assert (two.score(asked)[:, 0] < two.score(asked)[:, 1:].min(axis=1)).all()


def test_the_transposed_log_is_the_transpose():
    log = random_log(seed=7, repeats=True)
    np.testing.assert_array_equal(item_vae.transposed_data(log).matrix.toarray(), log.matrix.toarray().T)
    assert item_vae.transposed_data(wider(log)).items == log.users


def linear(H, ridge, x):
    """Scores x L L' + bias of 0/1 rows x."""
    L, bias = item_vae.ridge_readout(H.astype(np.float32), x.sum(axis=0).astype(np.int64), ridge, len(x))
    return x @ L @ L.T + bias


def test_the_regression_between_its_limits():
    """Without penalty and with more features than items a history explains itself; with all penalty it is popular."""
    rng = np.random.default_rng(1)
    x = (rng.random((9, 6)) < 0.5).astype(np.float64)
    x[0] = 1
    H = rng.normal(size=(6, 12))
    np.testing.assert_allclose(linear(H, 1e-7, x), x, atol=1e-4)
    np.testing.assert_allclose(linear(H, 1e9, x), np.tile(x.mean(axis=0), (9, 1)), atol=1e-5)
    np.testing.assert_allclose(linear(10 * H, 0.1, x), linear(H, 0.1, x), atol=1e-5)  # whatever the size of h


def test_a_seen_item_counts_for_itself_by_its_leverage():
    log = random_log()
    model = ItemVAE(**TOY).fit(log)
    without = [[0, 3, 9], [7]]
    for item in (1, 20, 33):
        one, other = (model.score(Histories.of(h, log.items)) for h in ([[*r, item] for r in without], without))
        gain = one[:, item] - other[:, item]
        assert (gain > 0).all()
        assert (gain < 1).all()
        assert gain[0] == pytest.approx(gain[1], abs=1e-5)  # it is a fixed map


@pytest.mark.parametrize(
    "knob",
    [
        {"dropout": 0.0},
        {"beta": 2.0},
        {"anneal_epochs": 0.0},
        {"weight_decay": 1.0},
        {"batch_size": 7},
        {"readout_l2": 1.0},
        {"epochs": 5},
    ],
)
def test_every_knob_does_something(knob):
    log = random_log()
    scores = [spec.fit(log).score(log.histories()) for spec in (SMALL, SMALL.model_copy(update=knob))]
    assert np.abs(scores[0] - scores[1]).max() > 1e-4


def test_a_batch_goes_by_the_number_of_items(monkeypatch):
    asked = []
    monkeypatch.setattr(item_vae, "default_batch_size", lambda n: asked.append(n) or 16)
    SMALL.fit(random_log(), FitContext(memory_limit=10**9))
    SMALL.estimate_memory(500, 1000, 3000)
    assert asked == [40, 40, 1000]  # of 60 people and 40 items: asked before the fit and for it


@pytest.mark.parametrize("biased", [False, True])
def test_a_dot_product_with_a_bias(biased, tmp_path):
    """Three items; the bias adds (10, 20, 30) to every history but an empty one."""
    items = Vocabulary.of(pl.Series([5, 6, 7]))
    left = np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32)
    factors = np.array([[1, 1], [0, 2], [2, 3]], dtype=np.float32)
    popularity, bias = np.array([3, 1, 2], dtype=np.float32), np.array([10, 20, 30], dtype=np.float32)
    model = DotProduct(SMALL, items, factors, popularity, LinearFoldIn(left), bias if biased else None)
    histories = Histories.of([[0, 2], [], [1, 1]], items)
    expected = np.array([[3, 2, 7], popularity, [1, 2, 3]])
    expected[[0, 2]] += bias * biased
    save(model, tmp_path)
    for one in (model, load(tmp_path, CATALOGUE.read)):
        np.testing.assert_array_equal(one.score(histories), expected)
        np.testing.assert_array_equal(one.top_k(histories, 1, Mask())[0][:, 0], [1, 0, 2])
