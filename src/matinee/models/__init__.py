"""The models, one file each. The kind is the file name; `get` imports that one file."""

from __future__ import annotations

import sys
from pathlib import Path

from matinee import storage
from matinee.contract import FittedModel, ModelSpec
from matinee.spec import Registry

CATALOGUE: Registry[ModelSpec] = Registry(sys.modules[__name__], ModelSpec, "model")

kinds = CATALOGUE.names
get = CATALOGUE.get


def load(folder: str | Path) -> FittedModel:
    """A fitted model from the folder that `matinee.storage.save` wrote."""
    return storage.load(Path(folder), CATALOGUE.read)
