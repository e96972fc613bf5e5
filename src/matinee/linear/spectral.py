r"""The leading right singular vectors of a scaled 0/1 matrix R = D_u X D_i, by block Lanczos.

A block of random vectors is multiplied by A = R'R repeatedly, and every product is orthogonalized against all previous
ones; the basis Q spans the Krylov space, where A is the small matrix T = Q'AQ. Its eigenvectors S give the Ritz vectors
QS; their residuals ‖AQs − θQs‖ follow from the next block without another product. A block of 32 makes each step one
matrix product instead of 32 reads of A. Full orthogonalization, twice, is accurate enough in float32 without restarts
or locking.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from matinee.arrays import F32, F64, I32, I64
from matinee.kernel import parallel_kernel, prange
from matinee.linear.gram import check_summable
from matinee.linear.weighted_gram import weighted_gram
from matinee.topk.kernels import Rows
from matinee.topk.rank import rows_of

Apply: TypeAlias = Callable[[F32], F32]

SMALL = 512
"""Up to this number of columns, or for more than a quarter of all vectors, all eigenvectors are computed."""

DENSE_COST = 16
"""Cost of an entry of X in a product, in entries of a dense Gram matrix."""

BLOCK = 32
TOLERANCE = 1e-2
"""Residual relative to the eigenvalue at which a vector has converged."""

RANK_TOLERANCE = 1e-6
"""Eigenvalues below this fraction of the largest count as zero."""


def uses_gram(n_users: int, n_items: int, n_rows: int, k: int) -> bool:
    """Whether products use a dense (n_items, n_items) Gram matrix instead of the sparse matrix."""
    return _all_of_them(n_items, k) or n_items**2 <= DENSE_COST * n_rows


def svd_memory(n_users: int, n_items: int, n_rows: int, k: int, *, gram: bool = True) -> int:
    """Bytes at the peak of `top_singular_vectors`; without `gram`, beside an existing Gram matrix."""
    if _all_of_them(n_items, k):
        return (24 + 4 * gram) * n_items**2 + 36 * n_rows
    size = min(n_items, 8 * k + 8 * BLOCK)
    basis = 4 * n_items * (size + k + 8 * BLOCK) + 2 * 8 * size**2
    return (
        basis + (4 * gram * n_items**2 if uses_gram(n_users, n_items, n_rows, k) else 4 * BLOCK * n_users) + 36 * n_rows
    )


def top_singular_vectors(matrix: csr_array, user: F64, item: F64, k: int, rng: np.random.Generator) -> tuple[F64, F32]:
    """The k largest singular values, descending, and right singular vectors V (n, k).

    They are those of D_u X D_i, X (m, n) 0/1 CSR; `user` (m,) and `item` (n,) are the diagonals. Fewer are returned if
    the rank is smaller. The entry of largest magnitude of each vector is positive. Floor: about 3 k products with A, 2
    n² operations each with a dense Gram matrix.
    """
    n = matrix.shape[1]
    if uses_gram(*matrix.shape, matrix.nnz, k):
        return top_eigenvectors(weighted_gram(matrix, user**2, item), k, rng)
    return _lanczos(_products(matrix, user, item), n, k, rng)


def top_eigenvectors(A: F32, k: int, rng: np.random.Generator) -> tuple[F64, F32]:
    """Singular values and vectors from the Gram matrix A (n, n)."""
    n = len(A)
    if _all_of_them(n, k):
        values, vectors = np.linalg.eigh(A.astype(np.float64))
        return _fix_signs(values[::-1][:k], vectors[:, ::-1][:, :k])
    return _lanczos(lambda block: cast(F32, A @ block), n, k, rng)


def _all_of_them(n: int, k: int) -> bool:
    return n <= SMALL or 4 * k >= n


def _lanczos(apply: Apply, n: int, k: int, rng: np.random.Generator) -> tuple[F64, F32]:
    Q = np.empty((n, min(n, 8 * k + 8 * BLOCK)), dtype=np.float32, order="F")
    T = np.zeros((Q.shape[1] + BLOCK, Q.shape[1]))
    block = _orthonormal(rng.standard_normal((n, BLOCK), dtype=np.float32), Q[:, :0])[0]
    size, values, S = 0, np.zeros(0), np.zeros((0, 0))
    while size + BLOCK <= Q.shape[1]:
        Q[:, size : size + BLOCK] = block
        size += BLOCK
        product = apply(block)
        known = Q[:, :size]
        coefficients = known.T @ product
        block, below = _orthonormal(cast(F32, product - known @ coefficients), known)
        T[:size, size - BLOCK : size] = coefficients
        if size >= 2 * k and (size // BLOCK) % 2 == 0:
            values, S = _ritz(T[:size, :size], k)
            residual = np.linalg.norm(below @ S[-BLOCK:], axis=0)
            if (residual <= TOLERANCE * np.maximum(values, RANK_TOLERANCE * values[0])).all():
                break
    values, S = _ritz(T[:size, :size], k)
    return _fix_signs(values, Q[:, :size] @ S.astype(np.float32))


def _orthonormal(block: F32, known: F32) -> tuple[F32, F64]:
    """Orthonormal basis of `block`, orthogonal to `known` (n, size), and the factor F: block = basis F + known (…).

    Uses the eigenvectors of block'block, three times with two small products each; a Householder QR makes hundreds of
    small synchronized calls, which are slow on a busy machine.
    """
    factor: F64 = np.eye(block.shape[1])
    for _ in range(3):
        block = cast(F32, block - known @ (known.T @ block))
        wide: F64 = block.astype(np.float64)
        values, Z = np.linalg.eigh(wide.T @ wide)
        root = np.sqrt(np.maximum(values, max(1e-14 * values[-1], 1e-60)))
        block = (wide @ (Z / root)).astype(np.float32)
        factor = (root[:, None] * Z.T) @ factor
    return block, factor


def _ritz(T: F64, k: int) -> tuple[F64, F64]:
    """The k largest eigenvalues of the upper triangle of T, descending, and their eigenvectors."""
    values, S = np.linalg.eigh(T, UPLO="U")
    return values[::-1][:k], S[:, ::-1][:, :k]


def _fix_signs(values: F64, vectors: NDArray[np.floating]) -> tuple[F64, F32]:
    """Non-zero singular values and their vectors, each with its largest entry positive."""
    kept = values > RANK_TOLERANCE * max(float(values[0]), 1e-30)
    values, V = values[kept], vectors[:, kept].astype(np.float64)
    sign = np.sign(V[np.abs(V).argmax(axis=0), np.arange(V.shape[1])])
    return np.sqrt(values), np.ascontiguousarray(V * sign, dtype=np.float32)


def _products(matrix: csr_array, user: F64, item: F64) -> Apply:
    """The product with A = D_i X' D_u² X D_i with sparse X: 2 nnz adds per vector, in single precision."""
    rows, columns = rows_of(matrix), rows_of(csc_array(matrix))
    check_summable("singular vectors", int(np.diff(columns.indptr).max(initial=0)))
    square, scale = (user**2).astype(np.float32)[:, None], item.astype(np.float32)[:, None]

    def apply(block: F32) -> F32:
        inner = _gather(rows, np.ascontiguousarray(block * scale))
        return _gather(columns, inner * square) * scale

    return apply


def _gather(rows: Rows, dense: F32) -> F32:
    out = np.zeros((len(rows.indptr) - 1, dense.shape[1]), dtype=np.float32)
    _add_rows(rows.indptr, rows.item, dense, out)
    return out


@parallel_kernel
def _add_rows(indptr: I64, item: I32, dense: F32, out: F32) -> None:
    """out[r] = sum of the rows of `dense` (n, b) listed in row r."""
    for r in prange(len(out)):
        total = out[r]
        for p in range(indptr[r], indptr[r + 1]):
            own = dense[item[p]]
            for c in range(len(total)):
                total[c] += own[c]
