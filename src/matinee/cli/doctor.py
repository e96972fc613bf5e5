"""`matinee doctor`: versions and hardware of this machine."""

from __future__ import annotations

from typing import Annotated

import typer

PACKAGES = ("numpy", "scipy", "numba", "torch", "polars", "pydantic", "typer", "rich")


def add(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor")(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print versions, threads, BLAS, memory, GPU and cache folder.

    Include this output when you report a problem.
    """
    import json

    from matinee.cli._screen import out, table

    facts = collect()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        out.print(table("", ["", "this machine"], [[name, str(value)] for name, value in facts.items()]))


def collect() -> dict[str, str | int | float]:
    """Versions and hardware by name, in plain values."""
    import os
    import platform
    from importlib import metadata
    from pathlib import Path

    import numba
    import numpy as np
    from threadpoolctl import threadpool_info

    from matinee import __version__
    from matinee.contract import free_memory
    from matinee.data.fetch import cache
    from matinee.environment import WAITING, cores

    np.dot(np.ones((2, 2)), np.ones((2, 2)))  # loads BLAS
    numba_threads = numba.get_num_threads()  # starts the threads; their layer is unknown before
    pools = [
        f"{Path(pool['filepath']).name} {pool['version'] or ''} ({pool['internal_api']}): {pool['num_threads']} threads"
        for pool in threadpool_info()
    ]
    facts: dict[str, str | int | float] = {"matinee": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts | {
        "system": platform.platform(),
        "cores": os.cpu_count() or 1,
        "cores of this process": cores(),
        "waiting threads": ", ".join(f"{name}={os.environ.get(name, 'not set')}" for name in WAITING),
        "numba threads": numba_threads,
        "numba threading layer": numba.threading_layer(),  # pyright: ignore[reportPrivateImportUsage]
        "torch threads": _torch_threads(),
        "BLAS and OpenMP": ", ".join(pools) or "none found",
        "memory free (GB)": round(free_memory() / 1e9, 1),
        "GPU": _gpu(),
        "data cache": str(cache()),
    }


def _torch_threads() -> str | int:
    """The number of torch threads if torch is loaded; loading it takes seconds."""
    import sys

    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else "torch is not imported"


def _gpu() -> str:
    """The CUDA devices listed by nvidia-smi, without importing torch."""
    import shutil
    import subprocess

    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "none"
    command = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return "; ".join(process.stdout.strip().splitlines()) or "none"
