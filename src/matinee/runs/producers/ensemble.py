"""The producer of lists combined from those of other runs."""

from __future__ import annotations

from typing import Any

from matinee.runs.fields import AnyEnsembleSpec, AnyRecipe
from matinee.runs.producer import Producer
from matinee.runs.producers import AnyProducer
from matinee.spec import Spec


class EnsembleMember(Spec):
    """A run with lists that can be combined."""

    label: str
    """Its name in the recipe."""

    run: str
    """The name of its folder."""

    producer: AnyProducer

    seed: int
    """The seed of its fit."""


class EnsembleProducer(Producer):
    """A searched combination of lists."""

    spec: AnyEnsembleSpec
    """The search."""

    recipe: AnyRecipe
    """The recipe, fitted on all users."""

    runs: tuple[EnsembleMember, ...]
    """All candidate members."""

    @property
    def label(self) -> str:
        """The kind."""
        return self.kind

    @property
    def members(self) -> tuple[Producer, ...]:
        """The producers of all candidate members."""
        return tuple(member.producer for member in self.runs)

    @property
    def needed(self) -> tuple[EnsembleMember, ...]:
        """The members with lists that the recipe needs."""
        return tuple(member for member in self.runs if member.label in self.recipe.required_members)

    @property
    def non_default_options(self) -> dict[str, Any]:
        """The options of the search."""
        spec = self.spec
        gate = {} if spec.gate is None else {"gate": spec.gate.kind}
        return {"weight_search": spec.weight_search.kind, "rule": ", ".join(rule.kind for rule in spec.rules), **gate}

    @property
    def options(self) -> dict[str, Any]:
        """The options of the search, and the candidate members."""
        return {**self.non_default_options, "members": [member.run for member in self.runs]}
