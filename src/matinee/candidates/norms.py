"""Normalization of list scores, so that scores of different models can be added.

Each function maps `score` (m, depth) to the values (m, depth) of the listed items and the value (m,) of an item outside
the list. `listed` (m, depth) is true where a list has an item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]
Norm: TypeAlias = Literal["min_max", "z_score", "rank", "softmax", "sigmoid"]


def min_max(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """Scores scaled to 0 … 1 by the range of the list.

    (s − min) / (max − min); 1 if all scores are equal. An item outside the list has value 0, like the last item.
    """
    low = np.where(listed, score, np.inf).min(axis=1, initial=np.inf)
    high = np.where(listed, score, -np.inf).max(axis=1, initial=-np.inf)
    flat = ~(high > low)
    span = np.where(flat, 1.0, high - low)
    value = np.where(flat[:, None], 1.0, (score - np.where(np.isfinite(low), low, 0.0)[:, None]) / span[:, None])
    return value, np.zeros(len(score))


def z_score(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """(s − mean) / sd over the list; 0 if all scores are equal.

    An item outside the list has the value of the last item.
    """
    n = np.maximum(listed.sum(axis=1), 1)
    mean = np.where(listed, score, 0.0).sum(axis=1) / n
    away = np.where(listed, score - mean[:, None], 0.0)
    sd = np.sqrt((away**2).sum(axis=1) / n)
    value = away / np.where(sd > 0, sd, 1.0)[:, None]
    return value, np.where(listed.any(axis=1), np.where(listed, value, np.inf).min(axis=1, initial=np.inf), 0.0)


def rank_norm(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """Linear value of the rank r of n: 1 − (r − 1) / n.

    An item outside the list has value 0.
    """
    n = np.maximum(listed.sum(axis=1), 1)
    return 1.0 - np.arange(score.shape[1]) / n[:, None], np.zeros(len(score))


def softmax_norm(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """exp(s) / Σ exp(s) over the list; 0 outside the list."""
    high = np.where(listed, score, -np.inf).max(axis=1, initial=-np.inf)
    raised = np.where(listed, np.exp(score - np.where(np.isfinite(high), high, 0.0)[:, None]), 0.0)
    return raised / np.maximum(raised.sum(axis=1, keepdims=True), 1e-300), np.zeros(len(score))


def sigmoid_norm(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """1 / (1 + exp(−s)); outside the list the value of the last item."""
    value = 1.0 / (1.0 + np.exp(-np.clip(np.where(listed, score, 0.0), -500, 500)))
    return value, np.where(listed.any(axis=1), np.where(listed, value, np.inf).min(axis=1, initial=np.inf), 0.0)


NORMS: Mapping[str, Callable[[F64, NDArray[np.bool_]], tuple[F64, F64]]] = MappingProxyType(
    {
        "min_max": min_max,
        "z_score": z_score,
        "rank": rank_norm,
        "softmax": softmax_norm,
        "sigmoid": sigmoid_norm,
    }
)


def normalized(item: NDArray[np.int32], score: F32, norm: str) -> tuple[F64, F64]:
    """Values (m, depth) of lists by one of `NORMS`, and of items outside (m,).

    Empty places and empty lists have value 0.
    """
    listed = item >= 0
    value, missing = NORMS[norm](np.where(listed, score.astype(np.float64), 0.0), listed)
    return np.where(listed, value, 0.0), np.where(listed.any(axis=1), missing, 0.0)
