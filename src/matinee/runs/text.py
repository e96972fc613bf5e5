"""Run records as text for a terminal: the sentence of each finding, and the report of an ensemble."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from matinee.runs.finding import Finding
from matinee.runs.folder import Run
from matinee.runs.record import Gain

SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "seen_items": "lists hold items the user has seen: the mask is broken; do not submit this run",
        "identical_lists": "more than half of the users get the same items: the model did not learn; look at its knobs",
        "unsorted_lists": "lists are not best first, or hold an item twice: the model's scores are broken",
        "short_lists": "{users} users have fewer than {k} allowed items and get short lists",
        "loss_not_falling": "its loss never fell below the {loss:.4g} of the first epoch: lower its learning_rate",
        "best_at_last_epoch": "it was best on the stop fold after the last of {epochs} epochs: give it more",
        "popularity_not_beaten": "does not beat popularity on {metric} ({mean:+.4f} [{low:+.4f}, {high:+.4f}]): "
        "suspect the model or the split before the data",
        "no_gain": "no significant gain over its best member {best} ({mean:+.4f} [{low:+.4f}, {high:+.4f}]): "
        "deliver {best} instead",
        "users_without_list": "{missing:,} of {users:,} people have no list in {file}",
    }
)
"""The sentence of each code, with its values by name."""


class _Missing:
    """Stands for a value that a record does not have, in any format."""

    def __format__(self, spec: str) -> str:
        return "–"


class _Values(dict[str, object]):
    def __missing__(self, key: str) -> object:
        return _Missing()


def finding_text(finding: Finding) -> str:
    """The finding in words; one of an unknown code is shown as its code and values."""
    template = SENTENCES.get(finding.code)
    if template is None:
        return ", ".join([finding.code, *(f"{name} = {value}" for name, value in finding.values.items())])
    known = {name: _Missing() if value is None else value for name, value in finding.values.items()}
    return template.format_map(_Values(known))


def warnings(run: Run) -> list[str]:
    """The warnings of a run, a sentence each."""
    return [finding_text(finding) for finding in run.record.findings if finding.level == "warning"]


def gain_text(gain: Gain) -> str:
    """A difference with its interval."""
    return f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def ensemble_lines(run: Run) -> list[str]:
    """The report of an ensemble run, a line at a time; empty for other runs."""
    report = run.record.ensemble
    if report is None:
        return []
    recipe, gain, metric = report.recipe, report.gain, run.record.task.metric
    shares = sorted(zip(recipe.weight, recipe.members, strict=True), reverse=True)
    mix = ", ".join(f"{name} {w:.2f}" for w, name in shares if w > 0)
    verdict = "not significant" if not gain.significant else ("better" if gain.mean > 0 else "worse")
    details = [*report.portrait.text(), "", *(one.text() for one in report.winners), "", *report.robustness.text()]
    return [
        f"{run.name}: {recipe.rule.kind} over the first {recipe.depth} of {mix}",
        f"  {metric} {report.out_of_fold:.4f} for people the weights were not found on; "
        f"{report.in_sample:.4f} for those they were: {report.optimism:+.4f} is selection",
        f"  over {report.best}, the best member: {gain_text(gain)}, {verdict}",
        *(f"  {line}" for line in ["", *details]),
    ]
