"""Models with hyperparameters that suit the small logs of the tests."""

from __future__ import annotations

import importlib

from matinee import models
from matinee.contract import ModelSpec


def toy(kind: str) -> ModelSpec:
    """The spec of a kind with the hyperparameters `TOY` of `tests/models/test_<kind>.py`, if it has them."""
    try:
        module = importlib.import_module(f"tests.models.test_{kind}")
    except ModuleNotFoundError:
        return models.get(kind)()
    return models.get(kind)(**getattr(module, "TOY", {}))
