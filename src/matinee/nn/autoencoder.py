"""Auto-encoders: how one is trained on a log, and the shape it has then."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import ClassVar, Generic, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from matinee.contract import FitContext, FittedModel, Mask, ModelSpec
from matinee.data import Histories, Interactions, Vocabulary
from matinee.errors import UnsupportedError
from matinee.nn.batches import Batch, batches, canonical_order, half_split_batches, make_batch
from matinee.nn.blocks import init_parameters
from matinee.nn.device import available_devices, check_gpu_memory
from matinee.nn.train import TrainConfig, resident, train
from matinee.topk.rank import top_k_of_scores

F32: TypeAlias = NDArray[np.float32]
HIDDEN_FROM_USERS = 50_000
"""How many people it takes to fill a hidden layer."""

WEIGHT_COPIES = 11
"""How often weights are in memory at once: with gradient, moments, the best so far, and what is being written down."""

BLOCK, BLOCK_SCORES = 1024, 2**22
"""People, and scores, computed at once: the larger block is not faster, and beyond 32 MB glibc keeps none."""


class AutoEncoder(nn.Module):
    """A network from what people are shown to scores of all items."""

    id_axes: ClassVar[Mapping[str, str]]
    """What the axes of a parameter count, a letter each, for those that count something: "i" items, "u" people of the
    log, "." neither. {"first.weight": "i."} has a row an item."""

    l2_normalize_input: ClassVar[bool] = True
    """Whether it is shown histories divided by their length ‖x‖₂."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n) as they are given to people: without noise."""


class AutoEncoderSpec(ModelSpec):
    """What `Encoder` asks of a model: the network its weights belong to."""

    @abstractmethod
    def net(self, n_items: int, n_users: int) -> AutoEncoder:
        """The network, its weights not yet filled. `n_users` counts where `query_by` reads user ids, and is else 0."""


N = TypeVar("N", bound=AutoEncoder)
F = TypeVar("F", bound=FittedModel)


@dataclass(frozen=True, eq=False)
class TrainedAutoEncoder:
    """The network of `spec` with the weights `state`, trained for `epochs`.

    `prior` (n_items,) is how many people took each item. Nothing was learnt about one nobody took: it gets the lowest
    score of each row and is not shown when it stands in a history; one of which nothing is left is scored by `prior`.
    Computed on `device` where this machine has it, else on the CPU.
    `users` are those it knows by name, None where names do not matter.
    """

    spec: AutoEncoderSpec
    items: Vocabulary
    state: dict[str, NDArray[np.float32]]
    popularity: F32
    epochs: int
    device: str = "cpu"
    users: Vocabulary | None = None

    def __post_init__(self) -> None:
        wanted = {name: tuple(weight.shape) for name, weight in self._empty().state_dict().items()}
        found = {name: array.shape for name, array in self.state.items()}
        if found != wanted or self.popularity.shape != (len(self.items),):
            raise ValueError(f"weights of shapes {found} do not fit the network, which has {wanted}")

    def _empty(self) -> AutoEncoder:
        return meta_network(self.spec, len(self.items), 0 if self.users is None else len(self.users))

    @property
    def fused(self) -> bool:
        """Scores are held, a block of people at a time."""
        return False

    @cached_property
    def _device(self) -> str:
        return self.device if self.device in available_devices() else "cpu"

    @cached_property
    def _net(self) -> AutoEncoder:
        net = self._empty()
        state = {
            name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in self.state.items()
        }
        net.load_state_dict(state, assign=True)
        return net.to(self._device).eval()

    @torch.no_grad()
    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        scores = np.empty((len(histories), len(self.items)), dtype=np.float32)
        matrix, names = (
            _drop_columns(histories.matrix, self.popularity == 0),
            torch.from_numpy(self._user_codes(histories)),
        )
        block = min(BLOCK, max(1, BLOCK_SCORES // len(self.items)))
        for low in range(0, len(histories), block):
            rows = np.arange(low, min(low + block, len(histories)))
            batch = make_batch(matrix, rows, device=self._device, normal=self._net.l2_normalize_input)
            part = cast(Tensor, self._net(replace(batch, user=names[rows].to(self._device))))
            scores[rows] = part.float().cpu().numpy()
        never = self.popularity == 0
        if never.any():
            scores[:, never] = scores.min(axis=1, keepdims=True)
        scores[np.diff(matrix.indptr) == 0] = self.popularity
        return scores

    def top(self, histories: Histories, k: int, mask: Mask) -> tuple[NDArray[np.int32], F32]:
        """The best k allowed items (m, k) and their scores."""
        return top_k_of_scores(self.score(histories), histories, k, mask, self.spec.kind)

    def refit_spec(self) -> ModelSpec:
        """The number of epochs that was best on the stop fold, frozen."""
        return self.spec.model_copy(update={"epochs": self.epochs})

    def _user_codes(self, histories: Histories) -> NDArray[np.int64]:
        """Who of the people it knows each row is, (m,); −1 for somebody new and where names do not matter."""
        if self.users is None:
            return np.full(len(histories), -1, dtype=np.int64)
        if self.users is histories.users or self.users == histories.users:
            return histories.user.astype(np.int64)
        return self.users.encode(histories.users.decode(histories.user)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class StepInfo:
    """Where training stands when a batch is learnt."""

    epoch: float
    """Epochs behind it."""

    generator: torch.Generator
    """What random numbers are drawn from, on the CPU."""

    phase: int = 0
    """Which pass over the people it is of those that make the epoch."""

    epoch_start: bool = False
    """Whether this is the first batch of an epoch."""

    def randn_like(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape, type and device of `like`; the same on every device."""
        return torch.randn(like.shape, generator=self.generator, dtype=torch.float32).to(like)


@dataclass(frozen=True, eq=False)
class TrainingSetup(Generic[N]):
    """How a network learns: what is minimised, how far, and how people are shown to it."""

    loss: Callable[[N, Batch, StepInfo], Tensor]
    """Of one batch, a number."""

    config: TrainConfig
    """What it leaves open is filled in: whose training it is, and how many batches an epoch has."""

    batch_size: int
    """People in a batch."""

    memory: int
    """Bytes training is predicted to need."""

    dropout: tuple[float, ...] = (0.0,)
    """The share of each history that is hidden, in each of the passes over the people that make an epoch."""

    split_halves: bool = False
    """Whether one half of a history is shown and the other asked for, both ways."""

    init_weights: Callable[[N, csr_array, torch.Generator], None] | None = None
    """Fills the weights, given the log as the network sees it; None starts them as `blocks.start` does."""


def default_batch_size(people: int) -> int:
    """The batch where no size is given: a 64th of who learns, so that an epoch has updates enough, in 16 … 500."""
    return min(500, max(16, people // 64))


def default_hidden_size(people: int) -> int:
    """The layer between items and tastes where no size is given: 600 units where there are people to fill them."""
    return 600 if people >= HIDDEN_FROM_USERS else 0


def meta_network(spec: AutoEncoderSpec, n_items: int, n_users: int) -> AutoEncoder:
    """The network without memory for its weights."""
    with torch.device("meta"):
        return spec.net(n_items, n_users)


def fit_autoencoder(
    spec: AutoEncoderSpec, data: Interactions, ctx: FitContext, lesson: TrainingSetup[N]
) -> TrainedAutoEncoder:
    """The network of `spec`, trained on who took what."""
    prior = data.popularity.astype(np.float32)
    users = data.users if spec.query_by != "history" else None

    def shape(state: dict[str, F32], epochs: int) -> TrainedAutoEncoder:
        return TrainedAutoEncoder(spec, data.items, state, prior, epochs, ctx.device, users)

    return fit_network(spec, data, ctx, lesson, shape)


def fit_network(
    spec: AutoEncoderSpec,
    data: Interactions,
    ctx: FitContext,
    lesson: TrainingSetup[N],
    shape: Callable[[dict[str, F32], int], F],
) -> F:
    """`learn` for models that have another shape once they are trained: `shape` makes it of weights and epochs.

    Weights come in the order of the log's codes; epochs are 0 while training goes on.
    """
    ceiling = resident() + lesson.memory
    seen, rows, columns = canonical_order(data.matrix)
    if seen.shape[0] == 0:
        raise UnsupportedError(spec.kind, "learn from a log without rows", "Check what the split leaves to learn from.")
    check_gpu_memory(spec.kind, lesson.memory, ctx.device, spec.memory_advice)
    judged = "validated" if ctx.validate is not None else "alone"
    made_of = (
        f"{version('matinee')} {spec.kind} {spec.model_dump_json()} {data.fingerprint} {ctx.seed} {ctx.device} {judged}"
    )
    mark = hashlib.sha256(made_of.encode()).hexdigest()
    updates = len(lesson.dropout) * -(-seen.shape[0] // lesson.batch_size)
    plan = replace(lesson.config, kind=spec.kind, fingerprint=mark, steps_per_epoch=updates, memory_ceiling=ceiling)
    net = cast(
        N, meta_network(spec, data.n_items, len(rows) if spec.query_by != "history" else 0).to_empty(device="cpu")
    )
    init_parameters(net, _generator(ctx, 0))
    if lesson.init_weights is not None:
        lesson.init_weights(net, seen, _generator(ctx, 3))
    net = net.to(ctx.device)

    def named(epochs: int = 0) -> F:
        return shape(_restore_id_order(net, rows, columns, data.n_users), epochs)

    def draw(epoch: int) -> Iterator[tuple[Batch, StepInfo]]:
        rng, noise = ctx.rng(1, epoch), _generator(ctx, 2, epoch)
        begins = True
        for turn, dropout in enumerate(lesson.dropout):
            for batch in _epoch_batches(seen, lesson, rng, dropout, ctx.device, normal=net.l2_normalize_input):
                yield batch, StepInfo(float(epoch), noise, turn, begins)
                begins = False

    def step(drawn: tuple[Batch, StepInfo], now: float) -> Tensor:
        batch, moment = drawn
        return lesson.loss(net, batch, replace(moment, epoch=now))

    story = train(net, draw, step, plan, ctx, named)
    return named(story.best_epoch)


def estimate_training_memory(
    spec: AutoEncoderSpec,
    n_users: int,
    n_items: int,
    n_rows: int,
    size: int,
    copies: tuple[int, int] = (WEIGHT_COPIES, 5),
) -> int:
    """Bytes at the peak of training: so many copies of the weights, and of a batch's scores; the log rearranged."""
    net = meta_network(spec, n_items, n_users if spec.query_by != "history" else 0)
    weights = sum(parameter.numel() for parameter in net.parameters())
    return 4 * (copies[0] * weights + copies[1] * size * n_items) + 48 * n_rows


def _drop_columns(matrix: csr_array, never: NDArray[np.bool_]) -> csr_array:
    """The matrix without the entries of some columns."""
    if not never.any():
        return matrix
    stays = ~never[matrix.indices]
    ends = np.concatenate([[0], np.cumsum(stays)])
    return csr_array((matrix.data[stays], matrix.indices[stays], ends[matrix.indptr]), shape=matrix.shape)


def _epoch_batches(
    seen: csr_array, lesson: TrainingSetup[N], rng: np.random.Generator, dropout: float, device: str, *, normal: bool
) -> Iterator[Batch]:
    """Everybody once."""
    if lesson.split_halves:
        return half_split_batches(seen, lesson.batch_size, rng, device)
    return batches(seen, lesson.batch_size, rng, dropout, device, normal=normal)


def _restore_id_order(
    net: AutoEncoder, rows: NDArray[np.int64], columns: NDArray[np.int64], n_users: int
) -> dict[str, F32]:
    """The weights in the order of the log's codes again, by the axes of each; people not trained on get zeros.

    Place j of an axis of items is item columns[j], place r of one of people is person rows[r].
    """
    found: dict[str, F32] = {}
    for name, tensor in net.state_dict().items():
        array = cast(F32, tensor.detach().cpu().numpy())
        for axis, letter in enumerate(net.id_axes.get(name, "")):
            if letter == ".":
                continue
            place = columns if letter == "i" else rows
            length = len(columns) if letter == "i" else n_users
            wide: F32 = np.zeros((*array.shape[:axis], length, *array.shape[axis + 1 :]), dtype=np.float32)
            wide[(slice(None),) * axis + (place,)] = array
            array = wide
        found[name] = array if array.base is None else array.copy()
    return found


def _generator(ctx: FitContext, *key: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(ctx.rng(*key).integers(2**62)))
