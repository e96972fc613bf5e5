"""A model fitted on the training set of the split."""

from __future__ import annotations

from typing import Any

from matinee.runs.fields import AnyModel
from matinee.runs.producer import Producer


class ModelProducer(Producer):
    """One fitted model."""

    spec: AnyModel
    """The model as the experiment has it."""

    refit: AnyModel
    """The same with what validation decided: fitting it on other data needs no validation."""

    @property
    def label(self) -> str:
        """The kind of the model."""
        return self.spec.kind

    @property
    def options(self) -> dict[str, Any]:
        """The hyperparameters, all of them."""
        return self.spec.params()

    @property
    def non_default_options(self) -> dict[str, Any]:
        """The hyperparameters that differ from their default."""
        default = type(self.spec)().params()
        return {name: value for name, value in self.options.items() if value != default.get(name)}
