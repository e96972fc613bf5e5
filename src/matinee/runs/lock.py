"""Work in progress belongs to one process at a time, also where several share a runs folder."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from matinee.runs.files import writing


@contextmanager
def locked(folder: Path, say: Callable[[str], None]) -> Generator[None]:
    """Exclusive use of a folder; waits, with one line, while another process has it.

    The system gives up the lock of a process that dies, so a lock cannot become stale.
    """
    lock = _lock(folder)
    if not _acquired(lock):
        say(f"{folder.name}: another process computes it, waiting for that")
        lock.acquire()
    try:
        yield
    finally:
        _release(lock)


@contextmanager
def locked_if_free(folder: Path) -> Generator[bool]:
    """The same without waiting: False where another process has the folder."""
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
    """Whether the lock was free; it is held from now on."""
    path = Path(lock.lock_file)
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
    return True


def _release(lock: FileLock) -> None:
    """Remove the lock's file while it is held: a process that waits for it sees that and makes a new one."""
    with suppress(OSError):
        Path(lock.lock_file).unlink()
    lock.release()
