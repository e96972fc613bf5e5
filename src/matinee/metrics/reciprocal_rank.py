"""Reciprocal rank: 1 / rank of the first hit (Voorhees 1999); its mean over users is MRR."""

from __future__ import annotations

import numpy as np

from matinee.metrics.values import Counts, Hits, Values


def first_hit(hits: Hits, n_targets: Counts, length: Counts) -> Values:
    """1 / rank of the first hit among the k items; 0 without a hit."""
    return np.where(hits.any(axis=1), 1.0 / (hits.argmax(axis=1) + 1), 0.0)
