"""Precision: how much of the list a person took."""

from __future__ import annotations

from matinee.metrics.column import Column, Counts, Hits, Values, lasting, over


def fixed(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """The share hits / k, however short the list is."""
    return hits.sum(axis=1) / hits.shape[1]


def of_length(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """The share hits / number of items in the list; 0 for an empty list."""
    return over(hits.sum(axis=1), length)


def fixed_listed(hits: Hits, n_answers: Counts, length: Counts) -> Column:
    """The share hits / k; people without a list left out."""
    return lasting(fixed(hits, n_answers, length), length)
