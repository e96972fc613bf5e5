"""The one training loop of the house: a plain function that can be read from top to bottom."""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from matinee.contract import Context, Fitted
from matinee.errors import ModelFailed
from matinee.nn.checkpoint import State, Story, keep, take_up
from matinee.process import SharedSetting

B = TypeVar("B")

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Names of settings in glibc's malloc.h."""

STATM = Path("/proc/self/statm")

KEPT, USUAL = 2**31 - 1, 2**25
"""Bytes: what is kept while training, and where glibc's own adjusting ends."""


@dataclass(frozen=True)
class Plan:
    """How a network is trained. Lengths are in epochs, so that training for fewer goes the same way, only less far."""

    epochs: int
    learning_rate: float
    l2: float = 0.0
    """Weight decay of the matrices (decoupled, as in AdamW); vectors are left alone."""

    clip: float = math.inf
    """The largest norm a gradient may have."""

    warmup: float = 0.0
    """Over how many epochs the learning rate rises from 0."""

    schedule: Literal["constant", "cosine"] = "constant"
    horizon: float = 100.0
    """With "cosine": after how many epochs the learning rate is down at 0."""

    every: int = 1
    """How many epochs lie between two looks at the stop fold."""

    from_start: bool = False
    """Whether the network is looked at before it learns, too; where nothing after is better, it stays so."""

    patience: int = 20
    """After how many looks without a better one training ends; on few people the metric wobbles for ten or more."""

    seconds: float = 60.0
    """How long a kill may cost at least: the time between two checkpoints."""

    kind: str = ""
    """Of the model, for messages."""

    mark: str = ""
    """Which fit this is: a checkpoint with another mark is not taken up."""

    updates: int = 1
    """Batches in an epoch."""

    ceiling: int = 2**62
    """Bytes this process may hold before memory that is free, but kept for the next step, is given back."""

    quick: bool = True
    """Whether matrix products may round what they multiply to 8 bits (bf16); sums stay float32."""

    def rate(self, now: float) -> float:
        """The learning rate after `now` epochs."""
        rate = self.learning_rate * min(1.0, now / self.warmup if self.warmup else 1.0)
        if self.schedule == "cosine":
            rate *= 0.5 * (1.0 + math.cos(math.pi * min(1.0, now / self.horizon)))
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


def quick_products(quick: bool = True) -> AbstractContextManager[None]:
    """Products of float32 matrices may be computed by bf16 units where the machine has them, twice to thrice as fast.

    What is multiplied is rounded to 8 bits, what is summed is not; weights, losses and optimiser stay float32. For
    training only: noise that small is far below that of a batch. Off for CUDA's TF32 and oneDNN's bf16 afterwards.

    torch has one such setting a process. Where threads overlap, products are rounded while all of them allow it, so
    that a validation in one thread is exact while another trains.
    """
    return PRODUCTS.at(quick)


def _keep_memory(_: bool) -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(TRIM_THRESHOLD, KEPT)
    libc.mallopt(MMAP_THRESHOLD, KEPT)


def _give_memory_back() -> None:
    libc = ctypes.CDLL(None)
    libc.mallopt(TRIM_THRESHOLD, USUAL)
    libc.mallopt(MMAP_THRESHOLD, USUAL)
    libc.malloc_trim(0)


PAGES = SharedSetting[bool](lambda: _give_memory_back, _keep_memory, all)
"""Whether freed memory stays with the process."""


@contextmanager
def kept_pages(ceiling: int) -> Generator[Callable[[], None]]:
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
    plan: Plan,
    ctx: Context,
    made: Callable[[], Fitted],
) -> Story:
    """Train `net` in place and leave it with its best weights, the last ones where nothing validates.

    `batches(epoch)` are those of an epoch, decided by its number alone, which is what lets a stopped training go on
    to the same end; `step(batch, now)` is the loss of one after `now` epochs; `made()` is the model as it stands.
    Raises `ModelFailed`, naming epoch, step and suspect, where the loss or a weight is not finite.
    """
    optimiser = AdamW(_groups(net, plan.l2), lr=plan.learning_rate, fused=True)
    story, best = Story(), None
    if ctx.checkpoint is not None:
        story, best = take_up(ctx.checkpoint, plan.mark, net, optimiser)
    if plan.from_start and ctx.validate is not None and not story.metrics:
        net.eval()
        story, best = Story((), ((0, _judged(ctx.validate, made, plan, 0)),)), _copied(net)
    started = kept = monotonic()
    first = story.ran
    with kept_pages(plan.ceiling) as tidy:
        while story.ran < plan.epochs and story.idle < plan.patience:
            epoch, total = story.ran, 0.0
            net.train()
            with ctx.progress(_told(plan, story, started, first), plan.updates) as advance, quick_products(plan.quick):
                for n, batch in enumerate(batches(epoch)):
                    now = epoch + n / plan.updates
                    loss = step(batch, now)
                    total += _finite(loss, plan, net, f"epoch {epoch + 1}, step {n + 1}")
                    _descend(loss, optimiser, plan, now)
                    advance(1)
                    tidy()
            if _suspect(net):
                raise _failed(plan, net, f"a weight was not finite after epoch {epoch + 1}")
            metrics = story.metrics
            last = epoch + 1 == plan.epochs
            if ctx.validate is not None and (last or (epoch + 1) % plan.every == 0):
                net.eval()
                metrics = (*metrics, (epoch + 1, _judged(ctx.validate, made, plan, epoch + 1)))
            story = Story((*story.losses, total / plan.updates), metrics)
            if metrics and story.best == story.ran:
                best = _copied(net)
            if ctx.checkpoint is not None and monotonic() - kept >= plan.seconds:
                keep(ctx.checkpoint, plan.mark, net, optimiser, best, story)
                kept = monotonic()
    if best is not None:
        net.load_state_dict(best)
    net.eval()
    ctx.note("training", asdict(story))
    return story


def _groups(net: nn.Module, l2: float) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not."""
    matrices = [p for p in net.parameters() if p.dim() > 1]
    vectors = [p for p in net.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": l2}, {"params": vectors, "weight_decay": 0.0}]


def _descend(loss: Tensor, optimiser: AdamW, plan: Plan, now: float) -> None:
    """One step down the gradient of `loss`."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    for group in optimiser.param_groups:
        group["lr"] = plan.rate(now)
    if plan.clip < math.inf:
        nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], plan.clip)
    optimiser.step()


def _finite(loss: Tensor, plan: Plan, net: nn.Module, place: str) -> float:
    """The loss as a number; raises where it is none."""
    number = float(loss.detach())
    if not math.isfinite(number):
        raise _failed(plan, net, f"its loss was {number} in {place}")
    return number


def _judged(validate: Callable[[Fitted], float], made: Callable[[], Fitted], plan: Plan, epochs: int) -> float:
    """The metric after so many epochs; raises where it is no number, since nothing is better than that."""
    with quick_products(quick=False):
        value = validate(made())
    if not math.isfinite(value):
        found = f"its metric on the stop fold was {value} after {epochs} epochs"
        raise ModelFailed(plan.kind, found, "Look at the metric and at who answers in the stop fold.")
    return value


def _told(plan: Plan, story: Story, started: float, first: int) -> str:
    """What the bar of the next epoch says: which it is, the loss before it, the best metric, and the time left."""
    parts = [f"training {plan.kind}, epoch {story.ran + 1} of {plan.epochs}"]
    if story.losses:
        parts.append(f"loss {story.losses[-1]:.4g}")
    if story.metrics:
        parts.append(f"best {max(value for _, value in story.metrics):.4f} after {story.best}")
    if story.ran > first:
        left = (monotonic() - started) / (story.ran - first) * (plan.epochs - story.ran)
        parts.append(f"at most {left / 60:.0f} min left" if left >= 90 else f"at most {left:.0f} s left")
    return ", ".join(parts)


def _copied(net: nn.Module) -> State:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in net.state_dict().items()}


def _suspect(net: nn.Module) -> str:
    """The first parameter that is not finite; empty where all are."""
    return next((name for name, p in net.named_parameters() if not bool(torch.isfinite(p.detach()).all())), "")


def _failed(plan: Plan, net: nn.Module, found: str) -> ModelFailed:
    name = _suspect(net)
    suspect = f"parameter {name!r} is not finite" if name else "all parameters are finite, so suspect its input"
    return ModelFailed(plan.kind, f"{found}; {suspect}", "Lower its learning rate, or look for odd values in the log.")
