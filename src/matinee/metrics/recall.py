"""Recall and hit: the fraction of a user's targets in the list; hits = Σ_{r≤k} h_r, n targets."""

from __future__ import annotations

import numpy as np

from matinee.metrics.values import Counts, Hits, MetricValues, Values, drop_empty_lists


def capped(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """Hits / min(k, n); every user can reach 1 (Liang et al. 2018; Kaggle's recall@k)."""
    return hits.sum(axis=1) / np.minimum(n_targets, hits.shape[1])


def plain(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """Hits / n; below 1 for users with more than k targets."""
    return hits.sum(axis=1) / n_targets


def plain_listed(hits: Hits, n_targets: Counts, length: Counts) -> MetricValues:
    """Hits / n, without users with an empty list."""
    return drop_empty_lists(plain(hits, n_targets, length), length)


def micro(hits: Hits, n_targets: Counts, length: Counts) -> MetricValues:
    """Σ hits / Σ min(k, n): micro average; users with many targets have more weight."""
    return MetricValues(capped(hits, n_targets, length), np.minimum(n_targets, hits.shape[1]).astype(np.float64))


def hit(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """1 if any of the k items is a target, else 0 (hit rate)."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)
