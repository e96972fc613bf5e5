"""Items at random from everybody's history: what a model knows of a person's taste, whatever the order.

What it answers: the items missing from a history, past or future. It lets a model see the future of the items it
is asked about, so it flatters models that ignore time.

When: logs without times, classic collaborative filtering, comparison with papers that split 80/20 a user.

`random(log, n=2, seed=7)`; a column is a day; = learnt and asked, · learnt only, r answer:

    ann   A B C D E F   →   = r = = r =
    ben   . C . D A .   →   . = . r r .
    cat   B B . . . .   →   · · . . . .

cat has one item, though two rows of it: nothing can be held out, so cat is learnt from but not asked.

Repeats: different *items* are drawn, each hidden with all its rows; an answer never stands in the history.
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
    """So many items of every user, or such a share of them, at random."""

    n: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """How many different items of every user are held out."""

    fraction: Annotated[float | None, Field(gt=0, lt=1)] = None
    """Instead of k: the share of every user's different items that is held out, rounded, at least one."""

    @model_validator(mode="after")
    def _check_one_size(self) -> Self:
        exactly_one_of("split (random)", k=self.n, fraction=self.fraction)
        return self

    def split(self, log: Interactions) -> Split:
        """Draw from every history."""
        wanted = np.zeros((log.n_users, 2), dtype=np.int64)
        if self.fraction is None:
            wanted[:, 0] = self.n or 0
        else:
            n = n_distinct_items(log)
            wanted[:, 0] = np.clip(np.floor(self.fraction * n + 0.5), 1, np.maximum(n - 1, 1))
        return hold_out(log, wanted, self, ("random",))
