r"""ADMM-SLIM: a sparse item–item model, all columns at once by the alternating direction method of multipliers.

    minimise  ½‖X − XB‖² + ½ Σ_i γ_i ‖B_i:‖² + l1 ‖B‖₁   with a zero diagonal, B ≥ 0 if wished          (eq. 2–4)

    P = (G + diagM(γ) + ρ I)⁻¹,    γ_i = l2 · (n_i / n̄)^alpha,    ρ = rho · Σ n_i² / Σ n_i
    B ← ρPV − P · diagM((1 + ρ (PV)_jj) / P_jj) off the diagonal, 0 on it,    V = C − U                  (eq. 11)
    W ← r B + (1 − r) C + U,    C ← soft(W, l1 / ρ),    U ← W − C                                        (eq. 12, 13)

G (n, n) = X'X, n_i how many took item i, n̄ its mean, U the multipliers over ρ, r the over-relaxation. C is kept: its
zeros are zeros. The score of item j for history x is (xC)_j; `centre` learns from X − 1m', m (n,) the column means,
and scores (x − m)C + m. It stops where ‖B − C‖ and ‖C − C before‖ are `tolerance` of ‖C‖ and of ‖U‖. Cost: n³
operations, and 2 n³ a step in one matrix product; 16 n² bytes for P, V, PV and W, of which C and U are read off.

Steck, Dimakopoulou, Riabov and Jebara, ADMM SLIM: Sparse Recommendations for Many Users, WSDM 2020.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array, vstack

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.kernel import kernel, parallel_kernel, prange
from matinee.linear.gram import gram
from matinee.linear.ridge import relative
from matinee.linear.spd import invert, invert_memory
from matinee.spec import Search

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]

RELAX = 1.7
"""Over-relaxation r: between 1.5 and 1.8 ADMM wants a third fewer steps than with 1."""


class ADMMSlim(ModelSpec):
    """SLIM without a loop over items: sparse, explainable, and as good as EASE."""

    if_too_large: ClassVar[str] = "Use item_knn, whose memory grows with the interactions, or a k-core."

    l1: Annotated[float, Field(ge=0), Search(0.1, 100, log=True)] = 5.0
    """What a weight has to be worth: the larger, the fewer are not zero."""

    l2: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 300.0
    """Ridge penalty. Small fits rare pairs, large leans to popular items."""

    alpha: Annotated[float, Field(ge=0, le=1), Search(0, 1)] = 0.0
    """How much more the weights of popular items are penalised: l2 is multiplied by (people / mean people)^alpha."""

    non_negative: bool = False
    """Whether items may only speak for others, never against them."""

    centre: bool = False
    """Whether the popularity of every item is taken out before learning and put back into the scores."""

    rho: Annotated[float, Field(gt=0), Search(0.1, 30, log=True)] = 1.0
    """How hard the sparse and the ridge solution are pulled together: the speed, not the end; non_negative wants 3."""

    tolerance: Annotated[float, Field(gt=0, lt=1), Search(1e-4, 1e-1, log=True)] = 0.01
    """Relative distance between the two solutions, and between two steps, at which it stops."""

    steps: Annotated[int, Field(ge=1), Search(5, 100, log=True)] = 50
    """Steps after which it stops anyway."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """Gram matrix, one inverse, then a matrix product a step."""
        ctx.admit(self, data)
        P = gram(data.matrix)
        diagonal = np.diag_indices_from(P)
        count = P[diagonal]
        mean = (count / max(data.n_users, 1)).astype(np.float32)
        if self.centre:
            for i in range(len(P)):
                P[i] -= count[i] * mean
        rho = self.rho * float((count**2).sum() / max(count.sum(), 1.0))
        P[diagonal] += (self.l2 * relative(count, self.alpha) + rho).astype(np.float32)
        C = self._solve(invert(P), Rule(self.l1 / rho, rho, RELAX, self.non_negative), ctx)
        kept = csr_array(C) if np.count_nonzero(C) < C.size // 4 else C
        if not self.centre:
            return ItemItem(self, data.items, kept, count)
        shift = (mean - mean @ C)[None, :].astype(np.float32)
        if isinstance(kept, csr_array):
            return ItemItem(self, data.items, csr_array(vstack([kept, csr_array(shift)])), count, shifted=True)
        return ItemItem(self, data.items, np.concatenate([kept, shift]), count, shifted=True)

    def _solve(self, P: F32, rule: Rule, ctx: Context) -> F32:
        """C (n, n), from the ridge solution on."""
        scale = 1.0 / P.diagonal().astype(np.float64)
        W = -P * scale.astype(np.float32)
        np.fill_diagonal(W, 0.0)
        V, PV = np.empty_like(W), np.empty_like(W)
        _shrink(W, V, rule.threshold, rule.positive, 2.0)
        with ctx.progress("admm_slim", self.steps) as advance:
            for _ in range(self.steps):
                np.matmul(P, V, out=PV)
                q = ((1.0 + rule.rho * PV.diagonal().astype(np.float64)) * scale).astype(np.float32)
                apart, moved, size, pull = np.sqrt(_step((P, PV, q), W, V, rule).sum(axis=0))
                advance(1)
                if apart <= self.tolerance * max(size, 1e-30) and moved <= self.tolerance * max(pull, size):
                    break
        _shrink(W, V, rule.threshold, rule.positive, 1.0)
        return V

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Four matrices; the weights kept share one of them, or take half of one if sparse."""
        return max(16 * n_items**2, invert_memory(n_items)) + 4 * n_items**2 + 24 * n_rows


class Rule(NamedTuple):
    """How a step goes: a ridge step of weight ρ, relaxed, then shrunk by l1 / ρ, to weights ≥ 0 if `positive`."""

    threshold: float
    rho: float
    relax: float
    positive: bool


@kernel
def _soft(w: float, threshold: float, positive: bool) -> float:
    if w > threshold:
        return w - threshold
    if w < -threshold and not positive:
        return w + threshold
    return 0.0


@parallel_kernel
def _shrink(W: F32, V: F32, threshold: float, positive: bool, twice: float) -> None:
    """V = twice · C − (twice − 1) · W: C itself for 1, C − U for 2."""
    for i in prange(len(W)):
        for j in range(W.shape[1]):
            V[i, j] = twice * _soft(W[i, j], threshold, positive) - (twice - 1.0) * W[i, j]


@parallel_kernel
def _step(ridge: tuple[F32, F32, F32], W: F32, V: F32, rule: Rule) -> F64:
    """One step from PV on, W and V in place; for every row the squares of B − C, C − C before, C and U."""
    P, PV, q = ridge
    threshold, rho, relax, positive = rule.threshold, rule.rho, rule.relax, rule.positive
    squares = np.zeros((len(W), 4))
    for i in prange(len(W)):
        apart = moved = size = pull = 0.0
        for j in range(W.shape[1]):
            if i == j:
                continue
            before = _soft(W[i, j], threshold, positive)
            b = rho * PV[i, j] - P[i, j] * q[j]
            w = relax * b + (1.0 - relax) * before + W[i, j] - before
            c = _soft(w, threshold, positive)
            W[i, j] = w
            V[i, j] = 2.0 * c - w
            apart += (b - c) ** 2
            moved += (c - before) ** 2
            size += c * c
            pull += (w - c) ** 2
        squares[i] = (apart, moved, size, pull)
    return squares
