r"""ADMM-SLIM: a sparse item–item model, solved for all columns at once by ADMM.

    minimise  ½‖X − XB‖² + ½ Σ_i γ_i ‖B_i:‖² + l1 ‖B‖₁   with a zero diagonal, B ≥ 0 optional         (eq. 2–4)

    P = (G + diagM(γ + ρ))⁻¹,    γ_i = l2 · (n_i / n̄)^alpha,    ρ_i = rho · a_i^¾ ā^¼                   (eq. 11)

G (n, n) = X'X, n_i the number of users of item i, n̄ its mean, a_i = G_ii + γ_i, ā = Σ a² / Σ a; the paper has one ρ
for all rows. The steps: `linear/admm.py`, eq. 11–13. The model is C, the sparse one of the two solutions. The score of
item j for history x is (xC)_j; `center` fits X − 1m', m (n,) the column means, and scores (x − m)C + m. Cost: n³
operations, and 2 n³ per step in one matrix product, 8 steps at the defaults on 31,360 × 6,805; 16 n² bytes for P, V, PV
and W.

Steck, Dimakopoulou, Riabov and Jebara, ADMM SLIM: Sparse Recommendations for Many Users, WSDM 2020.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array, vstack

from matinee.arrays import F32, F64
from matinee.contract import FitContext, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.admm import AdmmConfig, rho_per_row, ridge_start, solve
from matinee.linear.params import L2, Alpha
from matinee.linear.ridge import popularity_power
from matinee.linear.sharing import latest_start, share, share_gram, store_start
from matinee.linear.spd import invert, invert_memory
from matinee.shared import writable
from matinee.spec import SearchRange


@dataclass(frozen=True, eq=False)
class AdmmInverse:
    """P (n, n), ρ (n,) and the number of users (n,) of every item."""

    P: F32
    rho: F64
    count: F32


class ADMMSlim(ModelSpec):
    """SLIM without a loop over items: sparse and explainable, with the accuracy of EASE."""

    memory_advice: ClassVar[str] = "Use item_knn, with memory that grows with the interactions, or a k-core."

    l1: Annotated[float, Field(ge=0), SearchRange(0.1, 100, log=True)] = 5.0
    """Lasso penalty; larger values leave fewer non-zero weights."""

    l2: L2 = 300.0

    alpha: Alpha = 0.0

    non_negative: bool = False
    """Whether weights below zero are forbidden."""

    center: bool = False
    """Whether column means are subtracted before the fit and added to the scores."""

    rho: Annotated[float, Field(gt=0), SearchRange(0.1, 30, log=True)] = 1.0
    """Step size of ADMM; changes the speed, not the solution. Use about 3 with non_negative."""

    tolerance: Annotated[float, Field(gt=0, lt=1), SearchRange(1e-4, 1e-1, log=True)] = 0.005
    """Relative distance between the two solutions, and between two steps, at which iteration stops."""

    max_iter: Annotated[int, Field(ge=1), SearchRange(5, 100, log=True)] = 50
    """Maximum number of steps."""

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Compute the Gram matrix and one inverse, then one matrix product per step.

        With `ctx.shared` it starts from the previous solution with the same P, needs fewer steps, and agrees with a
        separate fit within `tolerance`.
        """
        ctx.check_memory(self, data)
        n_bytes = 4 * data.n_items**2
        inverse = share(ctx, data, ("admm_inverse", *self._inverse), lambda: self._invert(data, ctx), n_bytes)
        key = ("admm_start", *self._inverse, self.non_negative)
        start = latest_start(ctx, data, key, np.ndarray)
        W = ridge_start(inverse.P) if start is None else start.copy()
        C = self._descend(inverse, W, ctx)
        store_start(ctx, data, key, W, n_bytes)
        return self._model(C, writable(inverse.count), data)

    def shared_key(self) -> tuple[Hashable, ...]:
        """Hyperparameters of P and the sign constraint; all specs share the Gram matrix."""
        return "gram", "admm_inverse", *self._inverse, self.non_negative

    @property
    def _inverse(self) -> tuple[float, ...]:
        """Hyperparameters that determine P."""
        return self.l2, self.alpha, self.rho, self.center

    def _invert(self, data: Interactions, ctx: FitContext) -> AdmmInverse:
        """P, in the memory of the Gram matrix unless that is shared."""
        G = writable(share_gram(ctx, data))
        count = G.diagonal().copy()
        diagonal = np.diag_indices_from(G)
        if self.center:
            mean = (count / max(data.n_active_users, 1)).astype(np.float32)
            for i in range(len(G)):
                G[i] -= count[i] * mean
        gamma = self.l2 * popularity_power(count, self.alpha)
        rho = rho_per_row(G[diagonal].astype(np.float64) + gamma, self.rho)
        G[diagonal] += (gamma + rho).astype(np.float32)
        return AdmmInverse(invert(G), rho, count)

    def _descend(self, inverse: AdmmInverse, W: F32, ctx: FitContext) -> F32:
        """C (n, n), starting from W."""
        rule = AdmmConfig(self.l1, self.non_negative, self.tolerance, self.max_iter)
        with ctx.observer.progress("admm_slim", self.max_iter) as advance:
            return solve(inverse.P, inverse.rho, W, rule, advance)

    def _model(self, C: F32, count: F32, data: Interactions) -> ItemItem:
        """The model of the weights C, sparse if most are zero, with a bias row if centered."""
        kept = csr_array(C) if np.count_nonzero(C) < C.size // 4 else C
        if not self.center:
            return ItemItem(self, data.items, kept, count)
        mean = (count / max(data.n_active_users, 1)).astype(np.float32)
        shift = (mean - mean @ C)[None, :].astype(np.float32)
        if isinstance(kept, csr_array):
            return ItemItem(self, data.items, csr_array(vstack([kept, csr_array(shift)])), count, has_bias_row=True)
        return ItemItem(self, data.items, np.concatenate([kept, shift]), count, has_bias_row=True)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Four n × n matrices and the final weights."""
        return max(16 * n_items**2, invert_memory(n_items)) + 4 * n_items**2 + 24 * n_rows
