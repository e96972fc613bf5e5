"""Locks of folders: an unfinished run belongs to one process at a time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from matinee.observer import Observer
from matinee.runs.files import writing


@contextmanager
def locked(folder: Path, observer: Observer) -> Generator[None]:
    """Exclusive use of a folder; waits, with one message, while another process uses it.

    The system releases the lock of a process that dies, so a lock cannot become stale.
    """
    lock = _lock(folder)
    if not _acquired(lock):
        observer.message(f"{folder.name}: another process computes it, waiting for its end")
        lock.acquire()
    try:
        yield
    finally:
        _release(lock)


@contextmanager
def locked_if_free(folder: Path) -> Generator[bool]:
    """Exclusive use of a folder without waiting: False if another process uses it."""
    lock = _lock(folder)
    if not _acquired(lock):
        yield False
        return
    try:
        yield True
    finally:
        _release(lock)


def lock_file(folder: Path) -> Path:
    """The file beside a folder that a process holds while it uses the folder."""
    return folder.with_name(f"{folder.name}.lock")


def _lock(folder: Path) -> FileLock:
    return FileLock(lock_file(folder))


def _acquired(lock: FileLock) -> bool:
    """Whether the lock was free; it is now held."""
    path = Path(lock.lock_file)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
    return True


def _release(lock: FileLock) -> None:
    """Remove the lock's file while it is held; a waiting process then creates a new one."""
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()
