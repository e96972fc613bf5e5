"""Lists combined from those of other runs."""

from __future__ import annotations

from typing import Any

from matinee.runs.fields import AnyEnsembleSpec, AnyRecipe
from matinee.runs.producer import Producer
from matinee.runs.producers import AnyProducer
from matinee.spec import Spec


class EnsembleMember(Spec):
    """A run whose lists were combined."""

    label: str
    """Its name in the recipe."""

    run: str
    """The name of its folder."""

    producer: AnyProducer

    seed: int
    """Of its fit."""


class EnsembleProducer(Producer):
    """A combination of lists that was searched."""

    spec: AnyEnsembleSpec
    """What was searched."""

    recipe: AnyRecipe
    """What was found on all users."""

    runs: tuple[EnsembleMember, ...]
    """Every run that could be a member."""

    @property
    def label(self) -> str:
        """The kind."""
        return self.kind

    @property
    def members(self) -> tuple[Producer, ...]:
        """The producers of all runs that could be members."""
        return tuple(member.producer for member in self.runs)

    @property
    def needed(self) -> tuple[EnsembleMember, ...]:
        """The members whose lists the recipe takes."""
        return tuple(member for member in self.runs if member.label in self.recipe.required_members)

    @property
    def non_default_options(self) -> dict[str, Any]:
        """How it was searched."""
        plan = self.spec
        gate = {} if plan.gate is None else {"gate": plan.gate.kind}
        return {"weight_search": plan.weight_search.kind, "rule": ", ".join(rule.kind for rule in plan.rules), **gate}

    @property
    def options(self) -> dict[str, Any]:
        """How it was searched, and among which runs."""
        return {**self.non_default_options, "members": [member.run for member in self.runs]}
