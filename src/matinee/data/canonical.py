"""The order of users and items by the structure of the log, independent of their ids.

Random weights and batches of models that train in this order do not change when ids are renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.data.interactions import Interactions
from matinee.data.vocabulary import Vocabulary
from matinee.hashing import GOLDEN, mix64_array

ROUNDS = 2
"""Rounds of refinement after the first hash of the users."""

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class CanonicalOrder:
    """The code of the user and of the item at each canonical position.

    `user` (m,) are codes of the users with interactions, `item` (n_items,) of all items.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    n_users: int
    """Number of users of the log, those without interactions included."""

    def reorder(self, matrix: csr_array) -> csr_array:
        """The matrix (n_users, n_items) in canonical order, (m, n_items), items ascending in a row."""
        rows = matrix[self.user]
        reordered = csr_array((rows.data, _positions(self.item)[rows.indices], rows.indptr), shape=rows.shape)
        reordered.sort_indices()
        return reordered

    def restore(self, array: NDArray[T], axes: str) -> NDArray[T]:
        """The array with its axes in the order of the log's codes.

        `axes` has a letter for each axis: "i" items, "u" users, "." neither. Users without interactions get zeros.
        """
        for axis, letter in enumerate(axes):
            if letter == ".":
                continue
            code, length = (self.item, len(self.item)) if letter == "i" else (self.user, self.n_users)
            wide = np.zeros((*array.shape[:axis], length, *array.shape[axis + 1 :]), dtype=array.dtype)
            wide[(slice(None),) * axis + (code,)] = array
            array = wide
        return array


@dataclass(frozen=True, eq=False)
class CanonicalData:
    """A training set in canonical order; both forms are computed when first read."""

    data: Interactions
    order: CanonicalOrder

    @staticmethod
    def of(data: Interactions) -> CanonicalData:
        """The training set with the canonical order of its matrix."""
        return CanonicalData(data, canonical_order(data.matrix))

    @property
    def n_users(self) -> int:
        """Number of users with interactions, m."""
        return len(self.order.user)

    @cached_property
    def matrix(self) -> csr_array:
        """(m, n_items) CSR of 0 and 1."""
        return self.order.reorder(self.data.matrix)

    @cached_property
    def log(self) -> Interactions:
        """All rows with their times, ids replaced by canonical positions.

        It has no attributes: those of the item at position j are at `order.item[j]` of the log's attributes.
        """
        user = np.full(self.data.n_users, -1, dtype=np.int32)
        user[self.order.user] = np.arange(self.n_users, dtype=np.int32)
        row, column = user[self.data.user], _positions(self.order.item)[self.data.item]
        vocabularies = (_numbers("user", self.n_users), _numbers("item", len(self.order.item)))
        return Interactions.of(vocabularies, row, column, self.data.time, self.data.time_kind, self.data.weight)


def canonical_order(matrix: csr_array) -> CanonicalOrder:
    """The canonical order of the users (rows) and items (columns) of a binary matrix.

    Popular items come first. Items of equal popularity, and users, are in the order of hashes that are refined by those
    of their neighbors (Weisfeiler and Leman, 1968); those that three rounds cannot distinguish keep their order.
    """
    binary = csr_array((np.ones(matrix.nnz, dtype=np.uint64), matrix.indices, matrix.indptr), shape=matrix.shape)
    count = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.uint64)
    transposed = binary.T
    item = _hash(count)
    user = _hash(np.asarray(binary @ item))
    for _ in range(ROUNDS):
        item = _hash(item + np.asarray(transposed @ user))
        user = _hash(user + np.asarray(binary @ item))
    active = np.flatnonzero(np.diff(matrix.indptr))
    return CanonicalOrder(
        active[np.argsort(user[active], kind="stable")],
        np.lexsort((item, -count.astype(np.int64))),
        matrix.shape[0],
    )


def _hash(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of each number; sums of hashes wrap around."""
    return mix64_array(x + GOLDEN)


def _positions(code: NDArray[np.int64]) -> NDArray[np.int32]:
    """The canonical position of each code."""
    position = np.empty(len(code), dtype=np.int32)
    position[code] = np.arange(len(code), dtype=np.int32)
    return position


def _numbers(name: str, n: int) -> Vocabulary:
    """The vocabulary of the ids 0 to n − 1."""
    return Vocabulary.of(pl.Series(name, np.arange(n), dtype=pl.Int64))
