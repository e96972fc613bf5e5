"""The producer of lists of one model."""

from __future__ import annotations

from typing import Any

from matinee.runs.fields import AnyModel
from matinee.runs.producer import Producer


class ModelProducer(Producer):
    """A model, fitted on the training set of the split."""

    spec: AnyModel
    """The spec in the experiment."""

    refit: AnyModel
    """The resolved spec: fitting it on other data needs no validation."""

    @property
    def label(self) -> str:
        """The kind of the model."""
        return self.spec.kind

    @property
    def options(self) -> dict[str, Any]:
        """All hyperparameters."""
        return self.spec.params()

    @property
    def non_default_options(self) -> dict[str, Any]:
        """The hyperparameters that differ from their default."""
        default = type(self.spec)().params()
        return {name: value for name, value in self.options.items() if value != default.get(name)}
