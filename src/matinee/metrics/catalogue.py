"""Metrics of all lists together: one number, no value for a single person, hence no interval.

A formula takes `taken` (n_items,), how many lists hold each item among their first k, and `popularity` (n_items,),
how many people took each item in the learn part (empty where not given).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Catalogue: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.float64]], float]


def coverage(taken: NDArray[np.int64], popularity: NDArray[np.float64]) -> float:
    """Share of the catalogue that stands in at least one list."""
    return float((taken > 0).mean())


def gini(taken: NDArray[np.int64], popularity: NDArray[np.float64]) -> float:
    """Inequality of how often items are listed: 0 all equally, towards 1 a few only; items never listed count.

    Σ_j (2j − I − 1) c_(j) / (I Σ c) with c ascending, j = 1..I; NaN where nothing is listed.
    """
    c = np.sort(taken).astype(np.float64)
    n = len(c)
    total = c.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ c / (n * total)) if total else float("nan")


def mean_popularity(taken: NDArray[np.int64], popularity: NDArray[np.float64]) -> float:
    """How many people, on average over all recommendations made, took the item already (Yin et al. 2012, ARP)."""
    total = taken.sum()
    return float(taken @ popularity / total) if total else float("nan")


CATALOGUE: Mapping[str, Catalogue] = MappingProxyType(
    {"coverage": coverage, "gini": gini, "popularity": mean_popularity}
)
"""Name → formula; every profile shares them."""

NEEDS_POPULARITY = frozenset({"popularity"})


def count_taken(item: NDArray[np.int32], k: int, n_items: int) -> NDArray[np.int64]:
    """How many of the lists (m, ≥k) hold each item among their first k, (n_items,)."""
    first = item[:, :k].ravel()
    return np.bincount(first[first >= 0], minlength=n_items).astype(np.int64)
