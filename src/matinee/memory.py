"""How much memory this process may still take: of the machine, of its control groups, of its own limit."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")

UNLIMITED = 2**62
"""Bytes: the answer where the system names no limit at all, so that nothing is refused."""

VERSION_1 = ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"
VERSION_2 = ("memory.max", "memory.high"), "memory.current", "inactive_file"
"""Files of a control group: its limits, what it uses, and the line of memory.stat that can be given back."""


def free_memory(root: Path = ROOT) -> int:
    """Bytes this process may still take: the least of all limits. Files of the system are read below `root`."""
    return max(0, min([_of_machine(root), *_of_groups(root), *_of_addresses(root)]))


def _of_machine(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:  # no Linux: all memory there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return UNLIMITED


def _of_groups(root: Path) -> Iterator[int]:
    """What each limit of the process's control groups, and of every group above them, leaves."""
    mounts = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folders, files = (mounts, mounts / "unified"), VERSION_2
        elif "memory" in controllers.split(","):
            folders, files = (mounts / controllers, mounts / "memory"), VERSION_1
        else:
            continue
        for folder in folders:
            inner = PurePosixPath(path.lstrip("/"))
            for group in (inner, *inner.parents):
                yield from _left(folder / group, *files)


def _left(group: Path, limits: tuple[str, ...], used: str, reclaimable: str) -> Iterator[int]:
    found = [int(text) for name in limits if (text := _text(group / name).strip()).isdigit()]
    usage = _text(group / used).strip()
    if not found or not usage.isdigit():
        return
    stat = dict(line.split(maxsplit=1) for line in _text(group / "memory.stat").splitlines() if " " in line)
    yield min(found) - max(0, int(usage) - int(stat.get(reclaimable, 0)))


def _of_addresses(root: Path) -> Iterator[int]:
    """What the limit of address space (`ulimit -v`) leaves."""
    if sys.platform == "win32":
        return
    import resource  # no such module on Windows

    limit, pages = resource.getrlimit(resource.RLIMIT_AS)[0], _text(root / "proc/self/statm").split()
    if limit != resource.RLIM_INFINITY and pages:
        yield limit - int(pages[0]) * mmap.PAGESIZE


def _text(path: Path) -> str:
    """A file of the system, empty where there is none or it may not be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
