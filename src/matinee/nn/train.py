"""The one training loop of the house: a plain function that can be read from top to bottom."""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from matinee.contract import FitContext, FittedModel
from matinee.errors import TrainingError
from matinee.nn.checkpoint import State, TrainingHistory, load_checkpoint, save_checkpoint
from matinee.process import SharedSetting

B = TypeVar("B")

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of settings in glibc's malloc.h."""

STATM = Path("/proc/self/statm")

KEEP_BYTES, DEFAULT_BYTES = 2**31 - 1, 2**25
"""Bytes: what is kept while training, and where glibc's own adjusting ends."""


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained. Lengths are in epochs, so that training for fewer goes the same way, only less far."""

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    """Weight decay of the matrices (decoupled, as in AdamW); vectors are left alone."""

    max_grad_norm: float = math.inf
    """The largest norm a gradient may have."""

    warmup: float = 0.0
    """Over how many epochs the learning rate rises from 0."""

    schedule: Literal["constant", "cosine"] = "constant"
    decay_epochs: float = 100.0
    """With "cosine": after how many epochs the learning rate is down at 0."""

    eval_every: int = 1
    """How many epochs lie between two looks at the stop fold."""

    eval_initial: bool = False
    """Whether the network is looked at before it learns, too; where nothing after is better, it stays so."""

    patience: int = 20
    """After how many looks without a better one training ends; on few people the metric wobbles for ten or more."""

    checkpoint_every_s: float = 60.0
    """How long a kill may cost at least: the time between two checkpoints."""

    kind: str = ""
    """Of the model, for messages."""

    fingerprint: str = ""
    """Which fit this is: a checkpoint with another mark is not taken up."""

    steps_per_epoch: int = 1
    """Batches in an epoch."""

    memory_ceiling: int = 2**62
    """Bytes this process may hold before memory that is free, but kept for the next step, is given back."""

    allow_bf16: bool = True
    """Whether matrix products may round what they multiply to 8 bits (bf16); sums stay float32."""

    def lr_at(self, now: float) -> float:
        """The learning rate after `now` epochs."""
        rate = self.learning_rate * min(1.0, now / self.warmup if self.warmup else 1.0)
        if self.schedule == "cosine":
            rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, now / self.decay_epochs)))
        return rate


def _save_products() -> Callable[[], None]:
    before = [place.fp32_precision for place in PLACES]

    def restore() -> None:
        for place, was in zip(PLACES, before, strict=True):
            place.fp32_precision = was

    return restore


def _round_products(_: bool) -> None:
    PLACES[0].fp32_precision, PLACES[1].fp32_precision = "bf16", "tf32"


PLACES: tuple[Any, ...] = (torch.backends.mkldnn.matmul, torch.backends.cuda.matmul)  # pyright: ignore[reportAttributeAccessIssue]
PRODUCTS = SharedSetting[bool](_save_products, _round_products, lambda asked: all(asked) or None)
"""Whether products are rounded, for the whole process."""


def bf16_matmul(quick: bool = True) -> AbstractContextManager[None]:
    """Products of float32 matrices may be computed by bf16 units where the machine has them, twice to thrice as fast.

    What is multiplied is rounded to 8 bits, what is summed is not; weights, losses and optimiser stay float32. For
    training only: noise that small is far below that of a batch. Off for CUDA's TF32 and oneDNN's bf16 afterwards.

    torch has one such setting a process. Where threads overlap, products are rounded while all of them allow it, so
    that a validation in one thread is exact while another trains.
    """
    return PRODUCTS.at(quick)


def _keep_memory(_: bool) -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(TRIM_THRESHOLD, KEEP_BYTES)
    libc.mallopt(MMAP_THRESHOLD, KEEP_BYTES)


def _give_memory_back() -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(TRIM_THRESHOLD, DEFAULT_BYTES)
    libc.mallopt(MMAP_THRESHOLD, DEFAULT_BYTES)
    libc.malloc_trim(0)


PAGES = SharedSetting[bool](lambda: _give_memory_back, _keep_memory, all)
"""Whether freed memory stays with the process."""


@contextmanager
def keep_freed_memory(ceiling: int) -> Generator[Callable[[], None]]:
    """Memory that is freed stays with the process while this holds, and is given back afterwards.

    Steps ask for the same blocks again and again. glibc hands those above 32 MB back to the kernel each time, and every
    page of a new one is a fault: at 466 people × 41,000 items half of an epoch. What is kept is also cut up by smaller
    blocks until the large ones no longer fit: what this gives, called between steps, gives all of it back where the
    process holds more than `ceiling` bytes. Other C libraries are left alone. Where threads overlap, memory is kept
    until the last of them ends.
    """
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None), "mallopt"):
        yield lambda: None
        return

    def tidy() -> None:
        if resident() > ceiling:
            libc.malloc_trim(0)

    with PAGES.at(True):  # noqa: FBT003
        yield tidy


def resident() -> int:
    """Bytes of this process that are in memory; 0 where the system, not being Linux, does not say."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE if STATM.exists() else 0


def train(
    net: nn.Module,
    batches: Callable[[int], Iterable[B]],
    step: Callable[[B, float], Tensor],
    plan: TrainConfig,
    ctx: FitContext,
    build_model: Callable[[], FittedModel],
) -> TrainingHistory:
    """Train `net` in place and leave it with its best weights, the last ones where nothing validates.

    `batches(epoch)` are those of an epoch, decided by its number alone, which is what lets a stopped training go on
    to the same end; `step(batch, now)` is the loss of one after `now` epochs; `made()` is the model as it stands.
    Raises `ModelFailed`, naming epoch, step and suspect, where the loss or a weight is not finite.
    """
    optimiser = AdamW(_parameter_groups(net, plan.weight_decay), lr=plan.learning_rate, fused=True)
    story, best = TrainingHistory(), None
    if ctx.checkpoint_dir is not None:
        story, best = load_checkpoint(ctx.checkpoint_dir, plan.fingerprint, net, optimiser)
    if plan.eval_initial and ctx.validate is not None and not story.metrics:
        net.eval()
        story, best = TrainingHistory((), ((0, _validate(ctx.validate, build_model, plan, 0)),)), _cpu_copy(net)
    _report(ctx, story, range(story.epochs_run + 1))
    started = kept = monotonic()
    first = story.epochs_run
    with keep_freed_memory(plan.memory_ceiling) as tidy:
        while story.epochs_run < plan.epochs and story.evals_since_best < plan.patience:
            epoch, total, epoch_started = story.epochs_run, 0.0, monotonic()
            net.train()
            with (
                ctx.observer.progress(_progress_text(plan, story, started, first), plan.steps_per_epoch) as advance,
                bf16_matmul(plan.allow_bf16),
            ):
                for n, batch in enumerate(batches(epoch)):
                    now = epoch + n / plan.steps_per_epoch
                    loss = step(batch, now)
                    total += _checked_loss(loss, plan, net, f"epoch {epoch + 1}, step {n + 1}")
                    _optimizer_step(loss, optimiser, plan, now)
                    advance(1)
                    tidy()
            if _first_nonfinite(net):
                raise _training_error(plan, net, f"a weight was not finite after epoch {epoch + 1}")
            metrics = story.metrics
            last = epoch + 1 == plan.epochs
            if ctx.validate is not None and (last or (epoch + 1) % plan.eval_every == 0):
                net.eval()
                metrics = (*metrics, (epoch + 1, _validate(ctx.validate, build_model, plan, epoch + 1)))
            story = TrainingHistory((*story.losses, total / plan.steps_per_epoch), metrics)
            _report(ctx, story, [epoch + 1], seconds=round(monotonic() - epoch_started, 4))
            if metrics and story.best_epoch == story.epochs_run:
                best = _cpu_copy(net)
            if ctx.checkpoint_dir is not None and monotonic() - kept >= plan.checkpoint_every_s:
                save_checkpoint(ctx.checkpoint_dir, plan.fingerprint, net, optimiser, best, story)
                kept = monotonic()
    if best is not None:
        net.load_state_dict(best)
    net.eval()
    return story


def _parameter_groups(net: nn.Module, l2: float) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not."""
    matrices = [p for p in net.parameters() if p.dim() > 1]
    vectors = [p for p in net.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": l2}, {"params": vectors, "weight_decay": 0.0}]


def _optimizer_step(loss: Tensor, optimiser: AdamW, plan: TrainConfig, now: float) -> None:
    """One step down the gradient of `loss`."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    for group in optimiser.param_groups:
        group["lr"] = plan.lr_at(now)
    if plan.max_grad_norm < math.inf:
        nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], plan.max_grad_norm)
    optimiser.step()


def _checked_loss(loss: Tensor, plan: TrainConfig, net: nn.Module, place: str) -> float:
    """The loss as a number; raises where it is none."""
    number = float(loss.detach())
    if not math.isfinite(number):
        raise _training_error(plan, net, f"its loss was {number} in {place}")
    return number


def _validate(
    validate: Callable[[FittedModel], float], made: Callable[[], FittedModel], plan: TrainConfig, epochs: int
) -> float:
    """The metric after so many epochs; raises where it is no number, since nothing is better than that."""
    with bf16_matmul(quick=False):
        value = validate(made())
    if not math.isfinite(value):
        found = f"its metric on the stop fold was {value} after {epochs} epochs"
        raise TrainingError(plan.kind, found, "Look at the metric and at who answers in the stop fold.")
    return value


def _report(ctx: FitContext, story: TrainingHistory, epochs: Iterable[int], **seconds: float) -> None:
    """Send an event of each epoch with a loss or a metric."""
    for epoch in epochs:
        if values := story.values(epoch):
            ctx.observer.event("epoch", epoch, {**values, **seconds})


def _progress_text(plan: TrainConfig, story: TrainingHistory, started: float, first: int) -> str:
    """What the bar of the next epoch says: which it is, the loss before it, the best metric, and the time left."""
    parts = [f"training {plan.kind}, epoch {story.epochs_run + 1} of {plan.epochs}"]
    if story.losses:
        parts.append(f"loss {story.losses[-1]:.4g}")
    if story.metrics:
        parts.append(f"best {max(value for _, value in story.metrics):.4f} after {story.best_epoch}")
    if story.epochs_run > first:
        left = (monotonic() - started) / (story.epochs_run - first) * (plan.epochs - story.epochs_run)
        parts.append(f"at most {left / 60:.0f} min left" if left >= 90 else f"at most {left:.0f} s left")
    return ", ".join(parts)


def _cpu_copy(net: nn.Module) -> State:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in net.state_dict().items()}


def _first_nonfinite(net: nn.Module) -> str:
    """The first parameter that is not finite; empty where all are."""
    return next((name for name, p in net.named_parameters() if not bool(torch.isfinite(p.detach()).all())), "")


def _training_error(plan: TrainConfig, net: nn.Module, found: str) -> TrainingError:
    name = _first_nonfinite(net)
    suspect = f"parameter {name!r} is not finite" if name else "all parameters are finite, so suspect its input"
    return TrainingError(
        plan.kind, f"{found}; {suspect}", "Lower its learning rate, or look for odd values in the log."
    )
