"""Normalized discounted cumulative gain of 0/1 relevance (Järvelin & Kekäläinen 2002).

DCG = Σ_{r≤k} h_r / log2(r + 1), divided by the DCG of an ideal list. Libraries differ in the ideal list.
"""

from __future__ import annotations

import numpy as np

from matinee.metrics.values import Counts, Hits, Values


def discounts(k: int) -> Values:
    """1 / log2(r + 1) for the ranks r = 1..k."""
    return 1.0 / np.log2(np.arange(2, k + 2))


def gain(hits: Hits) -> Values:
    """DCG of every list, (m,)."""
    return np.where(hits, discounts(hits.shape[1]), 0.0).sum(axis=1)


def ideal(k: int, length: Counts) -> Values:
    """DCG of a list of `length` targets (at most k, at least one)."""
    return np.cumsum(discounts(k))[np.clip(length, 1, k) - 1]


def ideal_truncated(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """DCG / ideal of min(k, n) targets; every user can reach 1."""
    return gain(hits) / ideal(hits.shape[1], n_targets)


def ideal_full(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """DCG / ideal of k targets; below 1 for users with fewer than k targets."""
    return gain(hits) / discounts(hits.shape[1]).sum()


def of_length(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """DCG / ideal of min(n, items in the list); a short list is not penalized."""
    return gain(hits) / ideal(hits.shape[1], np.minimum(n_targets, length))


def jarvelin_2002(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """NDCG with discount 1 / log2(max(r, 2)), as in the original paper.

    The ideal list has min(k, n) targets.
    """
    worth = 1.0 / np.log2(np.maximum(np.arange(1, hits.shape[1] + 1), 2))
    best = np.cumsum(worth)[np.minimum(n_targets, hits.shape[1]) - 1]
    return np.where(hits, worth, 0.0).sum(axis=1) / best
