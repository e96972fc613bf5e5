"""Small logs for tests; each planted pattern has one known target per user."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from matinee.data import Interactions, Vocabulary

FIRST_USER_ID, FIRST_ITEM_ID = 1000, 5000
"""Raw ids of code 0: ids differ from codes, so that a test notices where one is used as the other."""

START, PERIOD = 10**9, 10**8
"""First time and length of a random log in seconds."""


def log_of(
    user: ArrayLike,
    item: ArrayLike,
    time: ArrayLike | None = None,
    *,
    users: int | None = None,
    items: int | None = None,
    weight: NDArray[np.float32] | None = None,
) -> Interactions:
    """A log from codes; raw ids are code + 1000 (users) and + 5000 (items)."""
    user, item = np.asarray(user, dtype=np.int32), np.asarray(item, dtype=np.int32)
    n_users = users or int(user.max()) + 1
    n_items = items or int(item.max()) + 1
    vocabularies = (
        Vocabulary.of(pl.Series(range(FIRST_USER_ID, FIRST_USER_ID + n_users))),
        Vocabulary.of(pl.Series(range(FIRST_ITEM_ID, FIRST_ITEM_ID + n_items))),
    )
    seconds = None if time is None else np.asarray(time, dtype=np.int64)
    return Interactions.of(vocabularies, user, item, seconds, "seconds", weight)


def checkerboard(n: int = 20) -> Interactions:
    """Each user u has all items of the same parity except the target, u."""
    pairs = [(u, i) for u in range(n) for i in range(n) if (u + i) % 2 == 0 and i != u]
    user, item = np.array(pairs, dtype=np.int32).T
    return log_of(user, item, START + 60 * np.arange(len(user)), users=n, items=n)


def ring(n: int = 20, length: int = 8) -> Interactions:
    """User u has items u, u + 1, … modulo n; target: u + length.

    The items before and after a history have equal counts with it, so only its order identifies the target.
    """
    user = np.repeat(np.arange(n), length)
    item = (user + np.tile(np.arange(length), n)) % n
    return log_of(user, item, START + 60 * np.tile(np.arange(length), n), users=n, items=n)


def random_log(
    seed: int = 0, users: int = 60, items: int = 40, rows: int = 900, *, repeats: bool = False
) -> Interactions:
    """Two clusters of users and skewed popularity; each user has at least one interaction."""
    rng = np.random.default_rng(seed)
    user = np.concatenate([np.arange(users), rng.integers(0, users, rows - users)])
    law = 1.0 / rng.permutation(np.arange(1, items + 1))  # popularity must not follow the order of codes
    share = np.stack([np.where(np.arange(items) % 2 == side, law, 0.15 * law) for side in (0, 1)])
    share /= share.sum(axis=1, keepdims=True)
    item = np.array([rng.choice(items, p=share[u % 2]) for u in user])
    if not repeats:
        _, first = np.unique(user * items + item, return_index=True)
        user, item = user[first], item[first]
    return log_of(user, item, START + rng.integers(0, PERIOD, len(user)), users=users, items=items)
