"""What a table `[ensemble]` says: who may be a member, how combinations are tried, and how the gain is kept honest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, cast

from pydantic import Field, SerializeAsAny

from matinee.ensemble.gate import Gate
from matinee.ensemble.gates import GATES
from matinee.ensemble.rule import PointRule, Rule
from matinee.ensemble.rules import RULES
from matinee.ensemble.rules.dcg_points import DCGPoints
from matinee.ensemble.weight_search import WeightSearch
from matinee.ensemble.weight_searches import WEIGHT_SEARCHES
from matinee.ensemble.weight_searches.fixed import Fixed
from matinee.errors import SpecError
from matinee.spec import Registry, S, Spec, build, short_repr


class EnsembleSpec(Spec):
    """A search over combinations, or one combination written down."""

    weight_search: SerializeAsAny[WeightSearch]
    """How members and weights are found; in a file its kind and knobs stand in the table itself."""

    members: tuple[str, ...] = ()
    """Kinds or run names that may be members, in this order; nothing means all."""

    rules: Annotated[tuple[SerializeAsAny[Rule], ...], Field(min_length=1)] = (DCGPoints(),)
    """The fusion rules to try, a kind or a table each; `rule` for a single one."""

    depths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (50,)
    """How deep members' lists may count, each tried; `depth` for a single one."""

    folds: Annotated[int, Field(ge=2, le=100)] = 4
    """Everybody's list is judged under a combination found without them, on the other folds of the people."""

    gate: SerializeAsAny[Gate] | None = None
    """How people may get weights of their own; used only where that is better beyond noise. Nothing: never."""

    def to_dict(self) -> dict[str, Any]:
        """What a file would say."""
        return {
            **self.weight_search.to_dict(),
            **self.model_dump(mode="json", exclude={"weight_search", "rules", "gate"}),
            "rules": [rule.to_dict() for rule in self.rules],
            **({} if self.gate is None else {"gate": self.gate.to_dict()}),
        }


def read_ensemble(table: Mapping[str, Any], where: str) -> EnsembleSpec:
    """The plan of a table. Keys that are no knobs of a plan belong to the chooser."""
    rest = dict(table)
    own: dict[str, Any] = {}
    for name, many in (("rule", "rules"), ("depth", "depths")):
        if name in rest:
            if many in rest:
                raise SpecError(where, f"both {name} and {many} are given", "one of them")
            rest[many] = [rest.pop(name)]
    for name in EnsembleSpec.model_fields:
        if name in rest and name != "weight_search":
            own[name] = rest.pop(name)
    own["weight_search"] = WEIGHT_SEARCHES.read({"kind": "greedy", **rest}, where)
    if "rules" in own:
        if not isinstance(own["rules"], list | tuple):
            raise SpecError(
                f"{where}.rules", f"found {short_repr(own['rules'])}", "a list of rules", "Write rule for one."
            )
        own["rules"] = tuple(_named(RULES, one, f"{where}: rule") for one in cast("list[Any]", own["rules"]))
    if own.get("gate") is not None:
        own["gate"] = _named(GATES, own["gate"], f"{where}: gate")
    plan = build(EnsembleSpec, own, where)
    dealt = [rule.kind for rule in plan.rules if not isinstance(rule, PointRule)]
    if dealt and (not isinstance(plan.weight_search, Fixed) or plan.gate is not None):
        found = f"{', '.join(dealt)} with kind = {plan.weight_search.kind!r}"
        todo = "Use kind = 'fixed' and no gate, or a rule that gives points."
        raise SpecError(where, found, "rules that give points, whose weights can be searched", todo)
    return plan


def _named(room: Registry[S], value: Any, where: str) -> S:
    """The spec of a kind given by its name alone, or by a table."""
    if not isinstance(value, str | Mapping):
        raise SpecError(where, f"found {short_repr(value)}", "the name of a kind, or a table with a kind")
    return room.read({"kind": value} if isinstance(value, str) else cast("Mapping[str, Any]", value), where)
