"""Ranked lists from a fitted model and histories: the one ranking path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.contract import FittedModel, Mask
from matinee.data import Histories, Interactions
from matinee.errors import SpecError, TrainingError
from matinee.observer import SILENT, Advance, Observer
from matinee.spec import Spec
from matinee.topk import kernels
from matinee.topk.lists import ItemsAndScores, TopK

EXCLUDE_SEEN = Mask()
"""Seen items are excluded, nothing else."""

BLOCK_BYTES = 256_000_000
"""The largest block of scores in memory."""


@runtime_checkable
class StreamsTopK(Protocol):
    """A fitted model that ranks without holding scores (m, n_items)."""

    def top_k(self, histories: Histories, k: int, mask: Mask) -> ItemsAndScores:
        """The best k allowed items of each row, ties by item code; raises `TrainingError` for NaN."""
        ...


def recommend(
    fitted: FittedModel,
    histories: Histories | Interactions,
    k: int = 10,
    mask: Mask = EXCLUDE_SEEN,
    observer: Observer = SILENT,
) -> TopK:
    """The best k items for every row of `histories`; for a log, one list for each of its users.

    A user with fewer than k allowed items gets a short list, padded with −1. A matrix (users, n_items) is never held:
    models that implement `StreamsTopK` rank while they score, others are scored a block of users at a time.

    Raises `SpecError` if k is larger than the catalogue or the mask does not fit, `TrainingError` if scores are
    not finite.
    """
    _refuse_wrong_types(fitted, histories, mask)
    if not isinstance(histories, Histories):
        histories = histories.histories()
    n_items, kind = len(fitted.items), fitted.spec.kind
    if not 1 <= k <= n_items:
        raise SpecError("k", f"found {k}", f"at least 1 and at most the {n_items:,} items of the catalogue")
    if fitted.items != histories.items:
        raise SpecError("histories", "their items are not those of the model", "one vocabulary for both")
    mask.check(len(histories), n_items)
    with observer.progress(f"lists of {kind}", len(histories)) as advance:
        if isinstance(fitted, StreamsTopK):
            item, score = fitted.top_k(histories, k, mask)
            advance(len(histories))
        else:
            item, score = top_k_by_blocks(fitted, histories, k, mask, advance)
    return TopK(histories.user, item, score, histories.users, histories.items, histories.titles)


def _refuse_wrong_types(fitted: object, histories: object, mask: object) -> None:
    """Raise `SpecError` for what is no fitted model, no histories or no mask."""
    if isinstance(fitted, Spec) or not hasattr(fitted, "score"):
        found = f"found {type(fitted).__name__}"
        raise SpecError("recommend: fitted", found, "a trained model", "Train one with spec.fit(log).")
    if not isinstance(histories, Histories | Interactions):
        found = f"found {type(histories).__name__}"
        todo = "Histories.from_raw([[ids]], items) takes raw ids of one user."
        raise SpecError("recommend: histories", found, "Histories or Interactions", todo)
    if not isinstance(mask, Mask):
        raise SpecError(
            "recommend: mask", f"found {type(mask).__name__}", "a Mask", "Mask.only([ids], items) makes one."
        )


def top_k_by_blocks(
    fitted: FittedModel, histories: Histories, k: int, mask: Mask, advance: Advance = lambda done: None
) -> ItemsAndScores:
    """The best k allowed items of each row from scores of at most BLOCK_BYTES at a time."""
    m = len(histories)
    item, score = np.empty((m, k), dtype=np.int32), np.empty((m, k), dtype=np.float32)
    for start, stop in row_blocks(m, len(fitted.items)):
        rows = histories.rows(start, stop)
        best = top_k_of_scores(fitted.score(rows), rows, k, mask.slice(start, stop), fitted.spec.kind)
        item[start:stop], score[start:stop] = best
        advance(stop - start)
    return ItemsAndScores(item, score)


def row_blocks(m: int, width: int) -> Iterator[tuple[int, int]]:
    """(start, stop) of blocks of m rows; `width` float32 columns of a block take at most BLOCK_BYTES."""
    block = max(1, BLOCK_BYTES // (4 * max(width, 1)))
    for start in range(0, m, block):
        yield start, min(m, start + block)


def top_k_of_scores(scores: NDArray[np.float32], histories: Histories, k: int, mask: Mask, kind: str) -> ItemsAndScores:
    """The best k allowed items of scores (m, n_items) in memory."""
    raise_if_nan(scores, kind)
    seen, available = seen_rows(histories, exclude=mask.seen), mask.available_or_all(scores.shape[1])
    best = kernels.empty_heaps(len(scores), k)
    if mask.candidates is None:
        kernels.select(scores, seen, available, best)
    else:
        kernels.select_among(scores, seen, available, rows_of(mask.candidates), best)
    return ItemsAndScores(best.item, best.score)


def raise_if_nan(scores: NDArray[np.float32], kind: str) -> None:
    """Raise `TrainingError` if scores, of the catalogue or of lists, contain NaN."""
    if np.isnan(scores).any():
        raise TrainingError(kind, "found NaN among its scores", "Lower its learning rate or raise its regularisation.")


def rows_of(matrix: csr_array | csc_array) -> kernels.Rows:
    """The columns of a CSR's rows, or the rows of a CSC's columns, in the types of compiled loops."""
    return kernels.Rows(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False))


def seen_rows(histories: Histories, *, exclude: bool) -> kernels.Rows:
    """The items of each history, ascending; empty rows unless they are excluded."""
    if not exclude:
        return kernels.Rows(np.zeros(len(histories) + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    return rows_of(histories.matrix)
