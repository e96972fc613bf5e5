"""Hyperparameters that network models share, each defined once: type, bounds, search range and sentence."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from matinee.spec import SearchRange

Epochs: TypeAlias = Annotated[
    int, Field(ge=1, description="Maximum number of epochs; early stopping may end training sooner.")
]

BatchSize: TypeAlias = Annotated[
    int | None,
    Field(ge=1, description="Users per batch. None means 1/64 of the users with interactions, 16 to 500."),
    SearchRange(16, 2000, log=True),
]

LearningRate: TypeAlias = Annotated[
    float, Field(gt=0, description="Step size of Adam."), SearchRange(3e-4, 3e-3, log=True)
]

InputDropout: TypeAlias = Annotated[
    float,
    Field(ge=0, lt=1, description="Fraction of a history that is hidden from the network in training."),
    SearchRange(0.2, 0.7),
]

WeightDecay: TypeAlias = Annotated[
    float,
    Field(ge=0, description="Decoupled weight decay of matrices, scaled by the learning rate (AdamW)."),
    SearchRange(0, 0.1),
]

Loss: TypeAlias = Annotated[
    Literal["multinomial", "bce", "focal", "mse"], Field(description="Training loss of the scores of all items.")
]
