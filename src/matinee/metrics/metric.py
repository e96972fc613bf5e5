"""Metrics as values: `Metric("recall", 10)` prints as `recall@10` and is parsed from it.

`WeightedMetric` is a weighted sum of metrics.
The notation follows ir-measures (MacAvaney et al. 2022): a name, an at-sign, a cut-off.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from matinee.errors import SpecError, UnknownNameError
from matinee.metrics.catalogue import LIST_METRICS
from matinee.metrics.profile import per_user_names

_TERM = re.compile(
    r"\s*(?:(?P<weight>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\*\s*)?(?P<name>[A-Za-z_]\w*)\s*@\s*(?P<k>\d+)\s*"
)
_SHAPE = "recall@10, or a weighted sum such as 0.75*recall@25+0.25*ndcg@25"


@dataclass(frozen=True)
class Metric:
    """A metric at a cut-off: `name` reads the first `k` items of every list."""

    name: str
    k: int

    def __post_init__(self) -> None:
        if self.name not in names():
            raise UnknownNameError("metric", self.name, names())
        if self.k < 1:
            raise SpecError("metric", f"{self.name}@{self.k} has a cut-off below 1", "k of at least 1")

    def __str__(self) -> str:
        return f"{self.name}@{self.k}"

    @property
    def per_user(self) -> bool:
        """Whether it has a value per user; other metrics are one number from all lists."""
        return self.name not in LIST_METRICS


@dataclass(frozen=True)
class WeightedMetric:
    """A weighted sum of metrics: `terms` are (weight, metric), each metric once."""

    terms: tuple[tuple[float, Metric], ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise SpecError("metric", "an empty sum", _SHAPE)
        for weight, metric in self.terms:
            if not math.isfinite(weight) or weight <= 0:
                raise SpecError("metric", f"the weight of {metric} is {weight}", "a finite weight above 0")
            if not metric.per_user and (len(self.terms) > 1 or weight != 1.0):
                raise SpecError(
                    "metric",
                    f"{metric} is part of a weighted sum",
                    f"only metrics with a value per user ({', '.join(per_user_names())})",
                    f"Report {metric} separately.",
                )

    def __str__(self) -> str:
        return "+".join(f"{_format_weight(weight)}{metric}" for weight, metric in self.terms)

    @property
    def k(self) -> int:
        """The largest cut-off of its metrics."""
        return max(metric.k for _, metric in self.terms)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Its metrics, without weights."""
        return tuple(metric for _, metric in self.terms)

    @property
    def per_user(self) -> bool:
        """Whether it has a value per user."""
        return all(metric.per_user for metric in self.metrics)


def names() -> list[str]:
    """All metric names, per user and of all lists, sorted."""
    return sorted({*per_user_names(), *LIST_METRICS})


def parse(text: str) -> WeightedMetric:
    """Parse a metric or a weighted sum of metrics.

    Names in any case; the weights of a repeated metric add up.
    """
    terms: dict[Metric, float] = {}
    at = 0
    while True:
        match = _TERM.match(text, at)
        if match is None:
            raise SpecError("metric", f"cannot read {text!r} from character {at + 1}", _SHAPE)
        metric = Metric(match["name"].lower(), int(match["k"]))
        terms[metric] = terms.get(metric, 0.0) + float(match["weight"] or 1.0)
        at = match.end()
        if at == len(text):
            return WeightedMetric(tuple((weight, metric) for metric, weight in terms.items()))
        if text[at] != "+":
            raise SpecError("metric", f"cannot read {text!r} from character {at + 1}", _SHAPE)
        at += 1


def _format_weight(weight: float) -> str:
    return "" if weight == 1.0 else f"{weight!r}*".replace(".0*", "*")
