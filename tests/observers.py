"""An observer that records what it receives."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class RecordingObserver:
    messages: list[str] = field(default_factory=list)
    events: list[tuple] = field(default_factory=list)
    """(name, step, values)."""

    steps: list[tuple] = field(default_factory=list)
    """(what, total, units that were completed)."""

    @contextmanager
    def progress(self, what, total):
        done = []
        yield done.append
        self.steps.append((what, total, sum(done)))

    def message(self, text):
        self.messages.append(text)

    def event(self, name, step, values):
        self.events.append((name, step, dict(values)))

    def of(self, name):
        """(step, values) of every event of a name."""
        return [(step, values) for event, step, values in self.events if event == name]
