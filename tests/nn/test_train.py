"""The training loop: to the same end after a kill, the best weights kept, a lost loss named."""

from __future__ import annotations

import math
import platform
import sys
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from matinee.contract import FitContext
from matinee.errors import TrainingError
from matinee.nn.checkpoint import TrainingHistory
from matinee.nn.memory import DEFAULT_BYTES, KEEP_BYTES, bf16_matmul, keep_freed_memory, resident
from matinee.nn.train import TrainConfig, train
from tests.observers import RecordingObserver

UPDATES = 5
PLAN = TrainConfig(
    epochs=6,
    learning_rate=0.05,
    weight_decay=0.1,
    max_grad_norm=1.0,
    warmup=1.5,
    kind="toy",
    fingerprint="a",
    steps_per_epoch=UPDATES,
    checkpoint_every_s=0,
)


class Net(torch.nn.Module):
    """Two layers, one of them without a gradient in the first epochs."""

    def __init__(self, seed=0):
        super().__init__()
        self.validation_protocol, self.late = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=generator))

    def forward(self, x, now):
        h = torch.tanh(self.validation_protocol(x))
        return self.late(h)[:, 0] if now >= 2 else h.sum(dim=1)


class KilledError(Exception):
    pass


def run(folder=None, *, plan=PLAN, die_at=None, validate=None, spoil=None, seed=3):
    """Train on noise drawn by (seed, epoch); die before update `die_at`; `spoil` changes a batch."""
    net, done = Net(), []
    ctx = FitContext(seed=seed, checkpoint_dir=folder, validate=validate)

    def batches(epoch):
        rng = ctx.rng(epoch)
        for n in range(UPDATES):
            x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
            yield spoil(x, epoch, n, net) if spoil else x

    def step(x, now):
        if len(done) == die_at:
            raise KilledError
        done.append(now)
        return (net(x, now) - x[:, 0] ** 2).square().mean()

    return train(net, batches, step, plan, ctx, lambda: net), net, done


def weights(net):
    return {name: tensor.numpy() for name, tensor in net.state_dict().items()}


def same(one, other):
    for name, array in weights(one).items():
        np.testing.assert_array_equal(array, weights(other)[name])


def wobbling(net):
    """A metric of the weights that goes up and down."""
    return math.sin(40 * float(net.validation_protocol.weight.detach().sum()))


@pytest.mark.parametrize("validate", [None, wobbling])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("kills", [[0], [7], [UPDATES], [13, 4], [29], [3, 3, 11, 0, 6]])
def test_a_killed_training_goes_on_to_the_same_end(tmp_path, validate, schedule, kills):
    plan = replace(PLAN, schedule=schedule, decay_epochs=5.0)
    story, net, done = run(plan=plan, validate=validate)
    times = []
    for at in kills:
        with pytest.raises(KilledError):
            times.append(run(tmp_path / "c", plan=plan, validate=validate, die_at=at))
    again, other, rest = run(tmp_path / "c", plan=plan, validate=validate)
    same(net, other)
    assert again == story
    assert len(rest) < len(done) or sum(at >= UPDATES for at in kills) == 0
    assert rest == done[-len(rest) :]
    finished, third, nothing = run(tmp_path / "c", plan=plan, validate=validate)
    assert finished == story
    assert not nothing
    same(net, third)


def test_a_kill_while_the_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    from matinee.nn import checkpoint

    story, net, _ = run()
    real, calls = checkpoint.save_file, []

    def halfway(tensors, path, metadata):
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half")
            raise KilledError
        real(tensors, path, metadata)

    monkeypatch.setattr(checkpoint, "save_file", halfway)
    with pytest.raises(KilledError):
        run(tmp_path)
    again, other, rest = run(tmp_path)
    assert again == story
    assert len(rest) == 4 * UPDATES
    same(net, other)


def test_the_checkpoint_of_another_fit_and_a_damaged_one_are_not_taken_up(tmp_path):
    run(tmp_path, plan=replace(PLAN, fingerprint="b"))
    _, net, _ = run()
    assert len(run(tmp_path)[2]) == 30
    (tmp_path / "checkpoint.safetensors").write_bytes(b"no such thing")
    _, other, done = run(tmp_path)
    assert len(done) == 30
    same(net, other)


def test_checkpoints_are_as_rare_as_said(tmp_path):
    run(tmp_path, plan=replace(PLAN, checkpoint_every_s=3600.0))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("best_at", [1, 3, 6])
def test_the_best_weights_are_kept(best_at):
    seen = []

    def validate(net):
        seen.append({name: array.copy() for name, array in weights(net).items()})
        return -abs(len(seen) - best_at)

    story, net, _ = run(validate=validate)
    assert story.best_epoch == best_at
    assert story.epochs_run == 6
    for name, array in weights(net).items():
        np.testing.assert_array_equal(array, seen[best_at - 1][name])
    shorter, frozen, _ = run(plan=replace(PLAN, epochs=best_at))
    assert shorter.epochs_run == best_at
    same(net, frozen)  # fewer epochs go the same way, only less far


@pytest.mark.parametrize(("every", "patience", "wanted"), [(1, 2, 3), (1, 1, 2), (2, 1, 4), (4, 5, 6)])
def test_it_ends_when_patience_does(every, patience, wanted):
    looks = []
    plan = replace(PLAN, eval_every=every, patience=patience)
    story, _, done = run(plan=plan, validate=lambda net: looks.append(1) or 1.0 / len(looks))
    assert len(done) == wanted * UPDATES
    assert story.best_epoch == every
    assert [at for at, _ in story.metrics] == [e for e in range(1, wanted + 1) if e % every == 0 or e == 6]


def test_a_metric_that_stays_equal_is_no_better():
    story, _, _ = run(validate=lambda net: 0.5, plan=replace(PLAN, patience=3))
    assert (story.best_epoch, story.epochs_run) == (1, 4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_story_is_told_as_by_hand(values):
    story = TrainingHistory((0.0,) * len(values), tuple(enumerate(values, 1)))
    assert story.best_epoch == values.index(max(values)) + 1
    assert story.evals_since_best == len(values) - story.best_epoch


def test_without_validation_the_last_weights_stand():
    story, net, done = run()
    assert (story.epochs_run, story.best_epoch, story.metrics, len(done)) == (6, 6, (), 30)
    same(net, run(plan=replace(PLAN, patience=1))[1])
    assert done == pytest.approx([e + n / UPDATES for e in range(6) for n in range(UPDATES)])


def test_losses_are_the_means_of_the_epochs_and_fall():
    net, said = Net(), []

    def step(x, now):
        loss = (net(x, 9.0) - x[:, 0]).square().mean()
        said.append(loss.item())
        return loss

    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 20, 3)).astype(np.float32))
    plan = replace(PLAN, epochs=30, steps_per_epoch=2, weight_decay=0.0, max_grad_norm=math.inf)
    story = train(net, lambda epoch: list(x), step, plan, FitContext(), lambda: net)
    np.testing.assert_allclose(story.losses, np.reshape(said, (30, 2)).mean(axis=1))
    assert story.losses[-1] < 0.1 * story.losses[0]


def test_one_update_is_adamw_by_hand():
    """First step of AdamW: p (1 − rate · l2) − rate · g / (|g| + ε), vectors without the decay."""
    plan = replace(
        PLAN, epochs=1, max_grad_norm=math.inf, warmup=0.0, learning_rate=0.1, weight_decay=0.5, steps_per_epoch=1
    )
    net, x = Net(), torch.ones(2, 3)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    train(net, lambda epoch: [x], lambda x, now: net(x, 9.0).sum(), plan, FitContext(), lambda: net)
    twin = Net()
    twin(x, 9.0).sum().backward()
    for name, p in twin.named_parameters():
        decay = 1 - 0.1 * 0.5 if p.dim() > 1 else 1.0
        wanted = before[name] * decay - 0.1 * p.grad / (p.grad.abs() + 1e-8)
        np.testing.assert_allclose(net.get_parameter(name).detach(), wanted.detach(), rtol=1e-5, atol=1e-6)


def test_gradients_are_clipped():
    """Two gradients, one a hundred times the other: cut to one norm they make two nearly full steps of Adam."""

    def moved(clip):
        net = Net()
        plan = replace(PLAN, epochs=1, max_grad_norm=clip, steps_per_epoch=2, weight_decay=0.0, warmup=0.0)
        scales = [torch.tensor(1.0), torch.tensor(100.0)]
        train(net, lambda epoch: scales, lambda s, now: s * net(torch.ones(1, 3), 9.0).sum(), plan, FitContext(), Net)
        return (net.late.weight - Net().late.weight).detach().abs() / PLAN.learning_rate

    np.testing.assert_allclose(moved(1e-3), 2.0, rtol=0.05)
    assert (moved(math.inf) < 1.9).all()


def test_the_rate_rises_and_falls_as_said():
    plan = TrainConfig(10, 0.4, warmup=2.0)
    assert [plan.lr_at(t) for t in (0.0, 0.5, 2.0, 7.0)] == pytest.approx([0.0, 0.1, 0.4, 0.4])
    plan = TrainConfig(10, 0.4, schedule="cosine", decay_epochs=8.0)
    assert [plan.lr_at(t) for t in (0.0, 2.0, 4.0, 8.0, 9.0)] == pytest.approx(
        [0.4, 0.2 * (1 + math.cos(math.pi / 4)), 0.2, 0.0, 0.0]
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_metric_that_is_no_number_stops_it(bad):
    """Nothing is better than NaN, so that the first look would win for ever."""
    looks = iter([0.1, bad, 0.3])
    ctx, net = FitContext(validate=lambda net: next(looks)), Net()
    x = torch.ones(2, 3)
    with pytest.raises(TrainingError, match=r"'toy': its metric on the validation split was (nan|inf) after 2 epochs"):
        train(
            net, lambda e: [x] * UPDATES, lambda x, now: net(x, now).square().mean(), replace(PLAN, epochs=3), ctx, Net
        )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_input_is_named(bad):
    def spoil(x, epoch, n, net):
        return torch.full_like(x, bad) if (epoch, n) == (1, 3) else x

    with pytest.raises(
        TrainingError, match=r"'toy': its loss was (nan|inf) in epoch 2, step 4; all parameters are finite"
    ):
        run(spoil=spoil)


def test_a_bad_parameter_is_named():
    def spoil(x, epoch, n, net):
        if (epoch, n) == (2, 1):
            net.late.bias.data[0] = math.nan
        return x

    with pytest.raises(TrainingError, match=r"loss was nan in epoch 3, step 2; parameter 'late.bias' is not finite"):
        run(spoil=spoil)


def test_a_weight_lost_by_the_last_step_of_an_epoch_is_named():
    net = Net()
    plan = replace(PLAN, epochs=1, max_grad_norm=math.inf, steps_per_epoch=1)

    def step(x, now):
        return torch.sqrt(net(x, 9.0).sum() * 0.0)  # the loss is 0, its gradient is not finite

    with pytest.raises(TrainingError, match="a weight was not finite after epoch 1; parameter"):
        train(net, lambda epoch: [torch.ones(1, 3)], step, plan, FitContext(), Net)


def test_the_bar_says_epoch_loss_metric_and_time_left():
    observer = RecordingObserver()
    net = Net()
    x = torch.ones(2, 3)
    ctx = FitContext(observer=observer, validate=lambda net: 0.25)
    train(net, lambda e: [x] * UPDATES, lambda x, now: net(x, now).square().mean(), replace(PLAN, epochs=2), ctx, Net)
    texts = [what for what, *_ in observer.steps]
    assert [total for _, total, _ in observer.steps] == [UPDATES, UPDATES] == [n for *_, n in observer.steps]
    assert texts[0] == "training toy, epoch 1 of 2"
    assert "epoch 2 of 2, loss" in texts[1]
    assert "best 0.2500 after 1, at most 0 s left" in texts[1]


def test_every_epoch_is_an_event_also_of_a_resumed_training(tmp_path):
    net, x, observers = Net(), torch.ones(2, 3), []
    for epochs in (2, 3):
        observers.append(RecordingObserver())
        ctx = FitContext(observer=observers[-1], validate=lambda net: 0.25, checkpoint_dir=tmp_path)
        config = replace(PLAN, epochs=epochs, eval_every=2, checkpoint_every_s=0.0, eval_initial=True)
        history = train(net, lambda e: [x] * UPDATES, lambda x, now: net(x, now).square().mean(), config, ctx, Net)
    first, resumed = (observer.of("epoch") for observer in observers)
    assert [step for step, _ in first] == [0, 1, 2]
    assert first[0][1] == {"metric": 0.25}
    assert set(first[1][1]) == {"loss", "seconds"}
    assert set(first[2][1]) == {"loss", "metric", "seconds"}
    assert [step for step, _ in resumed] == [0, 1, 2, 3]
    assert "seconds" not in resumed[1][1]
    assert [values["loss"] for _, values in resumed[1:]] == list(history.losses)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_freed_memory_is_kept_while_training():
    """Sixteen blocks of 64 MB are 262,144 pages of 4 kB; what is kept costs its faults once or twice."""
    import resource

    def faults(blocks):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(blocks):
            torch.ones(2**24)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with keep_freed_memory(2**40):
        faults(1)
        assert faults(16) < 50_000


def test_a_system_that_does_not_say_what_it_holds_trains_all_the_same(tmp_path, monkeypatch):
    from matinee.models.mult_vae import MultVAE
    from tests.logs import random_log

    monkeypatch.setattr("matinee.nn.memory.STATM", tmp_path / "statm")
    assert resident() == 0
    MultVAE(factors=3, epochs=1).fit(random_log())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_what_is_kept_stays_within_the_room():
    """Half a gigabyte is freed; it stays where there is room for it, and goes back where there is not."""
    for room, stays in ((2**40, True), (2**26, False)):
        before = resident()
        with keep_freed_memory(before + room) as tidy:
            held = torch.ones(2**27)
            after = torch.ones(8)  # freed memory below something that lives is not at the end of the heap
            del held
            tidy()
            assert (resident() - before > 2**28) is stays
            assert after.sum() == 8


PRECISIONS = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)


def precisions():
    return [place.fp32_precision for place in PRECISIONS]


def overlapping(first, second):
    """Two contexts in two threads: the first one starts first and ends first. What each sees after each step."""
    seen, steps = [], [Event() for _ in range(3)]

    def one():
        with first():
            steps[0].set()
            steps[1].wait(10)
        seen.append(precisions())
        steps[2].set()

    def other():
        steps[0].wait(10)
        with second():
            seen.append(precisions())
            steps[1].set()
            steps[2].wait(10)
            seen.append(precisions())

    threads = [Thread(target=one), Thread(target=other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def test_overlapping_trainings_leave_the_precision_of_products_as_it_was():
    before = precisions()
    both, after_first, still = overlapping(bf16_matmul, bf16_matmul)
    assert both == after_first == still == ["bf16", "tf32"]
    assert precisions() == before


def test_exact_products_win_over_rounded_ones_in_another_thread():
    before = precisions()
    assert overlapping(bf16_matmul, lambda: bf16_matmul(quick=False))[0] == before
    assert overlapping(lambda: bf16_matmul(quick=False), bf16_matmul)[0] == before
    assert overlapping(lambda: bf16_matmul(quick=False), bf16_matmul)[1] == ["bf16", "tf32"]
    assert precisions() == before


def test_a_validation_is_exact_while_another_training_rounds():
    found, before = [], precisions()

    def validate(net):
        found.append(precisions())
        return 0.0

    with bf16_matmul():
        run(plan=replace(PLAN, epochs=1), validate=validate)
    assert found == [before]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_memory_is_kept_until_the_last_of_two_overlapping_trainings_ends(monkeypatch):
    calls = []

    class Recorder:
        def mallopt(self, name, value):
            calls.append(value)

        def malloc_trim(self, pad):
            calls.append("trim")

    monkeypatch.setattr("matinee.nn.memory.ctypes.CDLL", lambda name: Recorder())
    overlapping(lambda: keep_freed_memory(2**40), lambda: keep_freed_memory(2**40))
    assert set(calls[:-3]) == {KEEP_BYTES}
    assert calls[-3:] == [DEFAULT_BYTES, DEFAULT_BYTES, "trim"]
