"""From a fitted model and histories to ranked lists, a block of people at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.contract import FittedModel, Mask
from matinee.data import Histories, Interactions
from matinee.errors import SpecError, TrainingError
from matinee.observer import SILENT, Observer
from matinee.spec import Spec
from matinee.topk import kernels
from matinee.topk.lists import TopK

EXCLUDE_SEEN = Mask()
"""Seen items are barred, nothing else."""

BLOCK_BYTES = 256_000_000
"""Scores held at once on the path that materialises them."""


def recommend(
    fitted: FittedModel,
    histories: Histories | Interactions,
    k: int = 10,
    mask: Mask = EXCLUDE_SEEN,
    observer: Observer = SILENT,
) -> TopK:
    """The best k items for every row of `histories`; a whole log asks for every user of it.

    A user with fewer than k allowed items gets a short list, never a barred item. No (users × items) matrix is
    held: shapes with a fused path score, mask and choose in one pass, the others go by blocks of users.

    Raises `SpecError` if k is larger than the catalogue or the mask does not fit, `ModelFailed` if scores are
    not finite.
    """
    _refuse_wrong_types(fitted, histories, mask)
    if not isinstance(histories, Histories):
        histories = histories.histories()
    n_items = len(fitted.items)
    if not 1 <= k <= n_items:
        raise SpecError("k", f"found {k}", f"at least 1 and at most the {n_items:,} items of the catalogue")
    if fitted.items != histories.items:
        raise SpecError("histories", "their items are not those of the model", "one vocabulary for both")
    mask.check(len(histories), n_items)
    m, block = len(histories), max(1, BLOCK_BYTES // (4 * max(n_items, 1)))
    item, score = np.empty((m, k), dtype=np.int32), np.empty((m, k), dtype=np.float32)
    if fitted.fused and mask.candidates is None:
        block = max(1, m)
    with observer.progress(f"lists of {fitted.spec.kind}", m) as advance:
        for start in range(0, m, block):
            stop = min(m, start + block)
            part = histories.rows(start, stop)
            item[start:stop], score[start:stop] = fitted.top(part, k, mask.slice(start, stop))
            advance(stop - start)
    return TopK(histories.user, item, score, histories.users, histories.items, histories.titles)


def _refuse_wrong_types(fitted: object, histories: object, mask: object) -> None:
    """Raise `SpecError` for what is no trained model, no histories or no mask."""
    if isinstance(fitted, Spec) or not hasattr(fitted, "top"):
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


def top_k_of_scores(
    scores: NDArray[np.float32], histories: Histories, k: int, mask: Mask, kind: str
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The best k allowed items of scores (m, n_items) that stand in memory: the path of any model."""
    raise_if_nan(scores, kind)
    barred, allowed = seen_rows(histories, bar=mask.seen), mask.available_or_all(scores.shape[1])
    best = kernels.empty_heaps(len(scores), k)
    if mask.candidates is None:
        kernels.select(scores, barred, allowed, best)
    else:
        kernels.select_among(scores, barred, allowed, rows_of(mask.candidates), best)
    return best.item, best.score


def raise_if_nan(scores: NDArray[np.float32], kind: str) -> None:
    """Raise `ModelFailed` if there is NaN among scores, or among those of lists."""
    if np.isnan(scores).any():
        raise TrainingError(kind, "found NaN among its scores", "Lower its learning rate or raise its regularisation.")


def rows_of(matrix: csr_array | csc_array) -> kernels.Rows:
    """The columns of a CSR's rows, or the rows of a CSC's columns, in the types compiled loops take."""
    return kernels.Rows(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False))


def seen_rows(histories: Histories, *, bar: bool) -> kernels.Rows:
    """What each row has taken, ascending; empty rows when nothing is barred."""
    if not bar:
        return kernels.Rows(np.zeros(len(histories) + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
    return rows_of(histories.matrix)
