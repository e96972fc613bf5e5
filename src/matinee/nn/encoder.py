"""Auto-encoders: how one is trained on a log, and the shape it has then."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from matinee.contract import Context, Mask, ModelSpec
from matinee.data import Histories, Interactions, Vocabulary
from matinee.nn.batches import Batch, batch_of, batches, unnamed
from matinee.nn.blocks import start
from matinee.nn.train import Plan, train
from matinee.topk.rank import choose

F32: TypeAlias = NDArray[np.float32]
BLOCK = 1024
"""People scored at once."""


class AutoEncoder(nn.Module):
    """A network from what people are shown to scores of all items."""

    by_item: ClassVar[tuple[str, ...]]
    """The parameters with a row for each item, by name."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n) as they are given to people: without noise."""


class AutoEncoderSpec(ModelSpec):
    """What the shape `Encoder` asks of a model: its network, and a knob `epochs`."""

    uses_validation: ClassVar[bool] = True

    @abstractmethod
    def net(self, n_items: int) -> AutoEncoder:
        """The network, its weights not yet filled."""


N = TypeVar("N", bound=AutoEncoder)


@dataclass(frozen=True, eq=False)
class Encoder:
    """The network of `spec` with the weights `state`, trained for `epochs`.

    `prior` (n_items,), how many people took each item, scores an empty history. An item nobody took gets the lowest
    score of each row: nothing was learnt about it. Computed on `device` where this machine has it, else on the CPU.
    """

    spec: AutoEncoderSpec
    items: Vocabulary
    state: dict[str, NDArray[np.float32]]
    prior: F32
    epochs: int
    device: str = "cpu"

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    @cached_property
    def _place(self) -> str:
        return self.device if self.device == "cpu" or torch.cuda.is_available() else "cpu"

    @cached_property
    def _net(self) -> AutoEncoder:
        net = empty(self.spec, len(self.items))
        state = {
            name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in self.state.items()
        }
        net.load_state_dict(state, assign=True)
        return net.to(self._place).eval()

    @torch.no_grad()
    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        scores = np.empty((len(histories), len(self.items)), dtype=np.float32)
        matrix = histories.matrix
        for low in range(0, len(histories), BLOCK):
            user = np.arange(low, min(low + BLOCK, len(histories)))
            part = cast(Tensor, self._net(batch_of(matrix, user, device=self._place)))
            scores[user] = part.float().cpu().numpy()
        never = self.prior == 0
        if never.any():
            scores[:, never] = scores.min(axis=1, keepdims=True)
        scores[np.diff(histories.offsets) == 0] = self.prior
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> tuple[NDArray[np.int32], F32]:
        """The best k allowed items (m, k) and their scores."""
        return choose(self.score(histories), histories, k, mask, self.spec.kind)

    def refit_spec(self) -> ModelSpec:
        """The number of epochs that was best on the stop fold, frozen."""
        return self.spec.model_copy(update={"epochs": self.epochs})


@dataclass(frozen=True)
class Input:
    """How people are shown to a network while it learns."""

    size: int
    """People in a batch."""

    dropout: float = 0.0
    """The share of each history that is hidden."""

    normal: bool = True
    """Whether a history is divided by its length ‖x‖₂."""

    @staticmethod
    def size_for(n_users: int) -> int:
        """The rule where no size is given: a 64th of the people, so that an epoch has updates enough, in 16 … 500."""
        return min(500, max(16, n_users // 64))


@dataclass(frozen=True, eq=False)
class Moment:
    """Where training stands when a batch is learnt."""

    now: float
    """Epochs behind it."""

    noise: torch.Generator
    """What random numbers are drawn from, on the CPU."""

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape, type and device of `like`; the same on every device."""
        return torch.randn(like.shape, generator=self.noise, dtype=torch.float32).to(like)


def empty(spec: AutoEncoderSpec, n_items: int) -> AutoEncoder:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return spec.net(n_items)


def learn(
    spec: AutoEncoderSpec,
    data: Interactions,
    ctx: Context,
    plan: Plan,
    shown: Input,
    loss: Callable[[N, Batch, Moment], Tensor],
) -> Encoder:
    """Train the network of `spec` on who took what; `loss` is that of one batch.

    What `plan` leaves open is filled in: whose training it is and how many batches an epoch has.
    """
    seen, columns = unnamed(data.matrix)
    made_of = f"{spec.kind} {spec.model_dump_json()} {data.fingerprint} {ctx.seed} {ctx.device}"
    mark = hashlib.sha256(made_of.encode()).hexdigest()
    plan = replace(plan, kind=spec.kind, mark=mark, updates=-(-seen.shape[0] // shown.size))
    net = cast(N, empty(spec, data.n_items).to_empty(device="cpu"))
    start(net, _generator(ctx, 0))
    net = net.to(ctx.device)
    prior = data.popularity.astype(np.float32)

    def made(epochs: int = 0) -> Encoder:
        return Encoder(spec, data.items, _named(net, columns), prior, epochs, ctx.device)

    def draw(epoch: int) -> Iterator[tuple[Batch, torch.Generator]]:
        rng, noise = ctx.rng(1, epoch), _generator(ctx, 2, epoch)
        for batch in batches(seen, shown.size, rng, shown.dropout, ctx.device, normal=shown.normal):
            yield batch, noise

    def step(drawn: tuple[Batch, torch.Generator], now: float) -> Tensor:
        batch, noise = drawn
        return loss(net, batch, Moment(now, noise))

    story = train(net, draw, step, plan, ctx, made)
    return made(story.best)


def room(spec: AutoEncoderSpec, n_items: int, n_rows: int, size: int) -> int:
    """Bytes at the peak of training: seven copies of the weights, four of a batch's scores, the log rearranged."""
    weights = sum(parameter.numel() for parameter in empty(spec, n_items).parameters())
    return 4 * (7 * weights + 4 * size * n_items) + 48 * n_rows


def _named(net: AutoEncoder, columns: NDArray[np.int64]) -> dict[str, F32]:
    """The weights with rows in the order of the item codes again; row j of the network's is item columns[j]."""
    found: dict[str, F32] = {}
    for name, tensor in net.state_dict().items():
        array = tensor.detach().cpu().numpy()
        found[name] = np.empty_like(array)
        found[name][columns if name in net.by_item else ...] = array
    return found


def _generator(ctx: Context, *key: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(ctx.rng(*key).integers(2**62)))
