"""People in batches, straight from the rows of a CSR matrix: nothing dense, no loop over people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """b people: the pairs they took, which are the target, and what of them the network is shown.

    Shown is item `shown[offsets[r]:offsets[r + 1]]` with `weight`, what is left after dropout, as an embedding bag
    takes it.
    """

    user: Tensor
    """Who they are, (b,): a row of the matrix in training, a code of the trained people when asked, −1 somebody new."""
    target_row: Tensor
    """Which row of the batch each taken pair belongs to, (t,), ascending."""
    target_item: Tensor
    """(t,)"""
    offsets: Tensor
    """(b + 1,)"""
    input_item: Tensor
    """(s,)"""
    input_weight: Tensor
    """(s,) float32"""

    def __len__(self) -> int:
        return len(self.user)


def batches(
    matrix: csr_array,
    size: int,
    rng: np.random.Generator | None = None,
    dropout: float = 0.0,
    device: str = "cpu",
    *,
    normal: bool = True,
) -> Iterator[Batch]:
    """Every row of the matrix once; shuffled, and entries dropped, where a generator is given.

    An entry weighs 1/‖x‖₂, or 1 where not `normal`, and 1/(1 − dropout) of that if it survives the dropout.
    """
    order = np.arange(matrix.shape[0]) if rng is None else rng.permutation(matrix.shape[0])
    for start in range(0, len(order), size):
        yield make_batch(matrix, order[start : start + size], rng, dropout, device, normal=normal)


def make_batch(
    matrix: csr_array,
    user: NDArray[np.integer],
    rng: np.random.Generator | None = None,
    dropout: float = 0.0,
    device: str = "cpu",
    *,
    normal: bool = True,
) -> Batch:
    """The given rows (b,) of the matrix as a batch."""
    row, item, count = _gather_rows(matrix, user)
    kept = 1.0 - (dropout if rng is not None else 0.0)
    weight = (1.0 / np.sqrt(np.maximum(count, 1)) if normal else np.ones(len(user))) / kept
    shown, at = item, row
    if rng is not None and dropout > 0:
        stays = rng.random(len(row), dtype=np.float32) < kept
        shown, at = item[stays], row[stays]
    return _batch(np.array(user, dtype=np.int64), (row, item), (at, shown, weight[at]), device)


def half_split_batches(matrix: csr_array, size: int, rng: np.random.Generator, device: str = "cpu") -> Iterator[Batch]:
    """Every row of the matrix, shuffled, cut in two at random: one half of each is shown, the other asked for.

    A batch of b people has 2b rows: row r is shown the half that is larger, if one is, and row b + r the other. Entries
    weigh 1. Nothing shown is asked for, so that copying teaches nothing. Who took one item has one row less, since
    after it there would be nothing to ask for.

    Vančura and Kordík, Deep Variational Autoencoder with Shallow Parallel Path (VASP), ICANN 2021, §3.4.
    """
    order = rng.permutation(matrix.shape[0])
    for start in range(0, len(order), size):
        user = order[start : start + size]
        row, item, count = _gather_rows(matrix, user)
        chance = rng.permutation(len(row))
        place = np.empty(len(row), dtype=np.int64)
        place[np.lexsort((chance, row))] = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        first = 2 * place < count[row]
        several = count > 1
        to = np.concatenate([np.cumsum(several) - 1, several.sum() + np.arange(len(user))])  # which row each half is in
        shown = np.concatenate([np.flatnonzero(first & several[row]), np.flatnonzero(~first)])
        asked = np.concatenate([np.flatnonzero(~first), np.flatnonzero(first)])
        at = to[row[shown] + np.where(first[shown], 0, len(user))]
        of = to[row[asked] + np.where(first[asked], len(user), 0)]
        whose = np.concatenate([user[several], user]).astype(np.int64)
        yield _batch(whose, (of, item[asked]), (at, item[shown], np.ones(len(shown))), device)


def _gather_rows(matrix: csr_array, user: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """The entries of some rows: which row of the batch (t,), which item (t,), and how many each row has (b,)."""
    starts, count = matrix.indptr[user].astype(np.int64), np.diff(matrix.indptr)[user].astype(np.int64)
    ends = np.cumsum(count)
    row = np.repeat(np.arange(len(user)), count)
    item = matrix.indices[np.arange(len(row)) + np.repeat(starts - (ends - count), count)].astype(np.int64)
    return row, item, count


def _batch(
    user: NDArray[np.int64],
    asked: tuple[NDArray[np.int64], NDArray[np.int64]],
    shown: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]],
    device: str,
) -> Batch:
    """A batch of pairs asked for, (row, item), and shown, (row, item, weight); rows ascend in both."""
    at, item, weight = shown
    offsets = np.zeros(len(user) + 1, dtype=np.int64)
    np.cumsum(np.bincount(at, minlength=len(user)), out=offsets[1:])
    arrays = (user, *asked, offsets, item, weight.astype(np.float32))
    return Batch(*(torch.from_numpy(array).to(device) for array in arrays))
