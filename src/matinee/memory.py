"""Free memory of this process: the minimum over the machine, control groups and address space."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")

UNLIMITED = 2**62
"""Bytes; the value if the system reports no limit."""

VERSION_1 = ("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file"
VERSION_2 = ("memory.max", "memory.high"), "memory.current", "inactive_file"
"""Files of a control group: limits, usage, and the line of memory.stat with reclaimable bytes."""


def free_memory(root: Path = ROOT) -> int:
    """Bytes this process can still allocate, the minimum of all limits below `root`."""
    return max(0, min([_machine_memory(root), *_group_memory(root), *_address_space(root)]))


def _machine_memory(root: Path) -> int:
    for line in _text(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:  # not Linux: the total memory
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return UNLIMITED


def _group_memory(root: Path) -> Iterator[int]:
    """Remaining bytes of each limit of the process's control groups and of all parent groups."""
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
                yield from _group_remaining(folder / group, *files)


def _group_remaining(group: Path, limits: tuple[str, ...], usage_file: str, reclaimable: str) -> Iterator[int]:
    values = [int(text) for name in limits if (text := _text(group / name).strip()).isdigit()]
    usage = _text(group / usage_file).strip()
    if not values or not usage.isdigit():
        return
    stat = dict(line.split(maxsplit=1) for line in _text(group / "memory.stat").splitlines() if " " in line)
    yield min(values) - max(0, int(usage) - int(stat.get(reclaimable, 0)))


def _address_space(root: Path) -> Iterator[int]:
    """Remaining bytes of the address space limit (`ulimit -v`), if there is one."""
    if sys.platform == "win32":
        return
    import resource  # no such module on Windows

    limit, pages = resource.getrlimit(resource.RLIMIT_AS)[0], _text(root / "proc/self/statm").split()
    if limit != resource.RLIM_INFINITY and pages:
        yield limit - int(pages[0]) * mmap.PAGESIZE


def _text(path: Path) -> str:
    """The text of a system file; empty if it is missing or not readable."""
    try:
        return path.read_text()
    except OSError:
        return ""
