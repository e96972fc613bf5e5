"""Average precision, AP = Σ_{r≤k} h_r · precision@r over the number of possible hits.

Libraries differ in that denominator; each function below is one of them.
"""

from __future__ import annotations

import numpy as np

from matinee.metrics.values import Counts, Hits, MetricValues, Values, drop_empty_lists, safe_divide


def total(hits: Hits) -> Values:
    """Σ_{r≤k} h_r · (hits among the first r) / r, (m,)."""
    rank = np.arange(1, hits.shape[1] + 1)
    return np.where(hits, np.cumsum(hits, axis=1) / rank, 0.0).sum(axis=1)


def capped(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """AP / min(k, n); every user can reach 1."""
    return safe_divide(total(hits), np.minimum(n_targets, hits.shape[1]))


def plain(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """AP / n (TREC); below 1 for users with more than k targets."""
    return safe_divide(total(hits), n_targets)


def capped_listed(hits: Hits, n_targets: Counts, length: Counts) -> MetricValues:
    """AP / min(k, n), without users with an empty list."""
    return drop_empty_lists(capped(hits, n_targets, length), length)


def of_length(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """AP / min(n, items in the list); 0 for an empty list."""
    return safe_divide(total(hits), np.minimum(n_targets, length))
