"""A fusion recipe: members, weights, rule and depth; it combines the members' lists into one list per user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny

from matinee.candidates.pool import CandidatePool
from matinee.candidates.user_features import UserFeatures
from matinee.ensemble.gate import FittedGate
from matinee.ensemble.gates import GATES
from matinee.ensemble.rule import Rule, fuse
from matinee.ensemble.rules import RULES
from matinee.errors import SpecError
from matinee.spec import Spec, build
from matinee.topk import TopK


class FusionRecipe(Spec):
    """Members with weights and the rule that fuses their lists."""

    members: tuple[str, ...]
    """The names of the members."""

    weight: tuple[Annotated[float, Field(ge=0)], ...]
    """The weight of each member."""

    rule: SerializeAsAny[Rule]
    """The fusion rule."""

    depth: Annotated[int, Field(ge=1)]
    """Number of items of each member's list that are used."""

    gate: SerializeAsAny[FittedGate] | None = None
    """Weights per user from user features; None means all users have the same weights."""

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON; rule and gate include their kind."""
        own = {"rule": self.rule.to_dict(), "gate": None if self.gate is None else self.gate.to_dict()}
        return {**self.model_dump(mode="json", exclude={"rule", "gate"}), **own}

    @property
    def required_members(self) -> tuple[str, ...]:
        """The members with weight above 0; with a gate all members."""
        if self.gate is not None:
            return self.members
        return tuple(name for name, w in zip(self.members, self.weight, strict=True) if w > 0)

    def fuse(
        self, lists: Mapping[str, TopK], k: int, features: Callable[[CandidatePool], UserFeatures] | None = None
    ) -> TopK:
        """Fused lists (m, k) from the lists of the required members.

        `features` returns the user features of a pool; only a gate needs it.
        """
        missing = [name for name in self.required_members if name not in lists]
        if missing:
            raise SpecError("ensemble", f"there are no lists of {', '.join(missing)}", "lists of every member")
        pool = CandidatePool.of({name: lists[name] for name in self.required_members}, self.depth)
        if self.gate is None:
            active = [member for member, weight in enumerate(self.weight) if weight > 0]
            return fuse(self.rule.restrict(active), pool, [self.weight[member] for member in active], k)
        if features is None:
            raise SpecError("ensemble", "it has a gate and no user features", "user features", "Pass features.")
        return fuse(self.rule, pool, self.gate.weights(features(pool)), k)


def read_recipe(table: Mapping[str, Any], where: str) -> FusionRecipe:
    """The recipe of a table as `FusionRecipe.to_dict` writes it."""
    gate = table.get("gate")
    if gate is not None:
        rest = {name: value for name, value in gate.items() if name != "kind"}
        gate = build(GATES.get(gate["kind"], where).fitted_type, rest, f"{where}: gate")
    return build(FusionRecipe, {**table, "rule": RULES.read(table["rule"], where), "gate": gate}, where)
