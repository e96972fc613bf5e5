"""Metrics of all lists together: one number, no value per user, hence no interval.

A formula reads `exposure` (n_items,), the number of lists that contain each item among their first k, and
`popularity` (n_items,), the number of users of each item in the training set (empty if not given).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Catalogue: TypeAlias = Callable[[NDArray[np.int64], NDArray[np.float64]], float]


def coverage(exposure: NDArray[np.int64], popularity: NDArray[np.float64]) -> float:
    """Fraction of the catalogue that occurs in at least one list."""
    return float((exposure > 0).mean())


def gini(exposure: NDArray[np.int64], popularity: NDArray[np.float64]) -> float:
    """Gini index of the exposure of all items, from 0 (equal) to 1 (concentrated).

    Σ_j (2j − I − 1) c_(j) / (I Σ c) with c ascending, j = 1..I; items with no exposure count; NaN if no item is listed.
    """
    c = np.sort(exposure).astype(np.float64)
    n = len(c)
    total = c.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ c / (n * total)) if total else float("nan")


def mean_popularity(exposure: NDArray[np.int64], popularity: NDArray[np.float64]) -> float:
    """Average popularity of the recommended items (ARP; Yin et al. 2012)."""
    total = exposure.sum()
    return float(exposure @ popularity / total) if total else float("nan")


LIST_METRICS: Mapping[str, Catalogue] = MappingProxyType(
    {"coverage": coverage, "gini": gini, "popularity": mean_popularity}
)
"""Name → formula; shared by all profiles."""

NEEDS_POPULARITY = frozenset({"popularity"})


def count_exposure(item: NDArray[np.int32], k: int, n_items: int) -> NDArray[np.int64]:
    """Number of lists (m, ≥k) that contain each item among their first k, (n_items,)."""
    first = item[:, :k].ravel()
    return np.bincount(first[first >= 0], minlength=n_items).astype(np.int64)
