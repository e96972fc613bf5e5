"""Run records as text for a terminal: the message of each finding, and the report of an ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from matinee.runs.finding import Finding
from matinee.runs.folder import Run
from matinee.runs.record import Gain

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "seen_items": "lists contain items of the user's history: the mask was not applied; do not submit this run",
        "identical_lists": "more than half of the users get the same items: check the hyperparameters",
        "unsorted_lists": "lists are not sorted by score, or repeat an item: the scores of the model are wrong",
        "short_lists": "{users} users have fewer than {k} allowed items, so their lists are shorter",
        "loss_not_falling": "the loss never fell below the {loss:.4g} of the first epoch: lower learning_rate",
        "best_at_last_epoch": "the best validation value was at the last epoch ({epochs}): increase epochs",
        "popularity_not_beaten": "not significantly better than popularity on {metric} "
        "({mean:+.4f} [{low:+.4f}, {high:+.4f}]): check the hyperparameters and the split",
        "no_gain": "not significantly better than its best member {best} ({mean:+.4f} [{low:+.4f}, {high:+.4f}]): "
        "submit {best} instead",
        "users_without_list": "{missing:,} of {users:,} users have no list in {file}",
    }
)
"""The message of each code, with its values by name."""


class _Missing:
    """A value that a record lacks, in any format."""

    def __format__(self, spec: str) -> str:
        return "–"


class _Values(dict[str, object]):
    def __missing__(self, key: str) -> object:
        return _Missing()


def finding_text(finding: Finding) -> str:
    """The message of a finding; of an unknown code, its code and values."""
    template = MESSAGES.get(finding.code)
    if template is None:
        return ", ".join([finding.code, *(f"{name} = {value}" for name, value in finding.values.items())])
    values = {name: _Missing() if value is None else value for name, value in finding.values.items()}
    return template.format_map(_Values(values))


def warnings(findings: Iterable[Finding]) -> list[str]:
    """The messages of the findings of level `warning`."""
    return [finding_text(finding) for finding in findings if finding.level == "warning"]


def gain_text(gain: Gain) -> str:
    """A difference with its interval."""
    return f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


def ensemble_lines(run: Run) -> list[str]:
    """The report of an ensemble run, one line each; empty for other runs."""
    report = run.record.ensemble
    if report is None:
        return []
    recipe, gain, metric = report.recipe, report.gain, run.record.task.metric
    shares = sorted(zip(recipe.weight, recipe.members, strict=True), reverse=True)
    mix = ", ".join(f"{name} {w:.2f}" for w, name in shares if w > 0)
    result = "not significant" if not gain.significant else ("better" if gain.mean > 0 else "worse")
    details = [*report.portrait.text(), "", *(one.text() for one in report.winners), "", *report.robustness.text()]
    return [
        f"{run.name}: {recipe.rule.kind} at depth {recipe.depth} of {mix}",
        f"  {metric} {report.out_of_fold:.4f} out of fold, {report.in_sample:.4f} in sample "
        f"(optimism {report.optimism:+.4f})",
        f"  gain over the best member {report.best}: {gain_text(gain)}, {result}",
        *(f"  {line}" for line in ["", *details]),
    ]
