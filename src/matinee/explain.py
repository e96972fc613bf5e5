"""Why an item is on a list: the parts of a person's history that carry its score, each with its share.

Linear models score a history item by item: s_j = Σ_i φ_i(x) W_ij. The parts φ_i W_ij add up to the score exactly, so
they are not a story told afterwards but the sum itself, taken apart.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.contract import FittedModel
from matinee.data import Histories
from matinee.errors import SpecError, UnsupportedError
from matinee.fitted import ItemItem, LowRank

F64 = NDArray[np.float64]


def explain(fitted: FittedModel, history: Histories, item: int) -> pl.DataFrame:
    """One row a part of the score of the item with code `item` for the one person in `history`, largest first.

    `item` and, for weights of pairs of items, `with` are raw ids, null in `with` for a single item, null in both for
    what a shifted model gives everybody; their titles where known; `contribution`, whose sum is the score; `share`,
    the contribution over the sum of all absolute ones. Parts that are zero are left out. An empty history, which is
    scored by popularity, gives no rows.

    Raises `CannotDo` for a model whose score is no sum over the history.
    """
    if not isinstance(history, Histories) or not isinstance(item, int | np.integer):  # pyright: ignore[reportUnnecessaryIsInstance]
        found = f"found {type(history).__name__} and {type(item).__name__}"
        raise SpecError("explain", found, "Histories and the code of an item", "Use items.encode([id])[0] of a raw id.")
    if fitted.items != history.items:
        raise SpecError("history", "its items are not those of the model", "one vocabulary for both")
    if len(history) != 1:
        raise SpecError("history", f"found {len(history)} rows", "one person", "Use histories.rows(r, r + 1).")
    if not 0 <= item < len(fitted.items):
        raise SpecError("item", f"found the code {item}", f"one of the {len(fitted.items):,} codes of the catalogue")
    part, value = _parts(fitted, history, item)
    order = np.lexsort((part, -value))
    order = order[value[order] != 0.0]
    part, value = part[order], value[order]
    first, second = _items(fitted, part)
    total = float(np.abs(value).sum()) or 1.0
    columns = {"item": fitted.items.decode(first), "with": fitted.items.decode(second)}
    if history.titles is not None:
        for name, code in (("title", first), ("title of with", second)):
            columns[name] = history.titles.gather(pl.Series(code).set(pl.Series(code < 0), None))
    columns |= {"contribution": pl.Series(value), "share": pl.Series(value / total)}
    return pl.DataFrame([column.alias(name) for name, column in columns.items()])


def _parts(fitted: FittedModel, history: Histories, item: int) -> tuple[NDArray[np.int32], F64]:
    """Rows of the weights that a history touches, and what each adds to the score of `item`."""
    if isinstance(fitted, ItemItem):
        asked = fitted.encode_query(history)
        part = asked.rows.item
        weight = _column(fitted.weights, part, item)
    elif isinstance(fitted, LowRank):
        asked = fitted.encode_query(history)
        part = asked.rows.item
        weight = fitted.left[part].astype(np.float64) @ fitted.right[:, item].astype(np.float64)
    else:
        todo = "Ask an item–item model, such as ease or item_knn."
        raise UnsupportedError(fitted.spec.kind, "take its score apart: it is no sum over the history", todo)
    value = asked.value.astype(np.float64) if len(asked.value) else np.ones(len(part))
    return part, value * weight


def _column(weights: NDArray[np.float32] | csr_array, rows: NDArray[np.int32], item: int) -> F64:
    own = weights[rows]
    column = own[:, [item]].toarray()[:, 0] if isinstance(own, csr_array) else own[:, item]
    return np.asarray(column, dtype=np.float64)


def _items(fitted: FittedModel, part: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The item of every part, and the other one where the part is a pair, else −1."""
    first, second = part.copy(), np.full(len(part), -1, dtype=np.int32)
    pairs = fitted.pairs if isinstance(fitted, ItemItem) else None
    if pairs is not None:
        pair = part >= len(fitted.items)
        which = part[pair] - len(fitted.items)
        first[pair], second[pair] = pairs[which, 0], pairs[which, 1]
    if isinstance(fitted, ItemItem | LowRank) and fitted.has_bias_row:
        first[part == (fitted.left if isinstance(fitted, LowRank) else fitted.weights).shape[0] - 1] = -1
    return first, second
