"""Some items missing from the middle, some from the end: a test that hides a person's log in two ways at once.

What it answers: can a model fill gaps in what somebody took, and say what comes next? The two parts keep their
labels, so both are scored apart and together, and the shares can be fitted to the test that one has to win.

When: competitions and logs of which an unknown part is lost. Models that read order shine on `tail`, those that
do not on `random`; a split of one kind alone picks the wrong winner for a test of the other.

`mixture(log, n_random=2, n_last=1, seed=7)`; a column is a day; = learnt and asked, · learnt only, r random, t tail:

    ann   A B C D E F G H   →   = r = = = r = t
    ben   . F . B A . . .   →   . r . = t . . .
    cat   . . C . . . . .   →   . . · . . . . .

The end is taken off first, then the random ones from what remains. ben's history is too short for all three
answers and cat's for any: ben gives two, shared in proportion, and cat is learnt from but not asked.

Repeats: the end is the last `tail` *rows*, its answers their different items, and one of them may still stand in
the history. The random part draws different *items* that the end does not hold, and hides every row of them.
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
    """Some items from the middle, some from the end."""

    n_random: Annotated[int, Field(ge=0, le=1_000_000)] = 7
    """How many different items of every user are drawn from what the tail leaves."""

    n_last: Annotated[int, Field(ge=0, le=1_000_000)] = 3
    """How many rows are taken off the end of every history."""

    @property
    def is_random(self) -> bool:
        """Chance has a part in it unless nothing is drawn."""
        return self.n_random > 0

    @model_validator(mode="after")
    def _check_not_empty(self) -> Self:
        if self.n_random + self.n_last == 0:
            raise SpecError("split (mixture)", "n_random and n_last are both 0", "at least one answer a user")
        return self

    def split(self, log: Interactions) -> Split:
        """Take the tail off, then draw from the rest."""
        if self.n_last:
            need_order(log, self, "Read one, or set n_last = 0.")
        wanted = np.tile(np.array([self.n_random, self.n_last], dtype=np.int64), (log.n_users, 1))
        return hold_out(log, wanted, self, ("random", "last"))
