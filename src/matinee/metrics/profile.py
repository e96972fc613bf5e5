"""Profiles: named sets of metric definitions, one per library.

Each profile maps metric names to formulas and contains only metrics that the library has. The library profiles are
tested against numbers from those libraries (`tests/metrics/golden_profiles.json`, made by
`benchmarks/profiles/make_golden.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from matinee.errors import SpecError, UnknownNameError
from matinee.metrics import average_precision, ndcg, precision, recall, reciprocal_rank
from matinee.metrics.values import Formula


@dataclass(frozen=True, eq=False)
class Profile:
    """Definitions of the per-user metrics; all of them exclude users without targets."""

    name: str
    description: str
    source: str
    formulas: Mapping[str, Formula]

    def formula(self, metric: str) -> Formula:
        """The definition of a metric, by name; `SpecError` where the profile's library has none."""
        if metric not in self.formulas:
            raise SpecError(
                f"profile {self.name!r}",
                f"it does not define {metric}",
                f"one of {', '.join(sorted(self.formulas))}",
                "Leave the metric out or choose another profile.",
            )
        return self.formulas[metric]


def profile(name: str) -> Profile:
    """The profile of that name; an unknown name raises an error with the nearest one."""
    if name not in _PROFILES:
        raise UnknownNameError("metric profile", name, _PROFILES)
    return _PROFILES[name]


def profiles() -> list[Profile]:
    """All profiles, the default first."""
    return list(_PROFILES.values())


def per_user_names() -> list[str]:
    """All per-user metrics of all profiles, sorted."""
    return sorted({name for one in _PROFILES.values() for name in one.formulas})


_PLAIN: dict[str, Formula] = {
    "recall": recall.plain,
    "precision": precision.fixed,
    "hit": recall.hit,
    "ndcg": ndcg.ideal_truncated,
    "map": average_precision.capped,
    "mrr": reciprocal_rank.first_hit,
}


def _some(names: str, **other: Formula) -> dict[str, Formula]:
    """The plain definitions of the names, updated with those that differ."""
    return {name: _PLAIN[name] for name in names.split()} | other


_PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        one.name: one
        for one in (
            Profile(
                "matinee",
                "Every user can reach 1: recall, map and the ideal of ndcg count min(k, n) targets.",
                "Liang et al. 2018 (recall); the Kaggle and boostcamp rules",
                _PLAIN | {"recall": recall.capped},
            ),
            Profile(
                "plain",
                "Textbook definitions: recall is hits / n; map and the ideal of ndcg count min(k, n) targets.",
                "Manning, Raghavan & Schütze 2008, chapter 8",
                _PLAIN,
            ),
            Profile(
                "recbole",
                "The plain definitions; missing items of a short list count as misses.",
                "RecBole 1.2.1, recbole/evaluator/metrics.py",
                _PLAIN,
            ),
            Profile(
                "rectools",
                "The ideal of ndcg has k targets; map divides by n.",
                "RecTools 0.19.0 with its defaults, rectools/metrics/{classification,ranking}.py",
                _PLAIN | {"ndcg": ndcg.ideal_full, "map": average_precision.plain},
            ),
            Profile(
                "lenskit",
                "Recall divides by min(k, n); precision and map use the list's length; ndcg discounts from rank 3.",
                "LensKit 2025.8.1, RunAnalysis.list_summary, lenskit/metrics/ranking/",
                _PLAIN
                | {
                    "recall": recall.capped,
                    "precision": precision.of_length,
                    "ndcg": ndcg.jarvelin_2002,
                    "map": average_precision.of_length,
                },
            ),
            Profile(
                "implicit",
                "Its precision is Σ hits / Σ min(k, n), the micro average of recall over all users.",
                "implicit 0.7.3, implicit/evaluation.pyx",
                _some("ndcg map", precision=recall.micro),
            ),
            Profile(
                "irspack",
                "Precision and the ideal of ndcg use the list's length; map divides by n.",
                "irspack 0.5.2, Evaluator on a score matrix with -inf where an item is not listed",
                _some("recall hit", precision=precision.of_length, ndcg=ndcg.of_length, map=average_precision.plain),
            ),
            Profile(
                "ranx",
                "The plain definitions, but map divides by n as in TREC.",
                "ranx 0.3.21 with make_comparable=True, ranx/metrics/",
                _PLAIN | {"map": average_precision.plain},
            ),
            Profile(
                "cornac",
                "The plain definitions; no map and no mrr at a cut-off.",
                "Cornac 3.0.1, cornac/metrics/ranking.py",
                _some("recall precision hit ndcg"),
            ),
            Profile(
                "recommenders",
                "The plain definitions; users with an empty list are excluded from all metrics but ndcg.",
                "Microsoft Recommenders 1.2.1, recommenders/evaluation/python_evaluation.py",
                _some(
                    "ndcg",
                    recall=recall.plain_listed,
                    precision=precision.fixed_listed,
                    map=average_precision.capped_listed,
                ),
            ),
        )
    }
)
