"""The zoo: one file a model. The kind is the file name; `get` imports that one file."""

from __future__ import annotations

import sys
from pathlib import Path

from matinee import fitted
from matinee.contract import Fitted, ModelSpec
from matinee.spec import Kinds

CATALOGUE: Kinds[ModelSpec] = Kinds(sys.modules[__name__], ModelSpec, "model")

kinds = CATALOGUE.names
get = CATALOGUE.get


def load(folder: str | Path) -> Fitted:
    """A fitted model from the folder that `matinee.fitted.save` wrote."""
    return fitted.load(Path(folder), CATALOGUE.read)
