"""A result and the seconds of its computation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Timed(Generic[T]):
    """A result and the duration of its computation."""

    value: T
    seconds: float
