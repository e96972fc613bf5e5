"""Recall and hit: how much of what a person took stands in the list. hits = Σ_{r≤k} h_r, n = number of answers."""

from __future__ import annotations

import numpy as np

from matinee.metrics.column import Column, Counts, Hits, Values, lasting


def capped(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """The share hits / min(k, n): 1 is reachable for everybody (Liang et al. 2018; Kaggle's recall@k)."""
    return hits.sum(axis=1) / np.minimum(n_answers, hits.shape[1])


def plain(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """The share hits / n of all answers; below 1 for people with more than k answers."""
    return hits.sum(axis=1) / n_answers


def plain_listed(hits: Hits, n_answers: Counts, length: Counts) -> Column:
    """The share hits / n, people without a list left out."""
    return lasting(plain(hits, n_answers, length), length)


def micro(hits: Hits, n_answers: Counts, length: Counts) -> Column:
    """Σ hits / Σ min(k, n): the capped recall of all people pooled, so people with many answers weigh more."""
    return Column(capped(hits, n_answers, length), np.minimum(n_answers, hits.shape[1]).astype(np.float64))


def hit(hits: Hits, n_answers: Counts, length: Counts) -> Values:
    """1 if any of the k items is an answer, else 0 (hit rate)."""
    return np.asarray(hits.any(axis=1), dtype=np.float64)
