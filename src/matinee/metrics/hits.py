"""Hits: which listed items are targets, computed once for all metrics, cut-offs and parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matinee.data import Targets
from matinee.kernel import parallel_kernel, prange
from matinee.metrics.values import Counts, Hits


@dataclass(frozen=True, eq=False)
class HitTable:
    """Hits of the lists of m users with targets.

    `label[r, j]` is the part of a hit of user r at rank j + 1, else −1. `n_targets[p]` (m,)
    counts the targets of part p; `filled` (m, depth) is true where a list has an item.
    """

    label: NDArray[np.int8]
    n_targets: NDArray[np.int64]
    filled: NDArray[np.bool_]

    def cut(self, k: int, part: int | None) -> tuple[Hits, Counts, Counts]:
        """Hits (m, k), target counts (m,) and list lengths (m,) at a cut-off.

        None means all parts.
        """
        label = self.label[:, :k]
        length = self.filled[:, :k].sum(axis=1)
        if part is None:
            return label >= 0, self.n_targets.sum(axis=0), length
        return label == part, self.n_targets[part], length


def find_hits(item: NDArray[np.int32], place: NDArray[np.int64], targets: Targets, row: NDArray[np.int64]) -> HitTable:
    """Compare list `item[place[r]]` (−1: no list) with the targets of row `row[r]`, r = 0..m−1."""
    label = _label(item, place, (targets.offsets, targets.item, targets.part), row)
    n_targets = _count_parts(targets, row)
    filled = np.zeros(label.shape, dtype=np.bool_)
    filled[place >= 0] = item[place[place >= 0]] >= 0
    return HitTable(label, n_targets, filled)


def _count_parts(targets: Targets, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of targets per part and selected row, (parts, m)."""
    n_parts = max(len(targets.parts), 1)
    target_row = np.repeat(np.arange(len(targets)), targets.count)
    count = np.bincount(target_row * n_parts + targets.part, minlength=len(targets) * n_parts)
    return np.ascontiguousarray(count.reshape(len(targets), n_parts)[row].T).astype(np.int64)


@parallel_kernel
def _label(
    item: NDArray[np.int32],
    place: NDArray[np.int64],
    targets: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int8]],
    row: NDArray[np.int64],
) -> NDArray[np.int8]:
    """Search every listed item among the user's targets; an item listed twice counts once, at its first rank."""
    offsets, target_item, part = targets
    depth = item.shape[1]
    label = np.full((len(row), depth), -1, dtype=np.int8)
    for r in prange(len(row)):
        if place[r] < 0:
            continue
        low, high = offsets[row[r]], offsets[row[r] + 1]
        own = target_item[low:high]
        listed = item[place[r]]
        for j in range(depth):
            at = np.searchsorted(own, listed[j])
            if listed[j] < 0 or at == len(own) or own[at] != listed[j]:
                continue
            repeated = False
            for i in range(j):
                if listed[i] == listed[j]:
                    repeated = True
            if not repeated:
                label[r, j] = part[low + at]
    return label
