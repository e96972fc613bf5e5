"""The walls of the house, checked on the syntax tree: imports point up the list of floors only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "matinee"

FLOORS = [
    {"errors", "spec", "kernel", "hashing", "memory", "environment", "process", "threads"},
    {"data"},
    {"contract"},
    {"topk"},
    {"split", "metrics", "fitted", "linear", "nn", "diagnose", "candidates"},
    {"models", "ensemble", "rerank", "explain"},
    {"search"},
    {"runs"},
    {"report", "serve"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MAY_SHARE = {("linear", "fitted"), *((a, b) for a in FLOORS[0] for b in FLOORS[0])}
"""Neighbours on one floor that may know each other; `spec` builds `errors`."""

OPTIONAL = {"optuna", "mlflow", "wandb", "catboost", "fastapi", "uvicorn", "ray", "pandas", "pyarrow"}
NO_ROOM = {"utils", "common", "helpers", "core", "base"}


DOORS = {SOURCE / "__init__.py", SOURCE / "__main__.py"}
"""What a person imports or starts; they may open any room."""


def files() -> list[Path]:
    return sorted(set(SOURCE.rglob("*.py")) - DOORS)


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module a file imports anywhere, type-checking blocks and function bodies included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_imported(path: Path) -> set[str]:
    rooms = {name.split(".")[1] for name in imported(path) if name.startswith("matinee.")}
    return {room for room in rooms if room in FLOOR}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_up_only(path):
    room = room_of(path)
    assert room in FLOOR, f"{room} stands on no floor"
    for other in rooms_imported(path) - {room}:
        allowed = FLOOR[other] < FLOOR[room] or (room, other) in MAY_SHARE
        assert allowed, f"{room} (floor {FLOOR[room]}) imports {other} (floor {FLOOR[other]})"


def test_a_model_knows_neither_split_nor_metrics_nor_another_model():
    for path in (SOURCE / "models").glob("*.py"):
        if path.stem == "__init__":
            continue
        assert not rooms_imported(path) & {"split", "metrics", "runs"}, path
        assert not {name for name in imported(path) if name.startswith("matinee.models")}, path


def test_report_and_serve_import_no_model():
    for room in ("report", "serve"):
        for path in (SOURCE / room).rglob("*.py"):
            assert "models" not in rooms_imported(path), path


def test_torch_stays_in_neural_files():
    allowed = {SOURCE / "topk" / "gpu.py"}
    for path in files():
        uses = {name.split(".")[0] for name in imported(path)}
        neural = room_of(path) == "nn" or (room_of(path) == "models" and "nn" in rooms_imported(path))
        assert "torch" not in uses or neural or path in allowed, path


def test_an_optional_package_is_imported_in_one_file():
    for package in OPTIONAL:
        users = [path for path in files() if package in {name.split(".")[0] for name in imported(path)}]
        assert len(users) <= 1, (package, users)


def test_nobody_imports_the_command_line():
    for path in files():
        if room_of(path) != "cli":
            assert "cli" not in rooms_imported(path), path


def test_no_room_for_what_has_no_home():
    assert not {path.stem for path in SOURCE.rglob("*")} & NO_ROOM


def test_files_are_short():
    long = {str(path): n for path in files() if (n := len(path.read_text().splitlines())) > 400}
    assert not long
