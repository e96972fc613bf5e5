"""In-place inverse of a symmetric positive definite matrix."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from matinee.arrays import F32
from matinee.errors import SingularMatrix
from matinee.linear.gram import mirror

LAPACK_LIMIT = 20_000
"""Above this number of rows Gauss–Jordan is used: SciPy's `spotrf` crashes at 40,981."""

BLOCK = 2048


def invert_memory(n: int) -> int:
    """Bytes at the peak of `invert` with its matrix (n, n); Gauss–Jordan needs two strips."""
    return 4 * n * n + (4 * 2 * BLOCK * n if n > LAPACK_LIMIT else 0)


def invert(A: F32) -> F32:
    """A⁻¹ (n, n) of a symmetric positive definite A in C order, in place.

    Only the upper triangle is read. n³ floating-point operations: Cholesky factor n³/3, inverse from it 2n³/3; an LU
    inverse takes 2n³. Raises `SingularMatrix` where A is not positive definite in float32.
    """
    if len(A) > LAPACK_LIMIT:
        return gauss_jordan(A)
    lower = A.T  # the upper triangle in C order is the lower one in LAPACK's Fortran order
    factor, info = lapack.spotrf(lower, lower=1, clean=0, overwrite_a=1)
    _check_info(info)
    inverse, info = lapack.spotri(factor, lower=1, overwrite_c=1)
    _check_info(info)
    out = inverse.T
    mirror(out)
    return out


def gauss_jordan(A: F32, block: int = BLOCK) -> F32:
    """Inverse by Gauss–Jordan elimination of diagonal blocks: n³ operations, all in GEMM.

    For block K: D = A_KK⁻¹ (float64), C = A_:K without rows K, W = C D; then A −= W C' off K, A_:K ← W, A_KK ← −D.
    After the last block A has −A⁻¹ in its lower triangle. Memory beside A: about 2 n·block·4 bytes.
    """
    n = len(A)
    mirror(A)
    for low in range(0, n, block):
        high = min(n, low + block)
        D = _small_inverse(A[low:high, low:high])
        C = np.empty((n, high - low), dtype=np.float32)
        C[:low] = A[low:high, :low].T  # above the block only the lower triangle is current
        C[low:high] = 0.0
        C[high:] = A[high:, low:high]
        W = C @ D
        for top in range(0, n, block):
            if top == low:
                continue
            end = min(n, top + block)
            A[top:end, :end] -= W[top:end] @ C[:end].T
        A[low:high, :low] = W[:low].T
        A[high:, low:high] = W[high:]
        A[low:high, low:high] = -D
    np.negative(A, out=A)
    _mirror_up(A)
    return A


def _small_inverse(A: F32) -> F32:
    factor, info = lapack.dpotrf(A.astype(np.float64), lower=1)
    _check_info(info)
    inverse, info = lapack.dpotri(factor, lower=1)
    _check_info(info)
    return (np.tril(inverse) + np.tril(inverse, -1).T).astype(np.float32)


def _mirror_up(A: F32) -> None:
    mirror(A.T)


def _check_info(info: int) -> None:
    if info != 0:
        raise SingularMatrix(info)
