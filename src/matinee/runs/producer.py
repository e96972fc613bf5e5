"""The origin of the lists of a run: base of the registry `runs.producers`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from matinee.spec import Spec


class Producer(Spec):
    """The origin of a run's lists; one file of `runs/producers/` defines one."""

    @property
    @abstractmethod
    def label(self) -> str:
        """The name on the leaderboard, by which a run can be chosen."""

    @property
    def members(self) -> tuple[Producer, ...]:
        """The producers of the combined lists; empty for a single one."""
        return ()

    @property
    def options(self) -> dict[str, Any]:
        """All hyperparameters or options, ready for JSON."""
        return {}

    @property
    def non_default_options(self) -> dict[str, Any]:
        """The options that the leaderboard shows."""
        return self.options

    def to_dict(self) -> dict[str, Any]:
        """The kind, then the fields."""
        return {"kind": self.kind, **self.model_dump(mode="json")}
