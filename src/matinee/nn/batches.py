"""Batches of users from the rows of a CSR matrix, without dense rows or a loop over users."""

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
    """Input and target pairs of b users.

    The input of row r is `input_item[offsets[r]:offsets[r + 1]]` with `input_weight`, the format of an embedding bag.
    """

    user: Tensor
    """Row of the training matrix during training, (b,); user code (−1: new user) when scoring."""
    target_row: Tensor
    """Row of the batch of each target pair, (t,), ascending."""
    target_item: Tensor
    """Item of each target pair, (t,)."""
    offsets: Tensor
    """Start of the input of each row, (b + 1,)."""
    input_item: Tensor
    """Input items, (s,)."""
    input_weight: Tensor
    """Weights of the input items, (s,) float32."""

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
    """Batches with every row of the matrix once; a generator shuffles rows and drops entries.

    The weight of an entry is 1/‖x‖₂, or 1 without `normal`, divided by 1 − dropout if it is not dropped.
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
    """The batch of the given rows (b,) of the matrix."""
    row, item, count = _gather_rows(matrix, user)
    keep_rate = 1.0 - (dropout if rng is not None else 0.0)
    weight = (1.0 / np.sqrt(np.maximum(count, 1)) if normal else np.ones(len(user))) / keep_rate
    input_item, input_row = item, row
    if rng is not None and dropout > 0:
        keep = rng.random(len(row), dtype=np.float32) < keep_rate
        input_item, input_row = item[keep], row[keep]
    input_pairs = (input_row, input_item, weight[input_row])
    return _batch(np.array(user, dtype=np.int64), (row, item), input_pairs, device)


def half_split_batches(matrix: csr_array, size: int, rng: np.random.Generator, device: str = "cpu") -> Iterator[Batch]:
    """Batches of all rows, shuffled, split at random into input and target halves.

    A batch of b users has 2b rows: the input of row r is the larger half, that of row b + r the other. Entries have the
    weight 1. Input and target halves are disjoint. Users with one item contribute one row.

    Vančura and Kordík, Deep Variational Autoencoder with Shallow Parallel Path (VASP), ICANN 2021, §3.4.
    """
    order = rng.permutation(matrix.shape[0])
    for start in range(0, len(order), size):
        user = order[start : start + size]
        row, item, count = _gather_rows(matrix, user)
        priority = rng.permutation(len(row))
        position = np.empty(len(row), dtype=np.int64)
        position[np.lexsort((priority, row))] = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        first = 2 * position < count[row]
        several = count > 1
        batch_row = np.concatenate([np.cumsum(several) - 1, several.sum() + np.arange(len(user))])  # of each half
        inputs = np.concatenate([np.flatnonzero(first & several[row]), np.flatnonzero(~first)])
        targets = np.concatenate([np.flatnonzero(~first), np.flatnonzero(first)])
        input_row = batch_row[row[inputs] + np.where(first[inputs], 0, len(user))]
        target_row = batch_row[row[targets] + np.where(first[targets], len(user), 0)]
        users = np.concatenate([user[several], user]).astype(np.int64)
        yield _batch(users, (target_row, item[targets]), (input_row, item[inputs], np.ones(len(inputs))), device)


def _gather_rows(matrix: csr_array, user: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
    """Entries of some rows: position in `user` (t,), item (t,), and entries per row (b,)."""
    starts, count = matrix.indptr[user].astype(np.int64), np.diff(matrix.indptr)[user].astype(np.int64)
    ends = np.cumsum(count)
    row = np.repeat(np.arange(len(user)), count)
    item = matrix.indices[np.arange(len(row)) + np.repeat(starts - (ends - count), count)].astype(np.int64)
    return row, item, count


def _batch(
    user: NDArray[np.int64],
    target: tuple[NDArray[np.int64], NDArray[np.int64]],
    input_pairs: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]],
    device: str,
) -> Batch:
    """The batch of target pairs (row, item) and input pairs (row, item, weight), rows ascending."""
    row, item, weight = input_pairs
    offsets = np.zeros(len(user) + 1, dtype=np.int64)
    np.cumsum(np.bincount(row, minlength=len(user)), out=offsets[1:])
    arrays = (user, *target, offsets, item, weight.astype(np.float32))
    return Batch(*(torch.from_numpy(array).to(device) for array in arrays))
