r"""EASE: each item predicted from all the others by ridge regression, solved in closed form.

    minimise  ‖X − XB‖² + l2 ‖B‖²   over B (n, n) with a zero diagonal                  (eq. 2, 3)

    P = (X'X + l2 I)⁻¹,    B_ij = −P_ij / P_jj  off the diagonal                        (eq. 8)

X is (users, items), 0 or 1; the score of item j for history x is (xB)_j. Cost: the Gram matrix, then one symmetric
inverse, n³ operations; 4 n² bytes, in which Gram, inverse and B follow each other, and as many for LAPACK's order.

Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019. arXiv:1905.03375
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.gram import gram
from matinee.linear.spd import invert
from matinee.spec import Search


class EASE(ModelSpec):
    """A linear model with one knob: the first model to beat."""

    if_too_large: ClassVar[str] = "Use item_knn, whose memory grows with the interactions, or a k-core."

    l2: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 500.0
    """Ridge penalty. Small fits rare pairs, large leans to popular items."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """One Gram matrix, one inverse."""
        ctx.admit(self, data)
        B = gram(data.matrix)
        diagonal = np.diag_indices_from(B)
        prior = B[diagonal]
        B[diagonal] += self.l2
        B = invert(B)
        B /= -B[diagonal]
        B[diagonal] = 0.0
        return ItemItem(self, data.items, B, prior)

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """The matrix, and in the sweep of large catalogues two strips beside it."""
        return 4 * n_items**2 + 4 * 2 * 2048 * n_items + 24 * n_rows
