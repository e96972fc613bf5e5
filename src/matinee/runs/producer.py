"""What made the lists of a run: the base of the registry `runs.producers`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from matinee.spec import Spec


class Producer(Spec):
    """The origin of a run's lists: one file of `runs/producers/` defines one."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The name on the leaderboard, which a run may be chosen by."""

    @property
    def members(self) -> tuple[Producer, ...]:
        """The producers whose lists were combined; empty for a single one."""
        return ()

    @property
    def options(self) -> dict[str, Any]:
        """The hyperparameters or options, all of them, ready for JSON."""
        return {}

    @property
    def non_default_options(self) -> dict[str, Any]:
        """The options worth a place on the leaderboard."""
        return self.options

    def to_dict(self) -> dict[str, Any]:
        """The kind, then the fields."""
        return {"kind": self.kind, **self.model_dump(mode="json")}
