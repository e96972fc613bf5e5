"""Hyperparameters that linear models share, each defined once: type, bounds, search range and sentence."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from matinee.spec import SearchRange

L2: TypeAlias = Annotated[
    float,
    Field(gt=0, description="Ridge penalty. Small values fit rare pairs, large values favour popular items."),
    SearchRange(1, 1e5, log=True),
]

Alpha: TypeAlias = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Extra penalty of popular items: l2 is multiplied by (users / mean users)^alpha of the item.",
    ),
    SearchRange(0, 1),
]

GramDropout: TypeAlias = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Fraction of a history hidden in training, in expectation; penalizes items by their popularity.",
    ),
    SearchRange(0, 0.9),
]

DiagonalBound: TypeAlias = Annotated[
    float,
    Field(ge=0, le=1, description="Upper bound of an item's own weight: 0 none, 1 that of plain ridge regression."),
    SearchRange(0, 1),
]

Neighbours: TypeAlias = Annotated[
    int, Field(ge=1, description="Number of neighbours kept per item."), SearchRange(10, 1000, log=True)
]

Shrink: TypeAlias = Annotated[
    float,
    Field(ge=0, description="Added to the denominator; large values reduce similarities based on few co-occurrences."),
    SearchRange(0, 1000),
]
