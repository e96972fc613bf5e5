"""Small logs that tests share: planted patterns whose right answer is known."""

from __future__ import annotations

import numpy as np
import polars as pl

from matinee.data import Interactions, Vocabulary


def log_of(user, item, time=None, *, users=None, items=None, weight=None) -> Interactions:
    """A log from codes; raw ids are 1000 + code and 5000 + code, so that codes and ids cannot be mixed up."""
    user, item = np.asarray(user, dtype=np.int32), np.asarray(item, dtype=np.int32)
    n_users = users or int(user.max()) + 1
    n_items = items or int(item.max()) + 1
    vocabularies = (
        Vocabulary.of(pl.Series(range(1000, 1000 + n_users))),
        Vocabulary.of(pl.Series(range(5000, 5000 + n_items))),
    )
    time = None if time is None else np.asarray(time, dtype=np.int64)
    return Interactions.of(vocabularies, user, item, time, "seconds", weight)


def checkerboard(n: int = 20) -> Interactions:
    """User u took every item of u's colour but item u: the one right answer for u is u (after implicit's tests)."""
    pairs = [(u, i) for u in range(n) for i in range(n) if (u + i) % 2 == 0 and i != u]
    user, item = map(np.array, zip(*pairs, strict=True))
    return log_of(user, item, 10**9 + 60 * np.arange(len(user)), users=n, items=n)


def ring(n: int = 20, length: int = 8) -> Interactions:
    """User u walked from item u around a ring: the right next item is u + length; sets alone do not tell direction."""
    user = np.repeat(np.arange(n), length)
    item = (user + np.tile(np.arange(length), n)) % n
    return log_of(user, item, 10**9 + 60 * np.tile(np.arange(length), n), users=n, items=n)


def random_log(
    seed: int = 0, users: int = 60, items: int = 40, rows: int = 900, *, repeats: bool = False
) -> Interactions:
    """Two tastes and a popularity law; every user has at least one row."""
    rng = np.random.default_rng(seed)
    user = np.concatenate([np.arange(users), rng.integers(0, users, rows - users)])
    law = 1.0 / rng.permutation(np.arange(1, items + 1))  # what is popular must not stand first
    taste = np.stack([np.where(np.arange(items) % 2 == side, law, 0.15 * law) for side in (0, 1)])
    taste /= taste.sum(axis=1, keepdims=True)
    item = np.array([rng.choice(items, p=taste[u % 2]) for u in user])
    if not repeats:
        _, first = np.unique(user * items + item, return_index=True)
        user, item = user[first], item[first]
    return log_of(user, item, 10**9 + rng.integers(0, 10**8, len(user)), users=users, items=items)
