"""A training that was stopped, kept in a folder so that it goes on: weights, optimiser, and how far it came.

No generator is kept: the draws of an epoch are decided by (seed, epoch). No pickle either.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from matinee.errors import RunError

State: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class TrainingHistory:
    """How far a training came."""

    losses: tuple[float, ...] = ()
    """Mean loss of each epoch run."""

    metrics: tuple[tuple[int, float], ...] = ()
    """(epochs run, what `validate` said) at each evaluation."""

    @property
    def epochs_run(self) -> int:
        """How many epochs were run."""
        return len(self.losses)

    @property
    def best_epoch(self) -> int:
        """After how many epochs the metric was best, the first of equals; without evaluations, all that ran."""
        return max(self.metrics, key=lambda one: (one[1], -one[0]))[0] if self.metrics else self.epochs_run

    @property
    def evals_since_best(self) -> int:
        """How many evaluations have passed since the best."""
        return sum(at > self.best_epoch for at, _ in self.metrics)

    def values(self, epoch: int) -> dict[str, float]:
        """The loss and the metric of an epoch from 1, or of the initial weights (0), where they exist."""
        metric = dict(self.metrics)
        loss = {"loss": self.losses[epoch - 1]} if epoch > 0 else {}
        return loss | ({"metric": metric[epoch]} if epoch in metric else {})


def save_checkpoint(
    folder: Path, mark: str, net: nn.Module, optimiser: Optimizer, best: State | None, story: TrainingHistory
) -> None:
    """Write a checkpoint; the one before stands until this one is whole. `mark` says of which fit it is."""
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in (best or {}).items()}
    for place, kept in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{place}.{name}": tensor for name, tensor in kept.items()}
    half = folder / "checkpoint.half"
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = {"mark": mark, "story": json.dumps(asdict(story))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(whole, half, about | {"sha256": _hash(whole, about)})
        with half.open("rb") as file:
            os.fsync(file.fileno())
        half.replace(folder / "checkpoint.safetensors")
    except (OSError, SafetensorError) as error:
        found = f"the state of the training cannot be kept here ({error})"
        raise RunError(folder, found, "Free space or use another folder, then run again.") from error


def _hash(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """Of names, shapes and content: a damaged checkpoint is not taken up."""
    digest = hashlib.sha256(json.dumps([about["mark"], about["story"]]).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_checkpoint(
    folder: Path, mark: str, net: nn.Module, optimiser: Optimizer
) -> tuple[TrainingHistory, State | None]:
    """Put net and optimiser where the checkpoint of the same fit left them; a new story where none is intact."""
    path = folder / "checkpoint.safetensors"
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
        if said.get("mark") != mark:
            return TrainingHistory(), None
        tensors = load_file(path)
        if said.get("sha256") != _hash(tensors, said):
            return TrainingHistory(), None
    except (OSError, KeyError, SafetensorError):
        return TrainingHistory(), None
    parts: dict[str, State] = {"net": {}, "best": {}, "optimiser": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    net.load_state_dict(parts["net"])
    state: dict[int, State] = {}
    for name, tensor in parts["optimiser"].items():
        place, _, rest = name.partition(".")
        state.setdefault(int(place), {})[rest] = tensor
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    told = json.loads(said["story"])
    story = TrainingHistory(tuple(told["losses"]), tuple((at, value) for at, value in told["metrics"]))
    return story, parts["best"] or None
