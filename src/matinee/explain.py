"""Explanations of recommendations: the parts of a score and the items of the history they belong to.

Linear models score a history item by item: s_j = Σ_i φ_i(x) W_ij. The parts φ_i W_ij add up to the score exactly.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from matinee.contract import FittedModel
from matinee.data import Histories
from matinee.errors import SpecError, UnsupportedError
from matinee.fitted import HasContributions


def explain(fitted: FittedModel, history: Histories, item: int) -> pl.DataFrame:
    """One row for each part of the score of `item`, a code, largest first.

    `history` has one row. Columns: `item` and, for weights of pairs of items, `with` are raw ids; `with` is null for a
    single item, both are null for a bias; titles where known; `contribution`, with the score as its sum; `share`,
    the contribution divided by the sum of all absolute ones. Parts that are zero are left out. A cold history, which is
    scored by popularity, gives no rows.

    Raises `UnsupportedError` if the model's score is no sum over the history.
    """
    if not isinstance(history, Histories) or not isinstance(item, int | np.integer):  # pyright: ignore[reportUnnecessaryIsInstance]
        found = f"found {type(history).__name__} and {type(item).__name__}"
        raise SpecError("explain", found, "Histories and the code of an item", "Use items.encode([id])[0] of a raw id.")
    if fitted.items != history.items:
        raise SpecError("history", "its items are not those of the model", "one vocabulary for both")
    if len(history) != 1:
        raise SpecError("history", f"found {len(history)} rows", "one row", "Use histories.rows(r, r + 1).")
    if not 0 <= item < len(fitted.items):
        raise SpecError("item", f"found the code {item}", f"one of the {len(fitted.items):,} codes of the catalogue")
    if not isinstance(fitted, HasContributions):
        todo = "Use an item–item model, such as ease or item_knn."
        raise UnsupportedError(fitted.spec.kind, "explain a score: it is no sum over the history", todo)
    parts, value = fitted.contributions(history, int(item))
    order = np.lexsort((parts.with_item, parts.item, -value))
    order = order[value[order] != 0.0]
    first, second, value = parts.item[order], parts.with_item[order], value[order]
    total = float(np.abs(value).sum()) or 1.0
    columns = {"item": fitted.items.decode(first), "with": fitted.items.decode(second)}
    if history.titles is not None:
        for name, code in (("title", first), ("title of with", second)):
            columns[name] = history.titles.gather(pl.Series(code).set(pl.Series(code < 0), None))
    columns |= {"contribution": pl.Series(value), "share": pl.Series(value / total)}
    return pl.DataFrame([column.alias(name) for name, column in columns.items()])
