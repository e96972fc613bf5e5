"""Free memory, from the system files of Linux."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from matinee.memory import UNLIMITED, free_memory

GB = 10**9


@pytest.fixture
def system(tmp_path: Path):
    """The root of a machine with 8 GB free and further files by path."""

    def create(**files: object) -> Path:
        for name, text in {"proc/meminfo": f"MemTotal: 9 kB\nMemAvailable: {8 * GB // 1024} kB\n", **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))
        return tmp_path

    return create


def about(number: int) -> object:
    return pytest.approx(number, abs=1024)


def test_without_control_groups_the_memory_of_the_machine_counts(system):
    assert free_memory(system()) == about(8 * GB)


def group(path: str, limit: object, used: object, file: str = "memory.max") -> dict[str, object]:
    return {f"sys/fs/cgroup{path}/{file}": limit, f"sys/fs/cgroup{path}/memory.current": used}


@pytest.mark.parametrize("file", ["memory.max", "memory.high"])
@pytest.mark.parametrize("where", ["", "/user.slice", "/user.slice/job-1.scope"])
def test_every_group_above_the_process_counts(system, where, file):
    root = system(**{"proc/self/cgroup": "0::/user.slice/job-1.scope\n"}, **group(where, 3 * GB, GB, file))
    assert free_memory(root) == 2 * GB


def test_the_smallest_limit_counts_and_max_means_none(system):
    root = system(
        **{"proc/self/cgroup": "0::/a/b\n"},
        **group("/a/b", "max", GB),
        **group("/a", 5 * GB, GB),
        **group("", 3 * GB, 2 * GB),
    )
    assert free_memory(root) == GB


def test_reclaimable_file_pages_are_free(system):
    stat = {"sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GB // 2}\n"}
    root = system(**{"proc/self/cgroup": "0::/\n"}, **group("", 3 * GB, GB), **stat)
    assert free_memory(root) == 2 * GB + GB // 2


@pytest.mark.parametrize("controllers", ["memory", "cpu,memory"])
@pytest.mark.parametrize("where", ["", "/docker/abc"], ids=["of-its-own-mount", "by-path"])
def test_version_1_counts_too(system, controllers, where):
    """If the process has another root than its group, the path is missing and the mount is the group."""
    at = f"sys/fs/cgroup/memory{where}"
    root = system(
        **{
            "proc/self/cgroup": f"5:{controllers}:/docker/abc\n3:cpuset:/\n",
            f"{at}/memory.limit_in_bytes": GB,
            f"{at}/memory.usage_in_bytes": GB // 4,
        }
    )
    assert free_memory(root) == GB - GB // 4


def test_free_memory_is_not_negative(system):
    assert free_memory(system(**{"proc/self/cgroup": "0::/\n"}, **group("", GB, 2 * GB))) == 0


def test_the_limit_of_address_space_counts():
    code = (
        "import resource; from matinee.memory import free_memory;"
        f"resource.setrlimit(resource.RLIMIT_AS, ({GB}, {GB})); print(free_memory())"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0 < int(process.stdout) < GB


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY, reason="a limit is set here")
def test_a_system_without_information_has_no_limit(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    assert free_memory(tmp_path) == UNLIMITED
