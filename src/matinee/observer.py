"""Observers: receivers of the progress, the messages and the events of fits and runs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

Advance: TypeAlias = Callable[[int], None]
"""Called with the number of units that were completed since the last call."""

EventValue: TypeAlias = float | str
"""A value of an event, ready for JSON."""


class Observer(Protocol):
    """A receiver of progress, messages and events: the terminal, a log, a tracker, a test."""

    def progress(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """The context of a step of `total` units: `with observer.progress("lists", m) as advance: advance(512)`."""
        ...

    def message(self, text: str) -> None:
        """Receives a line for the user."""
        ...

    def event(self, name: str, step: int | None, values: Mapping[str, EventValue]) -> None:
        """Receives a measurement.

        Of a training, `event("epoch", n, values)` has `loss`, `metric` and `seconds` of the n-th epoch, where they
        exist; a resumed training repeats the epochs of its checkpoint without `seconds`. `step` None means no step.
        """
        ...


@dataclass(frozen=True)
class SilentObserver:
    """Discards everything: the default."""

    @contextmanager
    def progress(self, what: str, total: int) -> Generator[Advance]:
        """A context without effect."""
        yield lambda done: None

    def message(self, text: str) -> None:
        """Discards the line."""

    def event(self, name: str, step: int | None, values: Mapping[str, EventValue]) -> None:
        """Discards the measurement."""


SILENT: Observer = SilentObserver()


@dataclass(frozen=True)
class StageObserver:
    """Passes everything on, with the name of a stage before texts and events."""

    observer: Observer
    stage: str

    def progress(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """The progress of `stage: what`."""
        return self.observer.progress(f"{self.stage}: {what}", total)

    def message(self, text: str) -> None:
        """Passes on `stage: text`."""
        self.observer.message(f"{self.stage}: {text}")

    def event(self, name: str, step: int | None, values: Mapping[str, EventValue]) -> None:
        """Passes on the event `stage/name`."""
        self.observer.event(f"{self.stage}/{name}", step, values)
