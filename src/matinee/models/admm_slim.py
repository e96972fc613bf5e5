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

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array, vstack

from matinee.contract import FitContext, ModelSpec, free_memory
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.admm import AdmmConfig, rho_per_row, ridge_start, solve
from matinee.linear.gram import gram
from matinee.linear.params import L2, Alpha
from matinee.linear.ridge import popularity_power
from matinee.linear.spd import invert, invert_memory
from matinee.spec import SearchRange

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]


class ADMMSlim(ModelSpec):
    """SLIM without a loop over items: sparse and explainable, with the accuracy of EASE."""

    memory_advice: ClassVar[str] = "Use item_knn, whose memory grows with the interactions, or a k-core."

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
        """Compute the Gram matrix and one inverse, then one matrix product per step."""
        ctx.check_memory(self, data)
        G = gram(data.matrix)
        count = G.diagonal().copy()
        P, rho = self._invert(G, count, data.n_active_users)
        return self._model(self._descend(P, rho, ridge_start(P), ctx), count, data)

    @classmethod
    def fit_path(
        cls, specs: Sequence[ModelSpec], data: Interactions, ctx: FitContext = FitContext()
    ) -> Iterator[ItemItem]:
        """Share one Gram matrix; specs that differ only in `l1` share P and start from the previous solution.

        Solutions agree with `fit` within `tolerance` and need fewer steps. Order a grid so that `l1` changes fastest.
        Needs G and one model more memory than `fit`; without that memory each spec is fitted separately.
        """
        own = cast(Sequence[ADMMSlim], specs)
        for spec in own:
            ctx.check_memory(spec, data)
        available = free_memory() if ctx.memory_limit is None else ctx.memory_limit
        most = max((spec.estimate_memory(data.n_users, data.n_items, len(data)) for spec in own), default=0)
        if most + 8 * data.n_items**2 > available:
            yield from (spec.fit(data, ctx) for spec in own)
            return
        G = gram(data.matrix)
        count = G.diagonal().copy()
        P = W = G  # no inverse yet
        rho = count.astype(np.float64)
        for at, spec in enumerate(own):
            before = own[at - 1] if at else None
            if before is None or spec._inverse != before._inverse:
                del P, W
                P, rho = spec._invert(G.copy(), count, data.n_active_users)
                W = ridge_start(P)
            elif spec.non_negative != before.non_negative:
                W = ridge_start(P)
            yield spec._model(spec._descend(P, rho, W, ctx), count, data)

    @property
    def _inverse(self) -> tuple[float, ...]:
        """Hyperparameters that determine P."""
        return self.l2, self.alpha, self.rho, self.center

    def _invert(self, G: F32, count: F32, n_users: int) -> tuple[F32, F64]:
        """P (n, n), stored in place of the Gram matrix, and ρ (n,)."""
        diagonal = np.diag_indices_from(G)
        if self.center:
            mean = (count / max(n_users, 1)).astype(np.float32)
            for i in range(len(G)):
                G[i] -= count[i] * mean
        gamma = self.l2 * popularity_power(count, self.alpha)
        rho = rho_per_row(G[diagonal].astype(np.float64) + gamma, self.rho)
        G[diagonal] += (gamma + rho).astype(np.float32)
        return invert(G), rho

    def _descend(self, P: F32, rho: F64, W: F32, ctx: FitContext) -> F32:
        """C (n, n), starting from W."""
        rule = AdmmConfig(self.l1, self.non_negative, self.tolerance, self.max_iter)
        with ctx.observer.progress("admm_slim", self.max_iter) as advance:
            return solve(P, rho, W, rule, advance)

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
        """Four n × n matrices; the final weights reuse one, or need half of one if sparse."""
        return max(16 * n_items**2, invert_memory(n_items)) + 4 * n_items**2 + 24 * n_rows
