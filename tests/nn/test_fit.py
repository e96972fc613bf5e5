"""Training of a network that is no auto-encoder: axes of ids, two stages, stopping from outside, checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import polars as pl
import pytest
import torch

from matinee.contract import FitContext
from matinee.data import Interactions, Vocabulary
from matinee.data.canonical import CanonicalData
from matinee.models.mult_dae import MultDAE
from matinee.nn import train
from matinee.nn.autoencoder import AutoEncoder
from matinee.nn.fit import ScoringNetwork, TrainingSetup, fit_network, meta_network
from matinee.nn.train import TrainConfig
from tests.logs import random_log
from tests.observers import RecordingObserver

SPEC = MultDAE(factors=3)


@dataclass(frozen=True)
class Pairs:
    """Users and items of some rows of the log, (b,) each."""

    user: torch.Tensor
    item: torch.Tensor


class Factors(ScoringNetwork[Pairs]):
    """Matrix factorization."""

    id_axes = {"user.weight": "u.", "item.weight": "i."}  # noqa: RUF012

    def __init__(self, n_items, n_users, width=3):
        super().__init__()
        self.user, self.item = torch.nn.Embedding(n_users, width), torch.nn.Embedding(n_items, width)

    def collate(self, histories, device):
        return Pairs(torch.from_numpy(histories.user).to(device), torch.empty(0))

    def forward(self, batch):
        return self.encode(batch) @ self.item.weight.T

    def encode(self, batch):
        return self.user(batch.user)

    def item_vectors(self):
        return self.item.weight, None


def loss(net, batch, info):
    noise = 0.01 * info.randn_like(net.item.weight[:1])
    return -((net.user(batch.user) + noise) * net.item(batch.item)).sum(dim=1).sigmoid().log().mean()


def batches(data: CanonicalData, epoch, rng):
    order = rng.permutation(len(data.log))
    for rows in np.array_split(order, 4):
        yield Pairs(torch.from_numpy(data.log.user[rows]), torch.from_numpy(data.log.item[rows]))


SETUP = TrainingSetup(loss, batches, 4, TrainConfig(3, 0.05, checkpoint_every_s=0.0), 2**20)


def fit(log, ctx=FitContext(), setup=SETUP, init=None):
    """Weights by name, and the epochs of the best ones."""
    setup = replace(setup, init_weights=init)
    net = meta_network(Factors, log.n_items, log.n_active_users)
    return fit_network(SPEC, net, log, ctx, setup, lambda state, epochs: (state, epochs))


def test_a_network_of_factors_does_not_depend_on_ids():
    """Users without rows have zeros; new ids permute the rows of both tables."""
    log = random_log()
    users = Vocabulary.of(pl.Series([*log.users.ids, 10**6]))
    wide = Interactions.of((users, log.items), log.user, log.item, log.time)
    state, epochs = fit(wide)
    assert epochs == 3
    assert state["user.weight"].shape == (61, 3)
    assert (state["user.weight"][60] == 0).all()
    rng = np.random.default_rng(3)
    user, item = rng.permutation(log.n_users), rng.permutation(log.n_items)
    renamed = Interactions.of((log.users, log.items), user[log.user], item[log.item], log.time)
    other, _ = fit(renamed)
    np.testing.assert_array_equal(other["item.weight"][item], state["item.weight"])
    np.testing.assert_array_equal(other["user.weight"][user], state["user.weight"][:60])


def test_scores_are_products_of_query_and_item_vectors():
    net = Factors(5, 4)
    batch = Pairs(torch.tensor([2, 0]), torch.empty(0))
    vectors, bias = net.item_vectors()
    assert bias is None
    torch.testing.assert_close(net(batch), net.encode(batch) @ vectors.T)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"user.weight": "u."}, r"no entry for 'item.weight' of shape \(7, 3\)"),
        ({"item.weight": "i."}, r"no entry for 'user.weight' of shape \(5, 3\)"),
        ({"user.weight": "i.", "item.weight": "i."}, r"'i.' for 'user.weight' of shape \(5, 3\)"),
        ({"user.weight": "u.", "item.weight": "i"}, r"'i' for 'item.weight'"),
        ({"user.weight": "u.", "item.weight": "i.", "bias": "i"}, r"'i' for 'bias'"),
    ],
)
def test_incomplete_axes_are_refused(axes, message, monkeypatch):
    monkeypatch.setattr(Factors, "id_axes", axes)
    with pytest.raises(ValueError, match=message):
        meta_network(Factors, 7, 5)


@pytest.mark.parametrize("width", [5, 7])
def test_a_width_equal_to_the_number_of_items_needs_no_axis(width):
    class Wide(Factors):
        def __init__(self, n_items, n_users):
            super().__init__(n_items, n_users, width)
            self.dense = torch.nn.Linear(width, width)

    assert meta_network(Wide, 7, 5).dense.weight.shape == (width, width)


def test_initial_weights_depend_on_the_seed():
    """Weights that no step has changed; equal for equal seeds."""
    still = replace(SETUP, config=replace(SETUP.config, epochs=1, learning_rate=0.0))
    one, same, other = (fit(random_log(), FitContext(seed=seed), still)[0] for seed in (1, 1, 2))
    for name in one:
        np.testing.assert_array_equal(one[name], same[name])
        assert np.abs(one[name] - other[name]).max() > 0.01


@pytest.mark.parametrize("change", ["log", "seed", "spec", "stage", None])
def test_a_checkpoint_is_used_by_the_same_training_alone(change, tmp_path):
    """A second log has the same users and items, so that its network would fit the checkpoint."""
    log = random_log()
    other = Interactions.of((log.users, log.items), log.user, (log.item + 1) % log.n_items, log.time)
    assert other.n_active_users == log.n_active_users
    ctx = FitContext(seed=1, checkpoint_dir=tmp_path)
    fit(log, ctx)
    epochs = []

    def noting(data, epoch, rng):
        epochs.append(epoch)
        return batches(data, epoch, rng)

    again = replace(SETUP, batches=noting)
    ctx = replace(ctx, seed=2) if change == "seed" else replace(ctx, stage=("a",)) if change == "stage" else ctx
    spec = MultDAE(factors=4) if change == "spec" else SPEC
    data = other if change == "log" else log
    net = meta_network(Factors, log.n_items, log.n_active_users)
    fit_network(spec, net, data, ctx, again, lambda state, epochs: (state, epochs))
    assert epochs == ([] if change is None else [0, 1, 2])


def test_the_noise_of_a_step_depends_on_seed_and_epoch_alone():
    seen = []

    def noting(net, batch, info):
        seen.append((info.epoch, float(info.randn_like(torch.empty(1)))))
        return loss(net, batch, info)

    for seed in (1, 1, 2):
        fit(random_log(), FitContext(seed=seed), replace(SETUP, loss=noting))
    first, again, other = seen[:12], seen[12:24], seen[24:]
    assert first == again
    assert not {noise for _, noise in first} & {noise for _, noise in other}
    assert len({noise for _, noise in first}) == 12
    assert [epoch for epoch, _ in first] == [n / 4 for n in range(12)]


def test_a_stage_has_its_own_folder_draws_and_log(tmp_path):
    observer = RecordingObserver()
    ctx = FitContext(seed=3, checkpoint_dir=tmp_path, observer=observer)
    first, second = ctx.child("pretrain"), ctx.child("finetune")
    draws = [one.rng(1).integers(2**62) for one in (ctx, first, second, first.child("finetune"), ctx.child("pretrain"))]
    assert draws[1] == draws[4]
    assert len(set(draws)) == 4
    assert draws[0] == FitContext(seed=3).rng(1).integers(2**62)
    assert first.child("a").checkpoint_dir == tmp_path / "pretrain" / "a"
    assert FitContext().child("a").checkpoint_dir is None
    fit(random_log(), first.child("a"))
    assert [path.name for path in (tmp_path / "pretrain" / "a").iterdir()] == ["checkpoint.safetensors"]
    assert [step for step, _ in observer.of("pretrain/a/epoch")] == [1, 2, 3]
    assert observer.steps[0][0].startswith("pretrain: a: training mult_dae, epoch 1 of 3")


def two_stages(log, ctx):
    """Item vectors of a first training are the initial ones of a second."""
    first, _ = fit(log, ctx.child("pretrain"))

    def init(net, data, generator):
        with torch.no_grad():
            net.item.weight.copy_(torch.from_numpy(first["item.weight"][data.order.item]))

    return fit(log, ctx.child("finetune"), init=init)[0]


@pytest.mark.parametrize("dies_at", [0, 7, 12, 13, 22])
def test_a_killed_training_of_two_stages_resumes_to_the_same_end(dies_at, tmp_path, monkeypatch):
    log, steps, real = random_log(), [], train._optimizer_step
    whole = two_stages(log, FitContext(seed=2))

    def dying(*args):
        if len(steps) == dies_at:
            raise KeyboardInterrupt
        steps.append(args[-1])
        real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(train, "_optimizer_step", dying)
        with pytest.raises(KeyboardInterrupt):
            two_stages(log, FitContext(seed=2, checkpoint_dir=tmp_path))
    done = len(steps)
    monkeypatch.setattr(train, "_optimizer_step", lambda *args: steps.append(args[-1]) or real(*args))
    again = two_stages(log, FitContext(seed=2, checkpoint_dir=tmp_path))
    assert len(steps) - done == 24 - dies_at // 4 * 4  # finished epochs of both stages are not run again
    for name, array in whole.items():
        np.testing.assert_array_equal(again[name], array)


def test_training_ends_with_its_best_weights_when_it_is_told_to_stop():
    """Evaluations after 1 to 9 epochs are 1, 3, 2, …; stopped after the third, the second is best."""
    log, calls, states = random_log(), [], []

    def validate(model):
        states.append(model[0])
        return (1.0, 3.0, 2.0)[len(states) - 1]

    def should_stop(epochs, metric):
        calls.append((epochs, metric))
        return epochs == 3

    long = replace(SETUP, config=replace(SETUP.config, epochs=9))
    state, epochs = fit(log, FitContext(validate=validate, should_stop=should_stop), long)
    assert calls == [(1, 1.0), (2, 3.0), (3, 2.0)]
    assert epochs == 2
    for name, array in state.items():
        np.testing.assert_array_equal(array, states[1][name])


def test_the_initial_evaluation_can_stop_training():
    ctx = FitContext(validate=lambda model: 0.5, should_stop=lambda epochs, metric: True)
    setup = replace(SETUP, config=replace(SETUP.config, eval_initial=True))
    assert fit(random_log(), ctx, setup)[1] == 0


def test_only_evaluations_call_should_stop():
    calls, metric = [], count(1)
    config = replace(SETUP.config, epochs=5, eval_every=2)
    ctx = FitContext(should_stop=lambda *call: bool(calls.append(call)))
    fit(random_log(), ctx, replace(SETUP, config=config))
    assert not calls
    fit(random_log(), replace(ctx, validate=lambda model: next(metric)), replace(SETUP, config=config))
    assert calls == [(2, 1), (4, 2), (5, 3)]


def test_a_stopped_training_is_stopped_again_after_a_kill(tmp_path):
    calls = []

    def should_stop(epochs, metric):
        calls.append(epochs)
        return epochs >= 2

    ctx = FitContext(validate=lambda model: 0.5, should_stop=should_stop, checkpoint_dir=tmp_path)
    first, _ = fit(random_log(), ctx)
    again, _ = fit(random_log(), ctx)
    assert calls == [1, 2, 2]
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])


@pytest.mark.parametrize("kind", ["autorec", "cdae", "mult_dae", "mult_vae", "rec_vae"])
def test_scores_of_auto_encoders_with_a_linear_output_are_products(kind):
    from matinee import models
    from tests.toys import toy

    log = random_log()
    net = meta_network(toy(kind).net, log.n_items, log.n_users).to_empty(device="cpu")
    assert isinstance(net, AutoEncoder)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=generator)
    batch = net.eval().collate(log.histories(), "cpu")
    vectors, bias = net.item_vectors()
    torch.testing.assert_close(net(batch), net.encode(batch) @ vectors.T + bias)
    assert models.get(kind).uses_validation
