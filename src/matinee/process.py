"""Settings of the whole process that several fits may change at the same time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class SharedSetting(Generic[V]):
    """A setting that is changed while at least one thread asks for it, and restored when the last one ends.

    `save()` returns the function that restores what is there now; `apply(value)` sets a value. Where several threads
    ask at the same time, `strictest` of all that they ask for holds for all of them; None means what was there before.
    """

    def __init__(
        self,
        save: Callable[[], Callable[[], None]],
        apply: Callable[[V], None],
        strictest: Callable[[Iterable[V]], V | None],
    ) -> None:
        self._save, self._apply, self._strictest = save, apply, strictest
        self._lock = Lock()
        self._asked: list[V] = []
        self._restore: Callable[[], None] | None = None

    @contextmanager
    def at(self, value: V) -> Generator[None]:
        """Hold the setting at `value`, or at a stricter one that another thread asks for."""
        with self._lock:
            self._restore = self._restore or self._save()
            self._asked.append(value)
            self._set(self._restore)
        try:
            yield
        finally:
            with self._lock:
                self._asked.remove(value)
                self._set(self._restore)
                self._restore = self._restore if self._asked else None

    def _set(self, restore: Callable[[], None]) -> None:
        value = self._strictest(self._asked) if self._asked else None
        if value is None:
            restore()
        else:
            self._apply(value)
