"""The most similar items of every item, without ever holding an (n, n) matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.kernel import parallel_kernel, prange
from matinee.topk.kernels import I64, Heaps, Rows, empty_heaps, offer, settle_all
from matinee.topk.rank import rows_of

F64 = NDArray[np.float64]
CHUNKS = 64


def nearest(matrix: csr_array, voting: F64, voted: F64, shrink: float, k: int) -> csr_array:
    """W (n, n) sparse with W_ij = G_ij / (voting_i · voted_j + shrink), the k largest i of every column j.

    G is the Gram matrix of `matrix` (m, n) 0/1; its diagonal is left out, ties go to the smaller code. Floor:
    Σ_u L_u² adds. A row of G lives in one buffer of n numbers a thread.
    """
    n = matrix.shape[1]
    rows, columns = rows_of(matrix), rows_of(csc_array(matrix))
    heaps = empty_heaps(n, min(k, n))
    order = np.argsort(-np.diff(columns.indptr), kind="stable")
    order = np.concatenate([order[hand::CHUNKS] for hand in range(CHUNKS)])
    _nearest(rows, columns, order, (voting, voted, float(shrink)), heaps)
    settle_all(heaps)
    there = heaps.item >= 0
    indptr = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(there.sum(axis=1), out=indptr[1:])
    W = csc_array((heaps.score[there], heaps.item[there], indptr), shape=(n, n)).tocsr()
    W.sort_indices()
    return W


@parallel_kernel
def _nearest(rows: Rows, columns: Rows, order: I64, rule: tuple[F64, F64, float], heaps: Heaps) -> None:
    voting, voted, shrink = rule
    n = len(order)
    for chunk in prange(CHUNKS):
        together = np.zeros(n, dtype=np.int32)
        touched = np.empty(n, dtype=np.int32)
        for o in range(chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS):
            j = order[o]
            size = 0
            for e in range(columns.indptr[j], columns.indptr[j + 1]):
                u = columns.item[e]
                for p in range(rows.indptr[u], rows.indptr[u + 1]):
                    i = rows.item[p]
                    if together[i] == 0:
                        touched[size] = i
                        size += 1
                    together[i] += 1
            for t in range(size):
                i = touched[t]
                if i != j:
                    similarity = np.float32(together[i] / (voting[i] * voted[j] + shrink))
                    offer(heaps.score[j], heaps.item[j], float(similarity), i)
                together[i] = 0
