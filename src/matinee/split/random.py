"""Items drawn at random from every history.

What it answers: can a model find the missing items of a history, past or future? Training data contain rows later
than the targets, so the results are too good for models that ignore time.

When: logs without times, classic collaborative filtering, comparison with papers that split 80/20 per user.

`random(log, n=2, seed=7)`; one column per day; = training and query, · training only, r target:

    ann   A B C D E F   →   = r = = r =
    ben   . C . D A .   →   . = . r r .
    cat   B B . . . .   →   · · . . . .

cat has one item in two rows: nothing can be held out, so these rows are used for training only.

Duplicates: distinct *items* are drawn and all their rows are removed; a target never occurs in the query.
"""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from pydantic import Field, model_validator

from matinee.data import Interactions
from matinee.split._draw import n_distinct_items
from matinee.split._holdout import Holdout, hold_out
from matinee.split._split import Split, exactly_one_of


class Random(Holdout):
    """A number or a fraction of every user's items, drawn at random."""

    n: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """Number of distinct items of every user that are held out."""

    fraction: Annotated[float | None, Field(gt=0, lt=1)] = None
    """Instead of n: fraction of every user's distinct items that is held out, rounded, at least one."""

    @model_validator(mode="after")
    def _check_one_size(self) -> Self:
        exactly_one_of("split (random)", n=self.n, fraction=self.fraction)
        return self

    def split(self, log: Interactions) -> Split:
        """Draw items from every history."""
        sizes = np.zeros((log.n_users, 2), dtype=np.int64)
        if self.fraction is None:
            sizes[:, 0] = self.n or 0
        else:
            n = n_distinct_items(log)
            sizes[:, 0] = np.clip(np.floor(self.fraction * n + 0.5), 1, np.maximum(n - 1, 1))
        return hold_out(log, sizes, self, ("random",))
