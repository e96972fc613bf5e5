"""Precision: the fraction of listed items that are targets."""

from __future__ import annotations

from matinee.metrics.values import Counts, Hits, MetricValues, Values, drop_empty_lists, safe_divide


def fixed(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """Hits / k, for short lists too."""
    return hits.sum(axis=1) / hits.shape[1]


def of_length(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """Hits / number of items in the list; 0 for an empty list."""
    return safe_divide(hits.sum(axis=1), length)


def fixed_listed(hits: Hits, n_targets: Counts, length: Counts) -> MetricValues:
    """Hits / k, without users with an empty list."""
    return drop_empty_lists(fixed(hits, n_targets, length), length)
