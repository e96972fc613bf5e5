"""Some items drawn from the middle of every history, some taken from its end.

What it answers: can a model fill gaps in a history, and predict its next items? The parts "random" and "last" keep
their labels: both are evaluated separately and together, and their sizes can be matched to the real test.

When: competitions, and logs of which an unknown part is missing. Models that use order gain on `last`, other models
on `random`; a split with one of the parts alone can rank them wrongly for a test with both.

`mixture(log, n_random=2, n_last=1, seed=7)`; one column per day; = training and query, · training only, r random,
t last:

    ann   A B C D E F G H   →   = r = = = r = t
    ben   . F . B A . . .   →   . r . = t . . .
    cat   . . C . . . . .   →   . . · . . . . .

The last rows are removed first; the random items are drawn from the remaining rows. The history of ben is too short
for three targets: it gives two, in proportion. The history of cat is too short for any: it is used for training only.

Duplicates: the end consists of the last `n_last` *rows*. Its distinct items are the targets, and they may also occur
in the query. The random part draws distinct *items* that the end does not contain, and removes all their rows.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from matinee.data import Interactions
from matinee.errors import SpecError
from matinee.split._holdout import Holdout, hold_out
from matinee.split._split import Split, need_order


class Mixture(Holdout):
    """Random items and the last rows of every user."""

    n_random: Annotated[int, Field(ge=0, le=1_000_000)] = 7
    """Number of distinct items of every user that are drawn from the rows before the last ones."""

    n_last: Annotated[int, Field(ge=0, le=1_000_000)] = 3
    """Number of rows held out at the end of every history."""

    @property
    def is_random(self) -> bool:
        """True unless `n_random` is 0."""
        return self.n_random > 0

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if self.n_random + self.n_last == 0:
            raise SpecError("split (mixture)", "n_random and n_last are both 0", "at least one target per user")
        return self

    def split(self, log: Interactions) -> Split:
        """Hold out the last rows, then draw from the remaining ones."""
        if self.n_last:
            need_order(log, self, "Read one, or set n_last = 0.")
        sizes = np.tile(np.array([self.n_random, self.n_last], dtype=np.int64), (log.n_users, 1))
        return hold_out(log, sizes, self, ("random", "last"))
