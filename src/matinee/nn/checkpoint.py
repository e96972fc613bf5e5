"""A training that was stopped, kept in a folder so that it goes on: weights, optimiser, and how far it came.

No generator is kept: the draws of an epoch are decided by (seed, epoch). No pickle either.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

State: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True)
class Story:
    """How far a training came."""

    losses: tuple[float, ...] = ()
    """Mean loss of each epoch run."""

    metrics: tuple[tuple[int, float], ...] = ()
    """(epochs run, what `validate` said) at each evaluation."""

    @property
    def ran(self) -> int:
        """How many epochs were run."""
        return len(self.losses)

    @property
    def best(self) -> int:
        """After how many epochs the metric was best, the first of equals; without evaluations, all that ran."""
        return max(self.metrics, key=lambda one: (one[1], -one[0]))[0] if self.metrics else self.ran

    @property
    def idle(self) -> int:
        """How many evaluations have passed since the best."""
        return sum(at > self.best for at, _ in self.metrics)


def keep(folder: Path, mark: str, net: nn.Module, optimiser: Optimizer, best: State | None, story: Story) -> None:
    """Write a checkpoint; the one before stands until this one is whole. `mark` says of which fit it is."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in (best or {}).items()}
    for place, kept in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{place}.{name}": tensor for name, tensor in kept.items()}
    half = folder / "checkpoint.half"
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, half, {"mark": mark, "story": json.dumps(asdict(story))})
    half.replace(folder / "checkpoint.safetensors")


def take_up(folder: Path, mark: str, net: nn.Module, optimiser: Optimizer) -> tuple[Story, State | None]:
    """Put net and optimiser where the checkpoint of the same fit left them; a new story where there is none."""
    path = folder / "checkpoint.safetensors"
    try:
        with safe_open(path, "pt") as file:
            said = file.metadata() or {}
        if said.get("mark") != mark:
            return Story(), None
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return Story(), None
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
    story = Story(tuple(told["losses"]), tuple((at, value) for at, value in told["metrics"]))
    return story, parts["best"] or None
