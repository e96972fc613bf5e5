"""Findings: what a check found in a run, as data; text is made where it is shown (`runs.text`)."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from pydantic import Field

from matinee.spec import Spec

Value: TypeAlias = int | float | str | None


class Finding(Spec):
    """One result of a check: a code that `runs.text` has a sentence for, and the values in it."""

    code: str
    """What was found, such as `seen_items`."""

    level: Literal["info", "warning"] = "warning"
    """Whether a reader of the leaderboard has to know."""

    values: dict[str, Value] = Field(default_factory=dict[str, Value])
    """The numbers and names of the sentence; None is a number that does not exist."""


def warning(code: str, **values: Value) -> Finding:
    """A finding of level `warning`; a number that is not finite becomes None."""
    return Finding(code=code, values={name: _finite(value) for name, value in values.items()})


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value
