"""Scores of one list made comparable with those of another: (m, depth) scores, −inf where there is none, to values.

Each gives (values (m, depth), 0 where there is no item; missing (m,), what an item outside the list is worth).
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
    """(s − min) / (max − min) over the list, 1 where all are equal; an item outside is worth 0, like the last."""
    low = np.where(listed, score, np.inf).min(axis=1, initial=np.inf)
    high = np.where(listed, score, -np.inf).max(axis=1, initial=-np.inf)
    flat = ~(high > low)
    span = np.where(flat, 1.0, high - low)
    value = np.where(flat[:, None], 1.0, (score - np.where(np.isfinite(low), low, 0.0)[:, None]) / span[:, None])
    return value, np.zeros(len(score))


def z_score(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """(s − mean) / sd over the list, 0 where all are equal; an item outside is worth what the last one is."""
    n = np.maximum(listed.sum(axis=1), 1)
    mean = np.where(listed, score, 0.0).sum(axis=1) / n
    away = np.where(listed, score - mean[:, None], 0.0)
    sd = np.sqrt((away**2).sum(axis=1) / n)
    value = away / np.where(sd > 0, sd, 1.0)[:, None]
    return value, np.where(listed.any(axis=1), np.where(listed, value, np.inf).min(axis=1, initial=np.inf), 0.0)


def rank_norm(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """1 − (r − 1) / n for rank r of n; an item outside is worth 0."""
    n = np.maximum(listed.sum(axis=1), 1)
    return 1.0 - np.arange(score.shape[1]) / n[:, None], np.zeros(len(score))


def softmax_norm(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """exp(s) / Σ exp(s) over the list; an item outside is worth 0."""
    high = np.where(listed, score, -np.inf).max(axis=1, initial=-np.inf)
    raised = np.where(listed, np.exp(score - np.where(np.isfinite(high), high, 0.0)[:, None]), 0.0)
    return raised / np.maximum(raised.sum(axis=1, keepdims=True), 1e-300), np.zeros(len(score))


def sigmoid_norm(score: F64, listed: NDArray[np.bool_]) -> tuple[F64, F64]:
    """1 / (1 + exp(−s)); an item outside is worth what the last one is."""
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
    """The values of lists by one of `NORMS`, and what an item outside is worth; an empty list is worth 0 throughout."""
    there = item >= 0
    value, missing = NORMS[norm](np.where(there, score.astype(np.float64), 0.0), there)
    return np.where(there, value, 0.0), np.where(there.any(axis=1), missing, 0.0)
