"""Findings: the results of checks as data; `runs.text` has their messages."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from pydantic import Field

from matinee.spec import Spec

Value: TypeAlias = int | float | str | None


class Finding(Spec):
    """A result of a check: a code, and the values of its message in `runs.text`."""

    code: str
    """Name of the result, such as `seen_items`."""

    level: Literal["info", "warning"] = "warning"
    """A warning is shown beside the leaderboard."""

    values: dict[str, Value] = Field(default_factory=dict[str, Value])
    """The numbers and names of the message; None means there is no number."""


def warning(code: str, **values: Value) -> Finding:
    """A finding of level `warning`; a number that is not finite becomes None."""
    return Finding(code=code, values={name: _finite(value) for name, value in values.items()})


def _finite(value: Value) -> Value:
    return None if isinstance(value, float) and not math.isfinite(value) else value
