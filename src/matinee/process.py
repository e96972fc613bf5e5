"""Process-wide settings that concurrent fits change."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class SharedSetting(Generic[V]):
    """A setting that is changed while at least one thread holds it, then restored.

    `save()` returns a function that restores the current state; `apply(value)` sets a value. If several threads hold
    values at the same time, `strictest` of them applies to all threads; None means the original state.
    """

    def __init__(
        self,
        save: Callable[[], Callable[[], None]],
        apply: Callable[[V], None],
        strictest: Callable[[Iterable[V]], V | None],
    ) -> None:
        self._save, self._apply, self._strictest = save, apply, strictest
        self._lock = Lock()
        self._values: list[V] = []
        self._restore: Callable[[], None] | None = None

    @contextmanager
    def at(self, value: V) -> Generator[None]:
        """Hold the setting at `value`, or at a stricter value of another thread."""
        with self._lock:
            self._restore = self._restore or self._save()
            self._values.append(value)
            self._set(self._restore)
        try:
            yield
        finally:
            with self._lock:
                self._values.remove(value)
                self._set(self._restore)
                self._restore = self._restore if self._values else None

    def _set(self, restore: Callable[[], None]) -> None:
        value = self._strictest(self._values) if self._values else None
        if value is None:
            restore()
        else:
            self._apply(value)
