"""Average precision, AP = Σ_{r≤k} h_r · precision@r over the number of possible hits.

Libraries differ in that denominator; each function below is one of them.
"""

from __future__ import annotations

import numpy as np

from matinee.metrics.column import Column, Counts, Hits, Values, lasting, over


def total(hits: Hits) -> Values:
    """Σ_{r≤k} h_r · (hits among the first r) / r, (m,)."""
    rank = np.arange(1, hits.shape[1] + 1)
    return np.where(hits, np.cumsum(hits, axis=1) / rank, 0.0).sum(axis=1)


def capped(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """AP / min(k, n); every user can reach 1."""
    return over(total(hits), np.minimum(n_targets, hits.shape[1]))


def plain(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """AP / n (TREC); below 1 for users with more than k targets."""
    return over(total(hits), n_targets)


def capped_listed(hits: Hits, n_targets: Counts, length: Counts) -> Column:
    """AP / min(k, n), without users whose list is empty."""
    return lasting(capped(hits, n_targets, length), length)


def of_length(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """AP / min(n, items in the list); 0 for an empty list."""
    return over(total(hits), np.minimum(n_targets, length))
