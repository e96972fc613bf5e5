"""matinee: a workbench for top-N recommendation, from an interaction log to ranked lists and their evaluation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from matinee.environment import set_environment

set_environment()  # before numpy, numba or torch are imported, which read the environment then

if TYPE_CHECKING:
    from matinee import data, metrics, models, runs, split
    from matinee.contract import FitContext, Mask, Task
    from matinee.data import Histories, Interactions
    from matinee.data.read import read
    from matinee.errors import MatineeError
    from matinee.metrics import compare, evaluate
    from matinee.observer import Observer
    from matinee.runs.validation import Validation, validate
    from matinee.topk import TopK, recommend

__version__ = "0.1.0"

__all__ = [
    "FitContext",
    "Histories",
    "Interactions",
    "Mask",
    "MatineeError",
    "Observer",
    "Task",
    "TopK",
    "Validation",
    "compare",
    "data",
    "evaluate",
    "metrics",
    "models",
    "read",
    "recommend",
    "runs",
    "split",
    "validate",
]  # fmt: skip

_MODULES = {
    "FitContext": "matinee.contract",
    "Histories": "matinee.data",
    "Interactions": "matinee.data",
    "Mask": "matinee.contract",
    "MatineeError": "matinee.errors",
    "Observer": "matinee.observer",
    "Task": "matinee.contract",
    "TopK": "matinee.topk",
    "Validation": "matinee.runs.validation",
    "compare": "matinee.metrics",
    "evaluate": "matinee.metrics",
    "read": "matinee.data.read",
    "recommend": "matinee.topk",
    "validate": "matinee.runs.validation",
}
"""The module of each public name that is no package."""


def __getattr__(name: str) -> Any:
    """The public name, imported on first use, so that `import matinee` is fast."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    if name in __all__:
        return importlib.import_module(f"matinee.{name}")
    raise AttributeError(f"module 'matinee' has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
