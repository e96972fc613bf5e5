"""Average precision: AP = Σ_{r≤k} h_r · precision@r, divided by how many hits were possible. Libraries differ there."""

from __future__ import annotations

import numpy as np

from matinee.metrics.column import Column, Counts, Hits, Values, lasting, over


def total(hits: Hits) -> Values:
    """Σ_{r≤k} h_r · (hits among the first r) / r, (m,)."""
    rank = np.arange(1, hits.shape[1] + 1)
    return np.where(hits, np.cumsum(hits, axis=1) / rank, 0.0).sum(axis=1)


def capped(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """AP / min(k, n): 1 is reachable for everybody."""
    return over(total(hits), np.minimum(n_answers, hits.shape[1]))


def plain(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """AP / n (TREC): below 1 for people with more than k answers."""
    return over(total(hits), n_answers)


def capped_listed(hits: Hits, n_answers: Counts, length: Counts) -> Column:
    """AP / min(k, n), people without a list left out."""
    return lasting(capped(hits, n_answers, length), length)


def of_length(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """AP / min(n, items in the list); 0 for an empty list."""
    return over(total(hits), np.minimum(n_answers, length))
