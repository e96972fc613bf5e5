"""The spec of a table `[ensemble]`: members, rules and depths to try, weight search, folds and gate."""

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
    """A search over combinations, or one fixed combination."""

    weight_search: SerializeAsAny[WeightSearch]
    """The search for members and weights; in a file its kind and options are keys of the table itself."""

    members: tuple[str, ...] = ()
    """Kinds or run names that may be members, in this order; empty means all."""

    rules: Annotated[tuple[SerializeAsAny[Rule], ...], Field(min_length=1)] = (DCGPoints(),)
    """The fusion rules to try, each a kind or a table; `rule` gives a single one."""

    depths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (50,)
    """Numbers of items of the members' lists to try; `depth` gives a single one."""

    folds: Annotated[int, Field(ge=2, le=100)] = 4
    """Folds of users; each user is evaluated with a combination fitted on the other folds."""

    gate: SerializeAsAny[Gate] | None = None
    """Weights per user, used only if the held-out gain is significant; None means never."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values as in a file."""
        return {
            **self.weight_search.to_dict(),
            **self.model_dump(mode="json", exclude={"weight_search", "rules", "gate"}),
            "rules": [rule.to_dict() for rule in self.rules],
            **({} if self.gate is None else {"gate": self.gate.to_dict()}),
        }


def read_ensemble(table: Mapping[str, Any], where: str) -> EnsembleSpec:
    """The spec of a table.

    Keys that are no fields of `EnsembleSpec` belong to the weight search.
    """
    rest = dict(table)
    own: dict[str, Any] = {}
    for name, plural in (("rule", "rules"), ("depth", "depths")):
        if name in rest:
            if plural in rest:
                raise SpecError(where, f"both {name} and {plural} are set", "one of them", f"Remove {name}.")
            rest[plural] = [rest.pop(name)]
    for name in EnsembleSpec.model_fields:
        if name in rest and name != "weight_search":
            own[name] = rest.pop(name)
    own["weight_search"] = WEIGHT_SEARCHES.read({"kind": "greedy", **rest}, where)
    if "rules" in own:
        if not isinstance(own["rules"], list | tuple):
            raise SpecError(
                f"{where}.rules",
                f"found {short_repr(own['rules'])}",
                "a list of rules",
                "Write rule = … for a single rule.",
            )
        own["rules"] = tuple(_read_kind(RULES, one, f"{where}: rule") for one in cast("list[Any]", own["rules"]))
    if own.get("gate") is not None:
        own["gate"] = _read_kind(GATES, own["gate"], f"{where}: gate")
    spec = build(EnsembleSpec, own, where)
    without_points = [rule.kind for rule in spec.rules if not isinstance(rule, PointRule)]
    if without_points and (not isinstance(spec.weight_search, Fixed) or spec.gate is not None):
        found = f"{', '.join(without_points)} with kind = {spec.weight_search.kind!r}"
        advice = "Use kind = 'fixed' without a gate, or a rule that adds points."
        raise SpecError(where, found, "rules that add points, since only their weights can be searched", advice)
    return spec


def _read_kind(registry: Registry[S], value: Any, where: str) -> S:
    """The spec of a kind, from its name or from a table."""
    if not isinstance(value, str | Mapping):
        raise SpecError(where, f"found {short_repr(value)}", "the name of a kind or a table with a kind")
    return registry.read({"kind": value} if isinstance(value, str) else cast("Mapping[str, Any]", value), where)
