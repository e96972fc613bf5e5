"""Training of any network on a log: canonical order, keyed draws, checkpoints, weights in the order of the log."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from matinee.contract import FitContext, FittedModel, ModelSpec
from matinee.data import Histories, Interactions
from matinee.data.canonical import CanonicalData, CanonicalOrder
from matinee.errors import UnsupportedError
from matinee.nn.blocks import init_parameters
from matinee.nn.device import check_gpu_memory
from matinee.nn.memory import resident
from matinee.nn.train import TrainConfig, train

F32: TypeAlias = NDArray[np.float32]
B = TypeVar("B")

INIT_KEY, EPOCH_KEY, NOISE_KEY, SETUP_KEY = 0, 1, 2, 3
"""First keys of the random generators: initial weights, batches, noise of the loss, `init_weights`."""


class ScoringNetwork(nn.Module, Generic[B]):
    """A network that scores all items for a batch of histories."""

    id_axes: ClassVar[Mapping[str, str]]
    """What each axis of a parameter counts, one letter per axis: "i" items, "u" users, "." neither.

    {"first.weight": "i."} has a row per item. Required for every parameter with a size that depends on them.
    """

    @abstractmethod
    def collate(self, histories: Histories, device: str) -> B:
        """The batch of these histories, on `device`; `histories.user` are codes of training users or −1."""

    @abstractmethod
    def forward(self, batch: B) -> Tensor:
        """Scores (b, n), without dropout or noise."""

    def encode(self, batch: B) -> Tensor | None:
        """Query vectors (b, d) if scores are products with `item_vectors`, else None."""
        return None

    def item_vectors(self) -> tuple[Tensor, Tensor | None] | None:
        """Item vectors (n, d) and biases (n,) that complete `encode`, else None."""
        return None


class NetworkSpec(ModelSpec):
    """Hyperparameters of a model with a network."""

    @abstractmethod
    def net(self, n_items: int, n_users: int) -> ScoringNetwork[Any]:
        """The network without initial weights; `n_users` is 0 with `query_by` "history"."""


N = TypeVar("N", bound=ScoringNetwork[Any])
F = TypeVar("F", bound=FittedModel)


@dataclass(frozen=True, eq=False)
class StepInfo:
    """The position of a step in training, and its source of random numbers."""

    epoch: float
    """Epochs before this step; a fraction within an epoch."""

    generator: torch.Generator
    """Random numbers of the epoch, on the CPU."""

    def randn_like(self, like: Tensor) -> Tensor:
        """Standard normal numbers of the shape, type and device of `like`; equal on all devices."""
        return torch.randn(like.shape, generator=self.generator, dtype=torch.float32).to(like)


@dataclass(frozen=True, eq=False)
class TrainingSetup(Generic[N, B]):
    """Loss, batches and configuration of a training."""

    loss: Callable[[N, B, StepInfo], Tensor]
    """The loss of a batch, a scalar."""

    batches: Callable[[CanonicalData, int, np.random.Generator], Iterable[B]]
    """The batches of an epoch from the training set, the epoch and the random generator of that epoch."""

    steps_per_epoch: int
    """Number of batches of an epoch."""

    config: TrainConfig
    """`fit_network` sets `kind`, `fingerprint`, `steps_per_epoch` and `memory_ceiling`."""

    memory: int
    """Bytes that training is predicted to need."""

    init_weights: Callable[[N, CanonicalData, torch.Generator], None] | None = None
    """Sets weights after `blocks.init_parameters`; None keeps those."""


def meta_network(build_net: Callable[[int, int], N], n_items: int, n_users: int) -> N:
    """The network of (n_items, n_users) without memory for its weights.

    Raises `ValueError` if `id_axes` is not complete. An axis counts items (users) if its size is `n_items` (`n_users`)
    and changes with it; a layer that has as many units by chance needs no entry.
    """
    with torch.device("meta"):
        net = build_net(n_items, n_users)
        wider = [build_net(n_items + 1, n_users), build_net(n_items, n_users + 1)]
    shapes = _shapes(net)
    others = [_shapes(other) for other in wider]
    for name, shape in shapes.items():
        changes = (size != other[name][axis] for other in others for axis, size in enumerate(shape))
        sizes = (size in (n_items, n_users) for _ in others for size in shape)
        if name not in net.id_axes and any(a and b for a, b in zip(changes, sizes, strict=True)):
            raise ValueError(f"id_axes of {type(net).__qualname__} has no entry for {name!r} of shape {shape}")
    counted = {"i": n_items, "u": n_users}
    for name, axes in net.id_axes.items():
        shape = shapes.get(name, ())
        if len(axes) != len(shape) or any(counted.get(letter, n) != n for letter, n in zip(axes, shape, strict=True)):
            raise ValueError(f"id_axes of {type(net).__qualname__} has {axes!r} for {name!r} of shape {shape}")
    return net


def _shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def fit_network(
    spec: ModelSpec,
    net: N,
    data: Interactions,
    ctx: FitContext,
    setup: TrainingSetup[N, B],
    build: Callable[[dict[str, F32], int], F],
) -> F:
    """The model that `build` returns for the trained weights and best epochs.

    `net` has no weights yet, see `meta_network`; its user axes count users with interactions. `build` receives weights
    in the order of the log's codes, and 0 epochs during training.
    """
    ceiling = resident() + setup.memory
    canonical = CanonicalData.of(data)
    if canonical.n_users == 0:
        action = "learn from a log without rows"
        raise UnsupportedError(spec.kind, action, "Check that the split leaves rows in the training set.")
    check_gpu_memory(spec.kind, setup.memory, ctx.device, spec.memory_advice)
    config = replace(
        setup.config,
        kind=spec.kind,
        fingerprint=_fingerprint(spec, data, ctx),
        steps_per_epoch=setup.steps_per_epoch,
        memory_ceiling=ceiling,
    )
    net = net.to_empty(device="cpu")
    init_parameters(net, _generator(ctx, INIT_KEY))
    if setup.init_weights is not None:
        setup.init_weights(net, canonical, _generator(ctx, SETUP_KEY))
    net = net.to(ctx.device)

    def build_model(epochs: int = 0) -> F:
        return build(_restore_weights(net, canonical.order), epochs)

    def batches(epoch: int) -> Iterator[tuple[B, StepInfo]]:
        info = StepInfo(float(epoch), _generator(ctx, NOISE_KEY, epoch))
        for batch in setup.batches(canonical, epoch, ctx.rng(EPOCH_KEY, epoch)):
            yield batch, info

    def step(drawn: tuple[B, StepInfo], now: float) -> Tensor:
        batch, info = drawn
        return setup.loss(net, batch, replace(info, epoch=now))

    history = train(net, batches, step, config, ctx, build_model)
    return build_model(history.best_epoch)


def _fingerprint(spec: ModelSpec, data: Interactions, ctx: FitContext) -> str:
    """The identity of a training, which decides whether a checkpoint is used."""
    mode = "validated" if ctx.validate is not None else "alone"
    parts = (version("matinee"), spec.kind, spec.model_dump_json(), data.fingerprint, ctx.seed, ctx.device, mode)
    return hashlib.sha256(" ".join(map(str, (*parts, *ctx.stage))).encode()).hexdigest()


def _restore_weights(net: ScoringNetwork[Any], order: CanonicalOrder) -> dict[str, F32]:
    """The weights in the order of the log's codes, by name, on the CPU."""
    weights: dict[str, F32] = {}
    for name, tensor in net.state_dict().items():
        array = order.restore(cast(F32, tensor.detach().cpu().numpy()), net.id_axes.get(name, ""))
        weights[name] = array if array.base is None else array.copy()
    return weights


def _generator(ctx: FitContext, *key: int) -> torch.Generator:
    return torch.Generator().manual_seed(int(ctx.rng(*key).integers(2**62)))
