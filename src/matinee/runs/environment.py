"""The machine and the versions that a run was computed with."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from matinee.spec import Spec
from matinee.threads import available_threads

PACKAGES = ("numpy", "scipy", "numba", "polars")
"""Packages with a recorded version; torch is added if it was imported."""


class Environment(Spec):
    """Versions, processor, threads and device of a run."""

    matinee: str
    python: str
    packages: dict[str, str]
    """Name and version."""

    system: str
    cpu: str
    """The model of the processor."""

    cores: int
    threads: int
    """Of numba's kernels."""

    blas: tuple[str, ...]
    """Name, version and threads of each loaded BLAS and OpenMP library."""

    device: str
    """Device of networks."""


def current_environment(device: str, threads: int | None) -> Environment:
    """The environment of this process."""
    from threadpoolctl import threadpool_info

    names = [*PACKAGES, "torch"] if "torch" in sys.modules else PACKAGES
    pools = (
        f"{pool['internal_api']} {pool.get('version') or ''}".strip() + f", {pool['num_threads']} threads"
        for pool in threadpool_info()
    )
    return Environment(
        matinee=metadata.version("matinee"),
        python=platform.python_version(),
        packages={name: metadata.version(name) for name in names},
        system=platform.platform(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        threads=threads or available_threads(),
        blas=tuple(sorted(set(pools))),
        device=device,
    )


def _cpu() -> str:
    """The system's name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
