"""The last rows of every history; with n = 1, leave-one-out.

What it answers: can a model predict the next items of a user from all earlier ones? Every history ends at its own
time, so training data contain later rows of other users. Where that matters (items that come and go) use `temporal`.

When: next-item models, and comparison with papers on sequential recommendation, which use leave-one-out.

`last_n(log, n=2)`; one column per day; = training and query, · training only, t target:

    ann   A B C D E F   →   = = = = t t
    ben   . C . D . .   →   . = . t . .
    cat   B B A B . .   →   = = t t . .

The history of ben gives one target, since one item always remains.

Rows with equal times are ordered by item. Duplicates: the last n *rows* are held out and their distinct items are
the targets. The query of cat contains B, so the target B counts only where seen items may be recommended.
`Split.drop_seen_targets` removes such targets.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from matinee.data import Interactions
from matinee.split._holdout import Holdout, hold_out
from matinee.split._split import Split, need_order


class LastN(Holdout):
    """The last n rows of every user."""

    n: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Number of rows held out at the end of every history."""

    @property
    def is_random(self) -> bool:
        """False: nothing is drawn."""
        return False

    def split(self, log: Interactions) -> Split:
        """Hold out the last rows of every history."""
        need_order(log, self, "Read one, or use kind = 'random'.")
        sizes = np.tile(np.array([0, self.n], dtype=np.int64), (log.n_users, 1))
        return hold_out(log, sizes, self, ("last",))
