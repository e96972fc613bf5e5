"""The training loop of every network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from matinee.contract import FitContext, FittedModel
from matinee.errors import TrainingError
from matinee.nn.checkpoint import State, TrainingHistory, load_checkpoint, save_checkpoint
from matinee.nn.memory import bf16_matmul, keep_freed_memory

B = TypeVar("B")


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of a training.

    Lengths are in epochs, so training for fewer epochs takes the same steps and ends earlier.
    """

    epochs: int
    """Maximum number of epochs."""

    learning_rate: float
    """Step size of Adam."""

    weight_decay: float = 0.0
    """Decoupled weight decay of matrices (AdamW); vectors have none."""

    max_grad_norm: float = math.inf
    """Maximum norm of the gradient; larger gradients are scaled down."""

    warmup: float = 0.0
    """Epochs in which the learning rate rises linearly from 0."""

    schedule: Literal["constant", "cosine"] = "constant"
    """Course of the learning rate after the warm-up."""

    decay_epochs: float = 100.0
    """Epochs after which the cosine schedule reaches 0."""

    eval_every: int = 1
    """Epochs between two evaluations."""

    eval_initial: bool = False
    """Whether the initial weights are evaluated, too; they are kept if no later ones are better."""

    patience: int = 20
    """Evaluations without improvement before training stops.

    Validation metrics on few users fluctuate for ten or more.
    """

    checkpoint_every_s: float = 60.0
    """Minimum seconds between two checkpoints."""

    kind: str = ""
    """Kind of the model, for messages."""

    fingerprint: str = ""
    """Identity of the training; a checkpoint with another one is ignored."""

    steps_per_epoch: int = 1
    """Number of batches of an epoch."""

    memory_ceiling: int = 2**62
    """Bytes of this process above which freed memory is returned to the system between steps."""

    allow_bf16: bool = True
    """Whether factors of matrix products may be rounded to bf16; sums stay float32."""

    def lr_at(self, now: float) -> float:
        """The learning rate after `now` epochs."""
        rate = self.learning_rate * min(1.0, now / self.warmup if self.warmup else 1.0)
        if self.schedule == "cosine":
            rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, now / self.decay_epochs)))
        return rate


def train(
    net: nn.Module,
    batches: Callable[[int], Iterable[B]],
    step: Callable[[B, float], Tensor],
    config: TrainConfig,
    ctx: FitContext,
    build_model: Callable[[], FittedModel],
) -> TrainingHistory:
    """Train `net` in place and return the history.

    The network ends with its best weights, without validation with the last ones.

    `batches(epoch)` are the batches of an epoch, a function of its number alone, so an interrupted training resumes to
    the same end; `step(batch, now)` is the loss of a batch after `now` epochs; `build_model()` is the model with the
    current weights. Raises `TrainingError` with epoch, step and parameter if the loss or a weight is not finite.
    """
    optimizer = AdamW(_parameter_groups(net, config.weight_decay), lr=config.learning_rate, fused=True)
    history, best = TrainingHistory(), None
    if ctx.checkpoint_dir is not None:
        history, best = load_checkpoint(ctx.checkpoint_dir, config.fingerprint, net, optimizer)
    if config.eval_initial and ctx.validate is not None and not history.metrics:
        history, best = TrainingHistory((), (_evaluate(net, build_model, config, ctx, 0),)), _cpu_copy(net)
    stopped = bool(history.metrics) and ctx.should_stop(*history.metrics[-1])
    _report(ctx, history, range(history.epochs_run + 1))
    started = saved = monotonic()
    first = history.epochs_run
    with keep_freed_memory(config.memory_ceiling) as trim:
        while history.epochs_run < config.epochs and history.evals_since_best < config.patience and not stopped:
            epoch, total, metrics, epoch_started = history.epochs_run, 0.0, history.metrics, monotonic()
            net.train()
            with (
                ctx.observer.progress(
                    _progress_text(config, history, started, first), config.steps_per_epoch
                ) as advance,
                bf16_matmul(config.allow_bf16),
            ):
                for n, batch in enumerate(batches(epoch)):
                    now = epoch + n / config.steps_per_epoch
                    loss = step(batch, now)
                    total += _checked_loss(loss, config, net, f"epoch {epoch + 1}, step {n + 1}")
                    _optimizer_step(loss, optimizer, config, now)
                    advance(1)
                    trim()
            if _first_nonfinite(net):
                raise _training_error(config, net, f"a weight was not finite after epoch {epoch + 1}")
            if ctx.validate is not None and (epoch + 1 == config.epochs or (epoch + 1) % config.eval_every == 0):
                metrics = (*metrics, _evaluate(net, build_model, config, ctx, epoch + 1))
                stopped = ctx.should_stop(*metrics[-1])
            history = TrainingHistory((*history.losses, total / config.steps_per_epoch), metrics)
            _report(ctx, history, [epoch + 1], seconds=round(monotonic() - epoch_started, 4))
            if metrics and history.best_epoch == history.epochs_run:
                best = _cpu_copy(net)
            if ctx.checkpoint_dir is not None and monotonic() - saved >= config.checkpoint_every_s:
                save_checkpoint(ctx.checkpoint_dir, config.fingerprint, net, optimizer, best, history)
                saved = monotonic()
    if best is not None:
        net.load_state_dict(best)
    net.eval()
    return history


def _parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices with weight decay, vectors without."""
    matrices = [p for p in net.parameters() if p.dim() > 1]
    vectors = [p for p in net.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def _optimizer_step(loss: Tensor, optimizer: AdamW, config: TrainConfig, now: float) -> None:
    """One step along the negative gradient of `loss`."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for group in optimizer.param_groups:
        group["lr"] = config.lr_at(now)
    if config.max_grad_norm < math.inf:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
    optimizer.step()


def _checked_loss(loss: Tensor, config: TrainConfig, net: nn.Module, where: str) -> float:
    """The loss as a number; raises `TrainingError` if it is not finite."""
    number = float(loss.detach())
    if not math.isfinite(number):
        raise _training_error(config, net, f"its loss was {number} in {where}")
    return number


def _evaluate(
    net: nn.Module, build_model: Callable[[], FittedModel], config: TrainConfig, ctx: FitContext, epochs: int
) -> tuple[int, float]:
    """`epochs` and the validation metric after them; raises `TrainingError` if it is not finite."""
    assert ctx.validate is not None
    net.eval()
    with bf16_matmul(quick=False):
        value = ctx.validate(build_model())
    if not math.isfinite(value):
        found = f"its metric on the validation split was {value} after {epochs} epochs"
        raise TrainingError(config.kind, found, "Check the metric and that the validation split has targets.")
    return epochs, value


def _report(ctx: FitContext, history: TrainingHistory, epochs: Iterable[int], **seconds: float) -> None:
    """Send an event of each epoch with a loss or a metric."""
    for epoch in epochs:
        if values := history.values(epoch):
            ctx.observer.event("epoch", epoch, {**values, **seconds})


def _progress_text(config: TrainConfig, history: TrainingHistory, started: float, first: int) -> str:
    """The progress text of the next epoch: its number, the last loss, the best metric, the remaining time."""
    parts = [f"training {config.kind}, epoch {history.epochs_run + 1} of {config.epochs}"]
    if history.losses:
        parts.append(f"loss {history.losses[-1]:.4g}")
    if history.metrics:
        parts.append(f"best {max(value for _, value in history.metrics):.4f} after {history.best_epoch}")
    if history.epochs_run > first:
        left = (monotonic() - started) / (history.epochs_run - first) * (config.epochs - history.epochs_run)
        parts.append(f"at most {left / 60:.0f} min left" if left >= 90 else f"at most {left:.0f} s left")
    return ", ".join(parts)


def _cpu_copy(net: nn.Module) -> State:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in net.state_dict().items()}


def _first_nonfinite(net: nn.Module) -> str:
    """The name of the first parameter that is not finite; empty if all are."""
    return next((name for name, p in net.named_parameters() if not bool(torch.isfinite(p.detach()).all())), "")


def _training_error(config: TrainConfig, net: nn.Module, found: str) -> TrainingError:
    name = _first_nonfinite(net)
    cause = f"parameter {name!r} is not finite" if name else "all parameters are finite, so check its input"
    return TrainingError(config.kind, f"{found}; {cause}", "Reduce its learning rate, or check the values of the log.")
