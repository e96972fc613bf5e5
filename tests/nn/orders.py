"""A training set in the order of its own codes, for networks that a test builds itself."""

from __future__ import annotations

import numpy as np

from matinee.data import Interactions
from matinee.data.canonical import CanonicalData, CanonicalOrder


def in_own_order(data: Interactions) -> CanonicalData:
    """The training set with all users and items at their codes."""
    return CanonicalData(data, CanonicalOrder(np.arange(data.n_users), np.arange(data.n_items), data.n_users))
