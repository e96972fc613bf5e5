"""Whole users held out: part of a held-out history is the query, the rest are the targets.

What it answers: strong generalization (Marlin 2004; Liang et al., Mult-VAE, WWW 2018), the quality for users without
training interactions.

When: services with new users, models that score a history and not a user id, and papers on autoencoders.

`new_users(log, users=1, fold_in=0.6, seed=7)`; one column per day; · training only, ? query only, n target:

    ann   A B C D E F   →   ? n ? ? n ?
    ben   . C . D A .   →   . · . · · .
    cat   B . . . . .   →   · . . . . .

cat has a single item, too few for a query and a target, and is always used for training. `query.user` is −1 for
held-out users; `target.user` has their codes. Items of held-out users alone stay in the vocabulary.

`users` holds out the users with the smallest keys; with `fraction` each user is drawn independently of the others,
so the fraction is approximate.

Duplicates: with order "random" distinct items are drawn, each with all its rows. With order "time" the last rows are
held out, and a target may also occur in the query.
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
    """Number of held-out users."""

    fraction: Annotated[float | None, Field(gt=0, lt=1)] = None
    """Instead of a number: probability of every user to be held out."""

    fold_in: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Fraction of a held-out history that is the query, rounded; at least one item is query and one target."""

    order: Literal["random", "time"] = "random"
    """Targets are drawn from the history (random) or are its end (time)."""

    @model_validator(mode="after")
    def _check_one_size(self) -> Self:
        exactly_one_of("split (new_users)", users=self.users, fraction=self.fraction)
        return self

    def split(self, log: Interactions) -> Split:
        """Choose the held-out users, then split each of their histories."""
        if self.order == "time":
            need_order(log, self, "Read one, or set order = 'random'.")
        size = self._size(log)
        chosen = self._test_users(log, size >= 2)
        sizes = np.zeros((log.n_users, 2), dtype=np.int64)
        n_targets = np.clip(np.floor((1 - self.fold_in) * size + 0.5), 1, np.maximum(size - 1, 1))
        sizes[chosen, 0 if self.order == "random" else 1] = n_targets[chosen]
        destination, _ = hold_out_items(log, sizes, user_keys(log.users, self.effective_seed))
        destination[destination > 0] = 0
        destination[chosen[log.user] & (destination == TRAIN)] = QUERY_ONLY
        return assemble(log, destination, self, ("new_users",), query_log=QUERY_ONLY)

    def validation_protocol(self, train: Interactions) -> NewUsers:
        """The same number of other users, at most half of the eligible ones."""
        limit = int((self._size(train) >= 2).sum()) // 2
        users = None if self.users is None else max(1, min(self.users, limit))
        return self.model_copy(update={"seed": self.effective_seed + 1_000_003, "users": users})

    def _size(self, log: Interactions) -> NDArray[np.int64]:
        """Size of each history (n_users,): distinct items for random order, rows for time order."""
        return n_distinct_items(log) if self.order == "random" else np.diff(log.offsets)

    def _test_users(self, log: Interactions, eligible: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Mask (n_users,) of the held-out users."""
        key, active = user_keys(log.users, self.effective_seed, purpose=1), np.diff(log.offsets) > 0
        if self.users is None:
            chosen = eligible & (uniform(key) < (self.fraction or 0))
        else:
            codes = np.flatnonzero(eligible)
            chosen = np.zeros(log.n_users, dtype=np.bool_)
            chosen[codes[np.argsort(key[codes], kind="stable")[: self.users]]] = True
        found = f"{int(chosen.sum()):,} of {int(active.sum()):,} users can be held out"
        if not chosen.any() or (self.users is not None and chosen.sum() < self.users) or chosen[active].all():
            option = f"fraction = {self.fraction}" if self.users is None else f"users = {self.users:,}"
            todo = "Choose another number; users with a single item are never held out."
            raise SplitError(f"{found} with {option}", "enough users to hold out and at least one training user", todo)
        return chosen
