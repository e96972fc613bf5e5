"""The interaction log as codes: frozen, sorted, with a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from matinee.data.attributes import Attributes
from matinee.data.codes import check_codes, check_columns, codes_of, numbers_of
from matinee.data.histories import Histories
from matinee.data.ragged import binary_csr, count_csr, in_order, make_readonly, order_by_row_time_item, row_offsets
from matinee.data.vocabulary import Vocabulary
from matinee.errors import DataError

TimeKind: TypeAlias = Literal["seconds", "order", "none"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """N rows (user, item, time, weight), sorted by (user, time, item); all arrays read-only.

    `user` and `item` are codes of `users` and `items`. `time_kind` is the meaning of `time`: "seconds" since 1970;
    "order", the position in the user's sequence; "none", all zero. `weight` is (N,); None means no weights. A
    (user, item) may occur several times: the reader option `duplicates` keeps or merges them.

    Raises `DataError` for codes outside the vocabularies, arrays of another type or length, and unsorted rows.
    """

    users: Vocabulary
    items: Vocabulary
    user: NDArray[np.int32]
    item: NDArray[np.int32]
    time: NDArray[np.int64]
    time_kind: TimeKind = "seconds"
    weight: NDArray[np.float32] | None = None
    user_attributes: Attributes | None = None
    item_attributes: Attributes | None = None

    def __post_init__(self) -> None:
        check_codes("Interactions.user", self.user, len(self.users))
        check_codes("Interactions.item", self.item, len(self.items))
        _check_columns(self.user, self.item, self.time, self.weight)
        if not in_order(self.user, self.time, self.item):
            found = "its rows do not ascend by user, time and item"
            raise DataError("Interactions", found, "sorted rows", "Use Interactions.of, which sorts them.")
        for name, attributes, keys in (
            ("user_attributes", self.user_attributes, self.users),
            ("item_attributes", self.item_attributes, self.items),
        ):
            if attributes is not None and attributes.keys != keys:
                todo = "Use attributes.reindex(vocabulary)."
                raise DataError(f"Interactions.{name}", "its ids are not those of the log", "one vocabulary", todo)
        make_readonly(self.user, self.item, self.time, self.weight)

    @staticmethod
    def of(
        vocabularies: tuple[Vocabulary, Vocabulary],
        user: ArrayLike,
        item: ArrayLike,
        time: ArrayLike | None = None,
        clock: TimeKind = "seconds",
        weight: ArrayLike | None = None,
    ) -> Interactions:
        """Interactions from codes (N,) in any order.

        Without `time` all times are zero and `time_kind` is "none".

        Raises `DataError` for codes outside the vocabularies, and columns of another type or length.
        """
        users, items = vocabularies
        row = codes_of("Interactions.user", user, len(users))
        column = codes_of("Interactions.item", item, len(items))
        if time is None:
            time, clock = np.zeros(len(row), dtype=np.int64), "none"
        when = numbers_of("Interactions.time", time, np.int64)
        strength = None if weight is None else numbers_of("Interactions.weight", weight, np.float32)
        _check_columns(row, column, when, strength)
        order = order_by_row_time_item(row, when, column, len(users), len(items))
        if order is not None:
            row, column, when = row[order], column[order], when[order]
            strength = None if strength is None else strength[order]
        return Interactions(users, items, row, column, when, clock, strength)

    def __len__(self) -> int:
        return len(self.user)

    @property
    def n_users(self) -> int:
        """Size of the user vocabulary; some users may have no row."""
        return len(self.users)

    @cached_property
    def n_active_users(self) -> int:
        """Number of users with at least one row."""
        return int(np.count_nonzero(np.diff(self.offsets)))

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary; some items may have no row."""
        return len(self.items)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each user's rows start, (n_users + 1,)."""
        return row_offsets(self.user, self.n_users)

    @cached_property
    def matrix(self) -> csr_array:
        """(n_users, n_items) float32 CSR of 0 and 1; items ascending in a row, duplicates merged."""
        return binary_csr(self.offsets, self.item, self.n_items)

    @cached_property
    def counts(self) -> csr_array:
        """(n_users, n_items) float32 CSR counts of the rows of each pair."""
        return count_csr(self.offsets, self.item, self.n_items)

    @cached_property
    def popularity(self) -> NDArray[np.int64]:
        """Number of distinct users per item, (n_items,)."""
        count = np.bincount(self.matrix.indices, minlength=self.n_items)
        make_readonly(count)
        return count

    @property
    def titles(self) -> pl.Series | None:
        """Titles of the items (n_items,), or None."""
        return None if self.item_attributes is None else self.item_attributes.titles

    @cached_property
    def fingerprint(self) -> str:
        """Hash of ids, rows and attributes, independent of file format and row order."""
        digest = hashlib.sha256(f"{self.users.fingerprint} {self.items.fingerprint} {self.time_kind}".encode())
        for array in (self.user, self.item, self.time, self.weight):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        for name, attributes in (("users", self.user_attributes), ("items", self.item_attributes)):
            if attributes is not None:
                digest.update(f"{name} {attributes.fingerprint}".encode())
        return digest.hexdigest()

    def filter(self, keep: NDArray[np.bool_]) -> Interactions:
        """The rows where `keep` (N,) is true, with the same vocabularies and attributes."""
        return replace(
            self,
            user=self.user[keep],
            item=self.item[keep],
            time=self.time[keep],
            weight=None if self.weight is None else self.weight[keep],
        )

    def histories(self, user: NDArray[np.integer] | None = None) -> Histories:
        """Histories of all users, or of the given codes (m,), as queries."""
        histories = Histories(
            user=np.arange(self.n_users, dtype=np.int32),
            offsets=self.offsets,
            item=self.item,
            time=self.time,
            users=self.users,
            items=self.items,
            titles=self.titles,
        )
        return histories if user is None else histories.take(codes_of("histories: user", user, self.n_users))

    def frame(self) -> pl.DataFrame:
        """The log with raw ids: user, item, and time and weight where it has them."""
        columns = {"user": self.users.decode(self.user), "item": self.items.decode(self.item)}
        if self.time_kind != "none":
            columns["time"] = pl.Series("time", self.time)
        if self.weight is not None:
            columns["weight"] = pl.Series("weight", self.weight)
        return pl.DataFrame(columns)

    def summary(self) -> dict[str, int | float | str | bool]:
        """Basic counts; `matinee data inspect` prints them."""
        pairs = int(self.matrix.nnz)
        lengths = np.diff(self.offsets)
        return {
            "users": self.n_users,
            "items": self.n_items,
            "rows": len(self),
            "density": pairs / max(1, self.n_users * self.n_items),
            "repeats": len(self) - pairs,
            "median rows a user": float(np.median(lengths)) if len(lengths) else 0.0,
            "clock": self.time_kind,
            "titles": self.titles is not None,
        }


def _check_columns(
    user: NDArray[np.int32], item: NDArray[np.int32], time: NDArray[np.int64], weight: NDArray[np.float32] | None
) -> None:
    """Raise `DataError` unless the columns have their types and one length."""
    n = np.size(user)
    check_columns("Interactions", n, user=(user, np.int32), item=(item, np.int32), time=(time, np.int64))
    if weight is not None:
        check_columns("Interactions", n, weight=(weight, np.float32))
