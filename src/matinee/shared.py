"""Intermediate results, such as a Gram matrix, that several fits share within a limit of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, is_dataclass
from threading import Lock
from typing import TypeAlias, TypeVar, cast
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

T = TypeVar("T")
A = TypeVar("A", bound=np.generic)
Key: TypeAlias = tuple[Hashable, ...]


@dataclass(frozen=True, eq=False)
class _Entry:
    """A stored value and its bytes."""

    value: object
    n_bytes: int


class SharedWork:
    """A store of computed values by key, for fits in one or several threads.

    Its values have at most `max_bytes` bytes; the least recently used ones are dropped. Arrays of a stored value are
    read-only; arrays of a value that does not fit are returned as they are and belong to the caller.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max(0, max_bytes)
        self._limit = self.max_bytes
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._lock = Lock()
        self._key_locks: WeakValueDictionary[Key, Lock] = WeakValueDictionary()

    @property
    def n_bytes(self) -> int:
        """Bytes of all stored values."""
        with self._lock:
            return self._size()

    def get(self, key: Key, make: Callable[[], T], n_bytes: int) -> T:
        """The value of `key`, computed by `make` unless it is stored.

        It is stored if `n_bytes` are within the limit. Threads that need one key at the same time compute it once.
        `make` may call `get` for other keys.
        """
        with self._lock:
            key_lock = self._key_locks.setdefault(key, Lock())
        with key_lock:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None:
                    self._entries.move_to_end(key)
                    return cast(T, entry.value)
            value = make()
            self.put(key, value, n_bytes)
            return value

    def put(self, key: Key, value: object, n_bytes: int) -> None:
        """Replace the value of `key`, if `n_bytes` are within the limit."""
        with self._lock:
            self._entries.pop(key, None)
            if n_bytes > self._limit:
                return
            self._drop_to(self._limit - n_bytes)
            _make_readonly(value)
            self._entries[key] = _Entry(value, n_bytes)

    def latest(self, key: Key, kind: type[T]) -> T | None:
        """The value of `key`, of the class `kind`; None if it is not stored."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            if not isinstance(entry.value, kind):
                raise TypeError(f"{key} has a value of {type(entry.value).__name__}, not {kind.__name__}")
            return entry.value

    def set_limit(self, n_bytes: int) -> None:
        """Store at most `n_bytes`, never more than `max_bytes`, from now on; drop values beyond that."""
        with self._lock:
            self._limit = max(0, min(n_bytes, self.max_bytes))
            self._drop_to(self._limit)

    def _size(self) -> int:
        return sum(entry.n_bytes for entry in self._entries.values())

    def _drop_to(self, n_bytes: int) -> None:
        """Drop the least recently used values until the others have at most `n_bytes`."""
        while self._size() > n_bytes:
            self._entries.popitem(last=False)


def writable(array: NDArray[A]) -> NDArray[A]:
    """The array itself if it may be changed in place, else a copy."""
    return array if array.flags.writeable else array.copy()


def _make_readonly(value: object) -> None:
    """Make every array of a value read-only: an array, a CSR matrix, a tuple or a dataclass of them."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, csr_array):
        _make_readonly((value.data, value.indices, value.indptr))
    elif isinstance(value, tuple):
        for part in cast("tuple[object, ...]", value):
            _make_readonly(part)
    elif is_dataclass(value):
        _make_readonly(tuple(getattr(value, field.name) for field in fields(value)))
