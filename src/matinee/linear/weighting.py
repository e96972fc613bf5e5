"""Interaction weights before similarity: items are documents, users are terms (tf-idf, BM25).

    x_ui = a_u b_i        tfidf: a_u = log(1 + n / L_u), b_i = 1
                          bm25: a_u likewise, b_i = (k1 + 1) / (1 + k1 (1 − b + b n_i / mean n))

L_u is the number of items of user u, n_i the number of users of item i, n the number of items. Since x is 0 or 1, every
weight is a product: a reduces the influence of heavy users on similarities, b the contribution of popular items. For
similarities of users pass the transposed matrix: then items are the terms.

Robertson et al., Okapi at TREC-3, 1994; for item neighbours: Dacrema et al., RecSys 2019, where idf has no "1 +" and
can be 0 or negative.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from scipy.sparse import csr_array

from matinee.arrays import F64

Weighting: TypeAlias = Literal["none", "tfidf", "bm25"]


def idf_weights(name: Weighting, matrix: csr_array) -> F64:
    """a² (m,) of the rows of `matrix` (m, n), with mean 1 over its entries."""
    length = np.diff(matrix.indptr).astype(np.float64)
    if name == "none":
        return np.ones(len(length))
    square = np.log1p(matrix.shape[1] / np.maximum(length, 1.0)) ** 2
    return square * (length.sum() / max(float(square @ length), 1e-30))


def bm25_length_norm(name: Weighting, count: F64, k1: float, b: float) -> F64:
    """Factors b (n,) of columns with `count` (n,) users."""
    if name != "bm25":
        return np.ones(len(count))
    return (k1 + 1.0) / (1.0 + k1 * (1.0 - b + b * count / max(float(count.mean()), 1e-30)))
