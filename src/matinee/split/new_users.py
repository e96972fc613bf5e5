"""Some people are not learnt from at all: what can be told somebody who comes with a short past.

What it answers: strong generalisation (Marlin 2004; Liang et al., Mult-VAE, WWW 2018). Some users are held out
whole; a part of each one's history is shown (folded in), the rest is the answer.

When: services with newcomers, models that score a history and not a user, and the papers on autoencoders.

`new_users(log, users=1, fold_in=0.6, seed=7)`; a column is a day; · learnt only, ? asked only, n answer:

    ann   A B C D E F   →   ? n ? ? n ?
    ben   . C . D A .   →   . · . · · .
    cat   B . . . . .   →   · . . . . .

cat, with a single item, cannot be both asked and answered and is always learnt from. The asked have −1 as `user`
in `ask`, for no model knows them; `answer.user` names them. Items that only they took stay in the vocabulary.

With a number, the users with the smallest keys are held out; with a fraction, everybody whose key is below it: a
coin of one's own that nobody else can change, so the share is met about, not exactly.

Repeats: with order "random" different items are drawn, each with all its rows; with order "time" the last rows
are held out, and an answer may stand in what is asked.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from matinee.data import Interactions
from matinee.errors import SplitError
from matinee.split._draw import hold_out_items, n_distinct_items, uniform, user_keys
from matinee.split._split import QUERY_ONLY, TRAIN, Split, SplitSpec, assemble, exactly_one_of, need_order


class NewUsers(SplitSpec):
    """Whole users held out."""

    may_query_new_users: ClassVar[bool] = True

    users: Annotated[int | None, Field(ge=1, lt=2**31)] = None
    """How many users are held out."""

    fraction: Annotated[float | None, Field(gt=0, lt=1)] = None
    """Instead of a number: the chance of every user to be held out."""

    fold_in: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """The share of a held-out history that is shown, rounded; at least one item is shown and one is the answer."""

    order: Literal["random", "time"] = "random"
    """Whether the answer is drawn from the history or is its end."""

    @model_validator(mode="after")
    def _check_one_size(self) -> Self:
        exactly_one_of("split (new_users)", users=self.users, fraction=self.fraction)
        return self

    def split(self, log: Interactions) -> Split:
        """Choose the users, then cut each of their histories."""
        if self.order == "time":
            need_order(log, self, "Read one, or set order = 'random'.")
        size = self._size(log)
        chosen = self._test_users(log, size >= 2)
        wanted = np.zeros((log.n_users, 2), dtype=np.int64)
        answers = np.clip(np.floor((1 - self.fold_in) * size + 0.5), 1, np.maximum(size - 1, 1))
        wanted[chosen, 0 if self.order == "random" else 1] = answers[chosen]
        held, _ = hold_out_items(log, wanted, user_keys(log.users, self.effective_seed))
        held[held > 0] = 0
        held[chosen[log.user] & (held == TRAIN)] = QUERY_ONLY
        return assemble(log, held, self, ("new_users",), query_log=QUERY_ONLY)

    def validation_protocol(self, learn: Interactions) -> NewUsers:
        """Other users of `learn`: as many, or half of those that are left."""
        left = int((self._size(learn) >= 2).sum()) // 2
        users = None if self.users is None else max(1, min(self.users, left))
        return self.model_copy(update={"seed": self.effective_seed + 1_000_003, "users": users})

    def _size(self, log: Interactions) -> NDArray[np.int64]:
        """What a history is measured in: different items to draw from, or rows in time; (n_users,)."""
        return n_distinct_items(log) if self.order == "random" else np.diff(log.offsets)

    def _test_users(self, log: Interactions, eligible: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Who is held out, (n_users,)."""
        key, there = user_keys(log.users, self.effective_seed, purpose=1), np.diff(log.offsets) > 0
        if self.users is None:
            chosen = eligible & (uniform(key) < (self.fraction or 0))
        else:
            who = np.flatnonzero(eligible)
            chosen = np.zeros(log.n_users, dtype=np.bool_)
            chosen[who[np.argsort(key[who], kind="stable")[: self.users]]] = True
        found = f"{int(chosen.sum()):,} of {int(there.sum()):,} users can be held out"
        if not chosen.any() or (self.users is not None and chosen.sum() < self.users) or chosen[there].all():
            wanted = f"fraction = {self.fraction}" if self.users is None else f"users = {self.users:,}"
            todo = "Choose another number; users with a single item are never held out."
            raise SplitError(f"{found} with {wanted}", "that many to hold out and somebody left to learn from", todo)
        return chosen
