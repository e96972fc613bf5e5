"""Which items of the lists are answers, found once for all metrics, cut-offs and parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matinee.data import Answers
from matinee.kernel import parallel_kernel, prange
from matinee.metrics.column import Counts, Hits


@dataclass(frozen=True, eq=False)
class Judged:
    """Row r, one person with answers: `label[r, j]` is −1 where the item at rank j + 1 is no answer, else its part.

    `n_answers[p]` (m,) counts the answers of part p, `there` (m, depth) says where a list has an item at all.
    """

    label: NDArray[np.int8]
    n_answers: NDArray[np.int64]
    there: NDArray[np.bool_]

    def cut(self, k: int, part: int | None) -> tuple[Hits, Counts, Counts]:
        """Hits (m, k), answers (m,) and list lengths (m,) at a cut-off, of one part or of all (None)."""
        label = self.label[:, :k]
        length = self.there[:, :k].sum(axis=1)
        if part is None:
            return label >= 0, self.n_answers.sum(axis=0), length
        return label == part, self.n_answers[part], length


def judge(item: NDArray[np.int32], place: NDArray[np.int64], answer: Answers, row: NDArray[np.int64]) -> Judged:
    """Judge `item[place[r]]` (−1 no list) by the answers of row `row[r]`, r = 0..m−1."""
    label = _label(item, place, (answer.offsets, answer.item, answer.part), row)
    n_answers = _count_parts(answer, row)
    there = np.zeros(label.shape, dtype=np.bool_)
    there[place >= 0] = item[place[place >= 0]] >= 0
    return Judged(label, n_answers, there)


def _count_parts(answer: Answers, row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Answers of every part and wanted row, (parts, m)."""
    n_parts = max(len(answer.parts), 1)
    whose = np.repeat(np.arange(len(answer)), answer.count)
    count = np.bincount(whose * n_parts + answer.part, minlength=len(answer) * n_parts)
    return np.ascontiguousarray(count.reshape(len(answer), n_parts)[row].T).astype(np.int64)


@parallel_kernel
def _label(
    item: NDArray[np.int32],
    place: NDArray[np.int64],
    answers: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int8]],
    row: NDArray[np.int64],
) -> NDArray[np.int8]:
    """Binary search of every listed item among the person's answers; an item listed twice counts at its first place."""
    offsets, answer, part = answers
    depth = item.shape[1]
    label = np.full((len(row), depth), -1, dtype=np.int8)
    for r in prange(len(row)):
        if place[r] < 0:
            continue
        low, high = offsets[row[r]], offsets[row[r] + 1]
        mine = answer[low:high]
        listed = item[place[r]]
        for j in range(depth):
            at = np.searchsorted(mine, listed[j])
            if listed[j] < 0 or at == len(mine) or mine[at] != listed[j]:
                continue
            again = False
            for i in range(j):
                if listed[i] == listed[j]:
                    again = True
            if not again:
                label[r, j] = part[low + at]
    return label
