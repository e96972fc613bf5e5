"""matinee: a workbench for top-N recommendation, from a log of who took what, when, to an honest shortlist."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from matinee.environment import set_environment

set_environment()  # before numpy, numba or torch are loaded: they read it then

if TYPE_CHECKING:
    from matinee import data, metrics, models, runs, split
    from matinee.contract import FitContext, Mask, Task
    from matinee.data import Histories, Interactions
    from matinee.data.read import read
    from matinee.errors import MatineeError
    from matinee.metrics import compare, evaluate
    from matinee.runs.validation import resolve_spec
    from matinee.topk import TopK, recommend

__version__ = "0.1.0"

__all__ = [
    "FitContext",
    "Histories",
    "Interactions",
    "Mask",
    "MatineeError",
    "Task",
    "TopK",
    "compare",
    "data",
    "evaluate",
    "metrics",
    "models",
    "read",
    "recommend",
    "resolve_spec",
    "runs",
    "split",
]  # fmt: skip

_HOMES = {
    "Context": "matinee.contract",
    "Histories": "matinee.data",
    "Interactions": "matinee.data",
    "Mask": "matinee.contract",
    "MatineeError": "matinee.errors",
    "Task": "matinee.contract",
    "TopK": "matinee.topk",
    "compare": "matinee.metrics",
    "evaluate": "matinee.metrics",
    "read": "matinee.data.read",
    "recommend": "matinee.topk",
    "settle": "matinee.runs.validation",
}


def __getattr__(name: str) -> Any:
    """Rooms and verbs are imported when first used, so that `import matinee` costs nothing."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in __all__:
        return importlib.import_module(f"matinee.{name}")
    raise AttributeError(f"module 'matinee' has no attribute {name!r}")
