"""Work on a log that fits share through `FitContext.shared`; without it, everything is computed each time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

import numpy as np

from matinee.arrays import F32
from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.linear.gram import gram
from matinee.linear.weighted_gram import inverse_power, weighted_gram

T = TypeVar("T")


class DegreeExponents(NamedTuple):
    """Exponents of a normalized matrix.

    Entries are divided by user degree^(user / 2) · item degree^item.
    """

    user: float
    item: float


def share(ctx: FitContext, data: Interactions, key: tuple[Hashable, ...], make: Callable[[], T], n_bytes: int) -> T:
    """The value of `make` for this log.

    Its arrays are read-only if it is stored under `key`; else they are the caller's own.
    """
    if ctx.shared is None:
        return make()
    return ctx.shared.get(_of_log(key, data), make, n_bytes)


def share_gram(ctx: FitContext, data: Interactions) -> F32:
    """The Gram matrix (n, n) of a log; read-only if stored, else the caller's own."""
    return share(ctx, data, ("gram",), lambda: gram(data.matrix), 4 * data.n_items**2)


def share_weighted_gram(ctx: FitContext, data: Interactions, exponents: DegreeExponents, power: float = 1.0) -> F32:
    """The Gram matrix (n, n) of the normalized log, entries raised to `power`.

    It is read-only if stored, else the caller's own.
    """

    def make() -> F32:
        user = inverse_power(np.diff(data.matrix.indptr), exponents.user)
        return weighted_gram(data.matrix, user, inverse_power(data.popularity, exponents.item), power)

    return share(ctx, data, ("weighted_gram", *exponents, power), make, 4 * data.n_items**2)


def latest_start(ctx: FitContext, data: Interactions, key: tuple[Hashable, ...], kind: type[T]) -> T | None:
    """The last value of `store_start` for this log and `key`, else None."""
    return None if ctx.shared is None else ctx.shared.latest(_of_log(key, data), kind)


def store_start(ctx: FitContext, data: Interactions, key: tuple[Hashable, ...], value: object, n_bytes: int) -> None:
    """Store `value`, from which later fits on this log start; its arrays become read-only."""
    if ctx.shared is not None:
        ctx.shared.put(_of_log(key, data), value, n_bytes)


def _of_log(key: tuple[Hashable, ...], data: Interactions) -> tuple[Hashable, ...]:
    """`key` with the fingerprint of the log after its first part."""
    return (key[0], data.fingerprint, *key[1:])
