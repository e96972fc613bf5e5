"""What a table `[ensemble]` says: who may be a member, how combinations are tried, and how the gain is kept honest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny

from matinee.ensemble.chooser import Chooser
from matinee.ensemble.choosers import CHOOSERS
from matinee.ensemble.choosers.fixed import Fixed
from matinee.ensemble.gate import Gate
from matinee.ensemble.gates import GATES
from matinee.ensemble.rule import Points, Rule
from matinee.ensemble.rules import RULES
from matinee.ensemble.rules.log_rank import LogRank
from matinee.errors import SpecError
from matinee.spec import Spec, build


class Plan(Spec):
    """A search over combinations, or one combination written down."""

    chooser: SerializeAsAny[Chooser]
    """How members and weights are found; in a file its kind and knobs stand in the table itself."""

    members: tuple[str, ...] = ()
    """Kinds or run names that may be members, in this order; nothing means all."""

    rules: Annotated[tuple[SerializeAsAny[Rule], ...], Field(min_length=1)] = (LogRank(),)
    """The fusion rules to try, a kind or a table each; `rule` for a single one."""

    depths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (50,)
    """How deep members' lists may count, each tried; `depth` for a single one."""

    folds: Annotated[int, Field(ge=2)] = 4
    """Everybody's list is judged under a combination found without them, on the other folds of the people."""

    gate: SerializeAsAny[Gate] | None = None
    """How people may get weights of their own; used only where that is better beyond noise. Nothing: never."""

    def written(self) -> dict[str, Any]:
        """What a file would say."""
        return {
            **self.chooser.written(),
            **self.model_dump(mode="json", exclude={"chooser", "rules", "gate"}),
            "rules": [rule.written() for rule in self.rules],
            **({} if self.gate is None else {"gate": self.gate.written()}),
        }


def read(table: Mapping[str, Any], where: str) -> Plan:
    """The plan of a table. Keys that are no knobs of a plan belong to the chooser."""
    rest = dict(table)
    own: dict[str, Any] = {}
    for name, many in (("rule", "rules"), ("depth", "depths")):
        if name in rest:
            if many in rest:
                raise SpecError(where, f"both {name} and {many} are given", "one of them")
            rest[many] = [rest.pop(name)]
    for name in Plan.model_fields:
        if name in rest and name != "chooser":
            own[name] = rest.pop(name)
    own["chooser"] = CHOOSERS.read({"kind": "greedy", **rest}, where)
    if "rules" in own:
        own["rules"] = tuple(_rule(one, f"{where}: rule") for one in own["rules"])
    if own.get("gate") is not None:
        gate = own["gate"]
        own["gate"] = GATES.read({"kind": gate} if isinstance(gate, str) else gate, f"{where}: gate")
    plan = build(Plan, own, where)
    dealt = [rule.kind for rule in plan.rules if not isinstance(rule, Points)]
    if dealt and (not isinstance(plan.chooser, Fixed) or plan.gate is not None):
        found = f"{', '.join(dealt)} with kind = {plan.chooser.kind!r}"
        todo = "Use kind = 'fixed' and no gate, or a rule that gives points."
        raise SpecError(where, found, "rules that give points, whose weights can be searched", todo)
    return plan


def _rule(said: Any, where: str) -> Rule:
    return RULES.read({"kind": said} if isinstance(said, str) else said, where)
