"""CDAE against a network written out in NumPy and against Mult-DAE, which it is where nobody is known."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import polars as pl
import pytest
import torch

from matinee import models
from matinee.contract import FitContext
from matinee.data import Histories, Interactions, Vocabulary
from matinee.models.cdae import CDAE
from matinee.models.mult_dae import MultDAE
from matinee.nn.batches import make_batch
from matinee.nn.fit import StepInfo
from matinee.nn.losses import LOSSES
from matinee.storage import save
from tests.logs import log_of, random_log

TOY = {"factors": 16, "epochs": 60, "learning_rate": 0.01}
SMALL = CDAE(factors=4, epochs=6, learning_rate=0.02, user_dropout=0.2)


def rebuilt(state, x, user):
    """s by the header's formula for 0/1 rows (b, n) and codes (b,), −1 somebody new."""
    rows = {name: array.astype(np.float64) for name, array in state.items()}
    scores = []
    for row, u in zip(x, user, strict=True):
        sums = row / np.sqrt(max(row.sum(), 1)) @ rows["first.weight"] + rows["first.bias"]
        if u >= 0:
            sums = sums + rows["user_embedding.weight"][u]
        scores.append(rows["output.weight"] @ np.tanh(sums) + rows["output.bias"])
    return np.stack(scores)


def unknown(histories):
    return replace(histories, user=np.full(len(histories), -1, dtype=np.int32))


def test_scores_are_the_network_of_the_header():
    log = random_log(seed=2)
    model = SMALL.fit(log)
    x, histories = log.matrix.toarray(), log.histories()
    assert model.state["user_embedding.weight"].shape == (60, 4)
    known, new = rebuilt(model.state, x, range(60)), rebuilt(model.state, x, [-1] * 60)
    assert np.abs(known - new).max(axis=1).min() > 0.01
    np.testing.assert_allclose(model.score(histories), known, atol=1e-5)
    np.testing.assert_allclose(model.score(unknown(histories)), new, atol=1e-5)
    mixed = replace(histories, user=np.where(np.arange(60) % 3 == 0, -1, histories.user).astype(np.int32))
    np.testing.assert_allclose(model.score(mixed), rebuilt(model.state, x, mixed.user), atol=1e-5)


def test_who_is_asking_counts_and_not_whose_history_it_is():
    """Person 5 asked with the history of person 0 keeps the row of person 5."""
    log = random_log(seed=2)
    model = SMALL.fit(log)
    swapped = replace(log.histories(np.array([0, 5])), user=np.array([5, 0], dtype=np.int32))
    wanted = rebuilt(model.state, log.matrix.toarray()[[0, 5]], [5, 0])
    np.testing.assert_allclose(model.score(swapped), wanted, atol=1e-5)


@pytest.mark.parametrize("loss", ["multinomial", "mse"])
def test_the_same_training_without_people_is_mult_dae(loss):
    """user_dropout 1: the same weights to the last bit, and no row of a person ever moves."""
    log = random_log(seed=4)
    same = {"factors": 5, "epochs": 5, "learning_rate": 0.01, "dropout": 0.4, "weight_decay": 0.1, "loss": loss}
    one = CDAE(**same, user_dropout=1.0).fit(log, FitContext(seed=6))
    other = MultDAE(**same).fit(log, FitContext(seed=6))
    assert not one.state["user_embedding.weight"].any()
    for name, array in other.state.items():
        np.testing.assert_array_equal(one.state[name], array)
    np.testing.assert_array_equal(one.score(log.histories()), other.score(log.histories()))


def test_the_network_with_its_people_at_zero_is_that_of_mult_dae():
    log = random_log(seed=4)
    model = SMALL.fit(log)
    state = {name: array for name, array in model.state.items() if name != "user_embedding.weight"}
    plain = MultDAE(factors=4)
    bare = replace(model, spec=plain, state=state, users=None)
    still = replace(
        model, state={**model.state, "user_embedding.weight": np.zeros_like(model.state["user_embedding.weight"])}
    )
    np.testing.assert_array_equal(still.score(log.histories()), bare.score(log.histories()))
    np.testing.assert_array_equal(model.score(unknown(log.histories())), bare.score(log.histories()))


@pytest.mark.parametrize(("user_dropout", "loss"), [(0.0, "multinomial"), (1.0, "bce"), (0.5, "bce")])
def test_the_loss_is_the_arithmetic(user_dropout, loss):
    """Who is a stranger is drawn by the same generator, a number for each of the batch."""
    log = random_log(seed=3)
    spec = SMALL.model_copy(update={"user_dropout": user_dropout, "loss": loss})
    state = SMALL.fit(log).state
    net = spec.net(log.n_items, log.n_users)
    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
    user = np.array([9, 3, 44, 17, 20])
    chance = torch.rand(5, generator=torch.Generator().manual_seed(5)).numpy()
    assert (chance < 0.5).any()
    assert (chance > 0.5).any()
    x = log.matrix.toarray()[user]
    s = rebuilt(state, x, np.where(chance < user_dropout, -1, user))
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True) if loss == "multinomial" else 1 / (1 + np.exp(-s))
    wanted = -(x * np.log(p) + (loss == "bce") * (1 - x) * np.log(1 - p)).sum(axis=1).mean()
    made = spec.reconstruction_loss(net, make_batch(log.matrix, user), StepInfo(0.0, torch.Generator().manual_seed(5)))
    assert made.item() == pytest.approx(wanted, rel=1e-5)


def test_a_person_moves_only_their_own_row(monkeypatch):
    """The rows of a batch without its strangers are those the first update touches; all start at 0."""
    log, moved = random_log(), []
    rebuilding = CDAE.reconstruction_loss

    def noting(self, net, batch, moment):
        moved.append(
            (
                set(batch.user.tolist()),
                set(np.flatnonzero(net.user_embedding.weight.detach().numpy().any(axis=1)).tolist()),
            )
        )
        return rebuilding(self, net, batch, moment)

    monkeypatch.setattr(CDAE, "reconstruction_loss", noting)
    CDAE(factors=3, epochs=1, batch_size=20, user_dropout=0.5).fit(log)
    (first, before), (second, between), (_, after) = moved
    assert before == set()
    assert between < first
    assert between < after < first | second
    assert between
    assert after - between <= second


def test_people_without_a_row_are_strangers():
    log = random_log()
    more = Vocabulary.of(pl.Series([*log.users.ids, 9000]))
    wide = Interactions.of((more, log.items), log.user, log.item, log.time)
    model = SMALL.fit(wide)
    asked = Histories.of([[3, 5], [3, 5]], log.items)
    named = Histories(np.array([60, -1], dtype=np.int32), asked.offsets, asked.item, asked.time, more, log.items)
    scores = model.score(named)
    np.testing.assert_array_equal(scores[0], scores[1])


def test_what_sets_people_apart_is_learnt():
    """A coin that no item tells: people with equal histories, of whom half are never shown what they took beside.

    Items 0 and 1 were taken by all; item 2 by the first half, item 3 by the second. Shown 0 and 1 alone, the network
    knows who wants which by name, and a stranger wants both alike.
    """
    half = np.arange(40)
    user = np.concatenate([half, half, half])
    item = np.concatenate([np.zeros(40), np.ones(40), 2 + (half >= 20)]).astype(int)
    log = log_of(user, item)
    model = CDAE(factors=8, epochs=100, learning_rate=0.03, batch_size=40).fit(log)
    shown = np.tile([0, 1], 40)
    asked = Histories(half.astype(np.int32), 2 * np.arange(41), shown.astype(np.int32), shown, log.users, log.items)
    side = model.score(asked)[:, 2] - model.score(asked)[:, 3]
    assert side[:20].min() > 1
    assert side[20:].max() < -1
    new = model.score(unknown(asked))
    assert abs(new[0, 2] - new[0, 3]) < 0.5


def test_weight_decay_reaches_people_too():
    log = random_log()
    size = [
        np.abs(CDAE(**TOY | {"weight_decay": l2, "epochs": 20}).fit(log).state["user_embedding.weight"]).mean()
        for l2 in (0.0, 1.0)
    ]
    assert 0 < size[1] < 0.8 * size[0]


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_learns(loss):
    """Two tastes: a stranger who took items of one side gets that side first."""
    log = random_log(users=120, rows=2400)
    model = CDAE(factors=16, batch_size=60, epochs=30, learning_rate=0.03, loss=loss).fit(log)
    scores = model.score(Histories.of([[0, 2, 4, 6], [1, 3, 5, 7]], log.items))
    sides = [scores[:, side::2].mean(axis=1) for side in (0, 1)]
    assert sides[0][0] > sides[1][0]
    assert sides[1][1] > sides[0][1]
    assert set(get_args(CDAE.model_fields["loss"].annotation)) == set(LOSSES)


def test_the_people_are_kept_with_the_model(tmp_path):
    log = random_log()
    model = SMALL.fit(log)
    save(model, tmp_path / "m")
    again = models.load(tmp_path / "m")
    assert again.users == log.users
    np.testing.assert_array_equal(again.score(log.histories()), model.score(log.histories()))
    new = again.score(unknown(log.histories()))
    assert not np.allclose(new, again.score(log.histories()), atol=1e-3)
