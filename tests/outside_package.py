"""A package outside of matinee, installed in a folder by hand: its files and its metadata."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"


def install(folder: Path, name: str, files: Mapping[str, str], models: Mapping[str, str]) -> None:
    """Write the files and a `dist-info` with the entry points of the group `matinee.models`."""
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    entries = "".join(f"{kind} = {target}\n" for kind, target in models.items())
    (metadata / "entry_points.txt").write_text(f"[matinee.models]\n{entries}")
    for path, text in files.items():
        (folder / path).write_text(text)


def run_python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python …` with the packages of `folder`, in that folder."""
    search_path = os.pathsep.join([str(folder), str(SOURCE), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"PYTHONPATH": search_path, "COLUMNS": "200"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
