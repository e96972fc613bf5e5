"""Auto-encoders: networks that read a history as a sparse vector, their batches and their trained shape."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypeAlias, TypeVar, cast

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from matinee.contract import FitContext
from matinee.data import Histories, Interactions, Vocabulary
from matinee.data.canonical import CanonicalData
from matinee.nn.batches import Batch, batches, half_split_batches, make_batch
from matinee.nn.device import available_devices
from matinee.nn.fit import NetworkSpec, ScoringNetwork, TrainingSetup, fit_network, meta_network

F32: TypeAlias = NDArray[np.float32]
HIDDEN_FROM_USERS = 50_000
"""Number of users from which a hidden layer is used by default."""

WEIGHT_COPIES = 8
"""Copies of the weights at the peak: gradient, moments, best weights, and those of the checkpoint."""

BLOCK, BLOCK_SCORES = 1024, 2**22
"""Maximum number of users, and of scores, computed at once; larger blocks are not faster, and glibc returns theirs."""


NO_USERS = Vocabulary.of(pl.Series("user", [], dtype=pl.Int64))
"""The users of a model with scores that do not depend on the user id."""


class AutoEncoder(ScoringNetwork[Batch]):
    """A network from sparse histories to scores of all items."""

    l2_normalize_input: ClassVar[bool] = True
    """Whether histories are divided by their length ‖x‖₂."""

    def collate(self, histories: Histories, device: str) -> Batch:
        """The histories as embedding bags, without dropout."""
        batch = make_batch(histories.matrix, np.arange(len(histories)), device=device, normal=self.l2_normalize_input)
        return replace(batch, user=torch.from_numpy(histories.user.astype(np.int64)).to(device))


class AutoEncoderSpec(NetworkSpec):
    """Hyperparameters of an auto-encoder."""

    @abstractmethod
    def net(self, n_items: int, n_users: int) -> AutoEncoder:
        """The network without initial weights; `n_users` is 0 with `query_by` "history"."""


S = TypeVar("S", bound=AutoEncoderSpec)
N = TypeVar("N", bound=AutoEncoder)
B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class TrainedAutoEncoder:
    """The network of `spec` with the weights `state`.

    `popularity` (n_items,) is the number of users of each item. Items without training interactions get each row's
    minimum score and are removed from queries. An empty query is scored by popularity. Scores are computed on `device`
    if this machine has it, else on the CPU. `users` are the training users if scores depend on the user id, else None.
    """

    spec: AutoEncoderSpec
    items: Vocabulary
    state: dict[str, NDArray[np.float32]]
    popularity: F32
    device: str = "cpu"
    users: Vocabulary | None = None

    def __post_init__(self) -> None:
        expected = {name: tuple(weight.shape) for name, weight in self._meta_net().state_dict().items()}
        shapes = {name: array.shape for name, array in self.state.items()}
        if shapes != expected or self.popularity.shape != (len(self.items),):
            raise ValueError(f"weights of shapes {shapes} do not fit the network, which has {expected}")

    def _meta_net(self) -> AutoEncoder:
        return meta_network(self.spec.net, len(self.items), 0 if self.users is None else len(self.users))

    @cached_property
    def _device(self) -> str:
        return self.device if self.device in available_devices() else "cpu"

    @cached_property
    def _net(self) -> AutoEncoder:
        net = self._meta_net()
        state = {
            name: torch.from_numpy(np.require(array, requirements=["C", "W"])) for name, array in self.state.items()
        }
        net.load_state_dict(state, assign=True)
        return net.to(self._device).eval()

    @torch.no_grad()
    def score(self, histories: Histories) -> F32:
        """Scores (m, n_items)."""
        query, unknown = self._query(histories), self.popularity == 0
        scores = np.empty((len(query), len(self.items)), dtype=np.float32)
        block = min(BLOCK, max(1, BLOCK_SCORES // len(self.items)))
        for low in range(0, len(query), block):
            high = min(low + block, len(query))
            part = cast(Tensor, self._net(self._net.collate(query.rows(low, high), self._device)))
            scores[low:high] = part.float().cpu().numpy()
        if unknown.any():
            scores[:, unknown] = scores.min(axis=1, keepdims=True)
        scores[np.diff(query.offsets) == 0] = self.popularity
        return scores

    def _query(self, histories: Histories) -> Histories:
        """The histories without items that have no training interactions, `user` in codes of the training users."""
        keep = self.popularity[histories.item] > 0
        ends = np.concatenate([[0], np.cumsum(keep)])
        if self.users is None:
            user, users = np.full(len(histories), -1, dtype=np.int32), NO_USERS
        elif self.users is histories.users or self.users == histories.users:
            user, users = histories.user, self.users
        else:
            user, users = self.users.encode(histories.users.decode(histories.user)), self.users
        item, time = histories.item[keep], histories.time[keep]
        return replace(histories, user=user, users=users, offsets=ends[histories.offsets], item=item, time=time)


@dataclass(frozen=True)
class DropoutBatches:
    """All users once per epoch in random order, input entries dropped at random."""

    batch_size: int
    dropout: float
    device: str
    l2_normalize: bool = True

    def __call__(self, data: CanonicalData, epoch: int, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of an epoch."""
        return batches(data.matrix, self.batch_size, rng, self.dropout, self.device, normal=self.l2_normalize)

    def steps(self, n_users: int) -> int:
        """Number of batches of `n_users` users."""
        return -(-n_users // self.batch_size)


@dataclass(frozen=True)
class HalfSplitBatches:
    """All users once per epoch in random order, each with both halves of the history, see `half_split_batches`."""

    batch_size: int
    device: str

    def __call__(self, data: CanonicalData, epoch: int, rng: np.random.Generator) -> Iterator[Batch]:
        """The batches of an epoch."""
        return half_split_batches(data.matrix, self.batch_size, rng, self.device)

    def steps(self, n_users: int) -> int:
        """Number of batches of `n_users` users."""
        return -(-n_users // self.batch_size)


def default_batch_size(n_users: int) -> int:
    """The default batch size: a 64th of the users with interactions, 16 to 500."""
    return min(500, max(16, n_users // 64))


def default_hidden_size(n_users: int) -> int:
    """The default size of the layer between items and latent vector: 600 with many users, otherwise 0."""
    return 600 if n_users >= HIDDEN_FROM_USERS else 0


def with_epochs(spec: S, epochs: int) -> S:
    """`spec` with the number of epochs of the kept weights; unchanged for 0, the initial weights."""
    return spec.model_copy(update={"epochs": epochs}) if epochs else spec


def fit_autoencoder(
    spec: AutoEncoderSpec, data: Interactions, ctx: FitContext, setup: TrainingSetup[N, B]
) -> TrainedAutoEncoder:
    """The auto-encoder of `spec`, trained on `data`."""
    popularity = data.popularity.astype(np.float32)
    users = data.users if spec.query_by != "history" else None
    net = cast(N, meta_network(spec.net, data.n_items, 0 if users is None else data.n_active_users))

    def build(state: dict[str, F32], epochs: int) -> TrainedAutoEncoder:
        return TrainedAutoEncoder(with_epochs(spec, epochs), data.items, state, popularity, ctx.device, users)

    return fit_network(spec, net, data, ctx, setup, build)


def estimate_training_memory(
    spec: AutoEncoderSpec,
    n_users: int,
    n_items: int,
    n_rows: int,
    size: int,
    copies: tuple[int, int] = (WEIGHT_COPIES, 5),
) -> int:
    """Bytes at the peak of training with batches of `size` users.

    `copies` = (copies of the weights, copies of a batch's score matrix); plus the reordered log.
    """
    net = meta_network(spec.net, n_items, n_users if spec.query_by != "history" else 0)
    weights = sum(parameter.numel() for parameter in net.parameters())
    return 4 * (copies[0] * weights + copies[1] * size * n_items) + 24 * n_rows
