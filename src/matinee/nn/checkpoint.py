"""Checkpoints of a training: weights, optimizer state and history in one file, without pickle.

Random generators are not stored, because the draws of an epoch are a function of (seed, epoch).
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
    """Losses and metrics of a training."""

    losses: tuple[float, ...] = ()
    """Mean loss of each epoch run."""

    metrics: tuple[tuple[int, float], ...] = ()
    """(epochs run, validation metric) of each evaluation."""

    @property
    def epochs_run(self) -> int:
        """Number of epochs run."""
        return len(self.losses)

    @property
    def best_epoch(self) -> int:
        """Epochs after which the metric was best, the first of equals; without evaluations, all epochs."""
        return max(self.metrics, key=lambda one: (one[1], -one[0]))[0] if self.metrics else self.epochs_run

    @property
    def evals_since_best(self) -> int:
        """Number of evaluations since the best one."""
        return sum(at > self.best_epoch for at, _ in self.metrics)

    def values(self, epoch: int) -> dict[str, float]:
        """The loss and the metric after an epoch, where they exist.

        Epochs count from 1; 0 means the initial weights.
        """
        metric = dict(self.metrics)
        loss = {"loss": self.losses[epoch - 1]} if epoch > 0 else {}
        return loss | ({"metric": metric[epoch]} if epoch in metric else {})


def save_checkpoint(
    folder: Path, fingerprint: str, net: nn.Module, optimizer: Optimizer, best: State | None, history: TrainingHistory
) -> None:
    """Write a checkpoint; it replaces the previous one when it is complete."""
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in (best or {}).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
    partial = folder / "checkpoint.half"
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"fingerprint": fingerprint, "history": json.dumps(asdict(history))}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(whole, partial, metadata | {"sha256": _hash(whole, metadata)})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(folder / "checkpoint.safetensors")
    except (OSError, SafetensorError) as error:
        found = f"the checkpoint of a training cannot be written ({error})"
        raise RunError(folder, found, "Free space or use another folder, then run again.") from error


def _hash(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """A hash of metadata, names, shapes and content, by which a damaged checkpoint is detected."""
    digest = hashlib.sha256(json.dumps([metadata["fingerprint"], metadata["history"]]).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def load_checkpoint(
    folder: Path, fingerprint: str, net: nn.Module, optimizer: Optimizer
) -> tuple[TrainingHistory, State | None]:
    """The history and best weights of a checkpoint, after loading its net and optimizer state.

    Without an intact checkpoint of the same training the history is empty, and nothing is loaded.
    """
    path = folder / "checkpoint.safetensors"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("fingerprint") != fingerprint:
            return TrainingHistory(), None
        tensors = load_file(path)
        if metadata.get("sha256") != _hash(tensors, metadata):
            return TrainingHistory(), None
    except (OSError, KeyError, SafetensorError):
        return TrainingHistory(), None
    parts: dict[str, State] = {"net": {}, "best": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    net.load_state_dict(parts["net"])
    state: dict[int, State] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, rest = name.partition(".")
        state.setdefault(int(index), {})[rest] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    values = json.loads(metadata["history"])
    history = TrainingHistory(tuple(values["losses"]), tuple((at, value) for at, value in values["metrics"]))
    return history, parts["best"] or None
