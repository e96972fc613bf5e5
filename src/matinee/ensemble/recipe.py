"""A combination as it is written down: members, weights, rule, depth. It makes lists of lists, whoever made those."""

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
    """What to mix, by which rule."""

    members: tuple[str, ...]
    """The names of the members."""

    weight: tuple[Annotated[float, Field(ge=0)], ...]
    """The weight of each."""

    rule: SerializeAsAny[Rule]
    """How their lists become one."""

    depth: Annotated[int, Field(ge=1)]
    """How deep their lists count."""

    gate: SerializeAsAny[FittedGate] | None = None
    """How each person's own weights follow from their traits; nothing means the weights are everybody's."""

    def to_dict(self) -> dict[str, object]:
        """Ready for JSON, the rule with its kind."""
        own = {"rule": self.rule.to_dict(), "gate": None if self.gate is None else self.gate.to_dict()}
        return {**self.model_dump(mode="json", exclude={"rule", "gate"}), **own}

    @property
    def required_members(self) -> tuple[str, ...]:
        """The members whose lists it takes: those of weight above 0; with a gate all, for anybody may lean on any."""
        if self.gate is not None:
            return self.members
        return tuple(name for name, w in zip(self.members, self.weight, strict=True) if w > 0)

    def fuse(
        self, lists: Mapping[str, TopK], k: int, traits: Callable[[CandidatePool], UserFeatures] | None = None
    ) -> TopK:
        """Lists (m, k) from the lists of the members needed; a gate wants the people's traits under their pool."""
        missing = [name for name in self.required_members if name not in lists]
        if missing:
            raise SpecError("ensemble", f"there are no lists of {', '.join(missing)}", "lists of every member")
        pool = CandidatePool.of({name: lists[name] for name in self.required_members}, self.depth)
        if self.gate is None:
            kept = [member for member, weight in enumerate(self.weight) if weight > 0]
            return fuse(self.rule.restrict(kept), pool, [self.weight[member] for member in kept], k)
        if traits is None:
            raise SpecError("ensemble", "nothing is known of the people", "their traits, which the gate looks at")
        return fuse(self.rule, pool, self.gate.weights(traits(pool)), k)


def read_recipe(said: Mapping[str, Any], where: str) -> FusionRecipe:
    """A recipe as `written` wrote it."""
    gate = said.get("gate")
    if gate is not None:
        rest = {name: value for name, value in gate.items() if name != "kind"}
        gate = build(GATES.get(gate["kind"], where).fitted_type, rest, f"{where}: gate")
    return build(FusionRecipe, {**said, "rule": RULES.read(said["rule"], where), "gate": gate}, where)
