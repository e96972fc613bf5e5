"""The layers of the package, checked on the syntax tree: a package imports lower layers only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "matinee"

LAYERS = [
    {
        "errors", "spec", "kernel", "arrays", "hashing", "observer", "shared",
        "memory", "environment", "process", "threads",
    },
    {"data"},
    {"contract"},
    {"split", "topk"},
    {"metrics", "fitted", "linear"},
    {"nn", "candidates", "storage"},
    {"models"},
    {"ensemble", "rerank", "diagnose", "explain"},
    {"search"},
    {"runs"},
    {"track", "report", "serve"},
    {"cli", "testing"},
]  # fmt: skip
LAYER = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}
MAY_IMPORT = {("linear", "fitted"), *((a, b) for a in LAYERS[0] for b in LAYERS[0])}
"""Pairs on one layer of which the first may import the second."""

OPTIONAL = {"optuna", "mlflow", "wandb", "catboost", "fastapi", "uvicorn", "ray", "pandas", "pyarrow"}
FORBIDDEN_NAMES = {"utils", "common", "helpers", "core", "base"}

ENTRY_POINTS = {SOURCE / "__init__.py", SOURCE / "__main__.py"}
"""Files that users import or start; they may import any package."""


def files() -> list[Path]:
    return sorted(set(SOURCE.rglob("*.py")) - ENTRY_POINTS)


def package_of(path: Path) -> str:
    """The top-level package or module of a file."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Every name that a file imports, in type-checking blocks and function bodies too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages_imported(path: Path) -> set[str]:
    """The top-level packages of matinee that a file imports."""
    packages = {name.split(".")[1] for name in imports_of(path) if name.startswith("matinee.")}
    return {package for package in packages if package in LAYER}


def libraries_imported(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_package_imports_lower_layers_only(path):
    package = package_of(path)
    assert package in LAYER, f"{package} is on no layer"
    for other in packages_imported(path) - {package}:
        allowed = LAYER[other] < LAYER[package] or (package, other) in MAY_IMPORT
        assert allowed, f"{package} (layer {LAYER[package]}) imports {other} (layer {LAYER[other]})"


def test_a_model_imports_neither_split_nor_metrics_nor_another_model():
    for path in (SOURCE / "models").glob("*.py"):
        if path.stem == "__init__":
            continue
        assert not packages_imported(path) & {"split", "metrics", "runs"}, path
        assert not {name for name in imports_of(path) if name.startswith("matinee.models")}, path


def test_report_serve_and_track_import_no_model():
    for package in ("report", "serve", "track"):
        for path in (SOURCE / package).rglob("*.py"):
            assert "models" not in packages_imported(path), path


def test_torch_is_imported_by_networks_only():
    allowed = {SOURCE / "topk" / "gpu.py"}
    for path in files():
        network = package_of(path) == "nn" or (package_of(path) == "models" and "nn" in packages_imported(path))
        assert "torch" not in libraries_imported(path) or network or path in allowed, path


def test_an_optional_library_is_imported_in_one_file():
    for library in OPTIONAL:
        importers = [path for path in files() if library in libraries_imported(path)]
        assert len(importers) <= 1, (library, importers)


def test_pytest_is_imported_in_testing_only():
    assert {package_of(path) for path in files() if "pytest" in libraries_imported(path)} == {"testing"}


@pytest.mark.parametrize("package", ["cli", "testing"])
def test_no_package_imports_the_top_layer(package):
    for path in files():
        if package_of(path) != package:
            assert package not in packages_imported(path), path


def test_every_function_has_a_module_with_a_subject():
    assert not {path.stem for path in SOURCE.rglob("*")} & FORBIDDEN_NAMES


def test_files_are_short():
    long = {str(path): n for path in files() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400}
    assert not long
