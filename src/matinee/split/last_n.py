"""The end of everybody's history: what a person takes next. With k = 1, leave-one-out.

What it answers: the next items of a person, given all that came before. Each history ends at its own moment, so a
model learns from other people's future; where that matters (items that come and go) use `temporal`.

When: next-item models, and comparison with papers on sequences, which leave one out.

`last_n(log, n=2)`; a column is a day; = learnt and asked, · learnt only, t answer:

    ann   A B C D E F   →   = = = = t t
    ben   . C . D . .   →   . = . t . .
    cat   B B A B . .   →   = = t t . .

ben gives one answer, for one item has to stay.

Rows of one moment stand in the order of their items. Repeats: the last k *rows* are held out and their different
items are the answers; cat took B before, so that answer can only be hit where seen items may be recommended.
`Split.without_seen` takes such answers out.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.data import Interactions
from matinee.split._holdout import Holdout, hold_out
from matinee.split._split import Split, need_order


class LastN(Holdout):
    """The last rows of every user."""

    n: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """How many rows are taken off the end of every history."""

    @property
    def is_random(self) -> bool:
        """Nothing is left to chance."""
        return False

    def split(self, log: Interactions) -> Split:
        """Take the last rows off every history."""
        need_order(log, self, "Read one, or use kind = 'random'.")
        wanted = np.tile(np.array([0, self.n], dtype=np.int64), (log.n_users, 1))
        return hold_out(log, wanted, self, ("last",))
