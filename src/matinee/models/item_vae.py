r"""Item-VAE: a variational auto-encoder of items, each the set of people who took it, read as a ranking for people.

    z_i ~ N(0, I),    π_i(u) = p(u | i) ∝ exp(w_u·h_i + b_u),    x_i ~ Mult(n_i, π_i)

    maximise  E_q [Σ_u x_ui log π_i(u)] − β · KL(q(z_i | x_i) ‖ N(0, I)),    q = N(μ_i, diagM(σ_i²))

    ŝ_u = p + (x_u − p) H (H'H + λ I)⁻¹ H',    λ = ridge · ‖H‖² / hidden,    p_i = n_i / U

It is Mult-VAE on the transposed log: (μ_i, log σ_i²) = g(x̃_i), x̃_i the row of item i divided by its length with people
dropped, z_i = μ_i + σ_i ∘ ε, h_i = tanh(A z_i + a) (hidden,). H (n, hidden) has the h_i at z_i = μ_i, n_i people took
item i, U people took anything. β rises in a straight line to `beta` over `anneal` epochs.

π_i sums to one over people, so a person's column of logits or of π says nothing about which item: rare items win it.
By Bayes a person ranks items by p(i | u) ∝ n_i π_i(u), which is the chance that u took i; and w_u, b_u exist only for
people trained on. Both are settled by one regression: H is fixed, and a history x is explained, from the rates p up, by
x − p ≈ H w, the row w an unseen person would have, with penalty λ‖w‖²; ŝ estimates chances x_ui and so compares items
as n_i π_i(u) does. Everybody is scored so, by history alone. On the tuning part of MovieLens latest-small recall@10 was
.140 this way, .136 by n_i π_i(u) with the trained w_u, .134 where w_u is regressed on histories instead, .087 by π
alone, .067 by the column of logits, .070 by popularity: one network, 22 epochs found on its stop fold.

H (H'H + λ)⁻¹ H' is a projection shrunk: a seen item counts for itself by its leverage, in 0 … 1, so where seen items
may be listed they tend to stand first. An item nobody took gets −1 − √n, below all others: ‖x_u − p‖ is at most √n.
λ is a share of the mean of H'H's eigenvalues, so that it grows with the catalogue as the rarity of items does.

A batch is a 64th of the items, 16 to 500. Cost: an epoch takes 6 · items · hidden · U operations in the decoder and
6 · hidden an entry shown in the encoder; n · hidden² for the regression; 88 · hidden · U bytes of weights.

Liang, Krishnan, Hoffman and Jebara, Variational Autoencoders for Collaborative Filtering, WWW 2018, arXiv:1802.05814,
eq. 1 and 2 with people and items exchanged; rows of items: Sedhain et al., AutoRec, WWW 2015. The regression is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import cholesky, solve_triangular
from torch import Tensor

from matinee.contract import Context
from matinee.data import Interactions, Vocabulary
from matinee.fitted import LowRank
from matinee.nn import encoder
from matinee.nn.batches import Batch, batch_of
from matinee.nn.blocks import Bag, Tanh
from matinee.nn.losses import annealed, kl, multinomial
from matinee.nn.train import Plan
from matinee.spec import Search

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]


class Net(encoder.AutoEncoder):
    """Encoder and decoder. Its rows are items, so that what the training loop calls an item, "i", is a person here."""

    axes: ClassVar[Mapping[str, str]] = {"first.weight": "i.", "output.weight": "i.", "output.bias": "i"}

    def __init__(self, n_users: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.first = Bag(n_users, hidden)
        self.posterior = torch.nn.Linear(hidden, 2 * factors)
        self.decoder = Tanh((factors, hidden), last=True)
        self.output = torch.nn.Linear(hidden, n_users)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """μ and log σ², (b, factors) each; log σ² is kept in −10 … 10."""
        mean, log_variance = self.posterior(torch.tanh(self.first(batch))).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def features(self, batch: Batch) -> Tensor:
        """What items are described by, h (b, hidden) at z = μ."""
        return self.decoder(self.encode(batch)[0])

    def forward(self, batch: Batch) -> Tensor:
        """Logits of people (b, U) at z = μ."""
        return self.output(self.features(batch))


class ItemVAE(encoder.AutoEncoderSpec):
    """Items described by their audience; it errs differently from models of people."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use a smaller hidden layer, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), Search(32, 400, log=True)] = 200
    """Size of the latent z of an item."""

    hidden: Annotated[int, Field(ge=1), Search(100, 1000, log=True)] = 600
    """Size of the layer between people and z, on both sides; what an item is described by in the end."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """How often every item is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """Items in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(3e-4, 3e-3, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0.2, 0.7)] = 0.5
    """Share of the people of an item hidden from the encoder while learning."""

    l2: Annotated[float, Field(ge=0), Search(0, 0.1)] = 0.0
    """Weight decay: what matrices lose a step, times the learning rate."""

    beta: Annotated[float, Field(ge=0), Search(0.05, 1, log=True)] = 0.2
    """Weight of the KL once it is annealed; 1 is the evidence bound, less leaves items freer."""

    anneal: Annotated[float, Field(ge=0), Search(0, 50)] = 10.0
    """Epochs over which the weight of the KL rises to beta."""

    ridge: Annotated[float, Field(gt=0), Search(0.01, 10, log=True)] = 0.05
    """Penalty of the regression of a history on items, over the mean eigenvalue of its Gram matrix."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers U → hidden → factors → hidden → U; `n_items` counts people, see `Net`."""
        return Net(n_items, self.hidden, self.factors)

    def fit(self, data: Interactions, ctx: Context = Context()) -> LowRank:
        """Maximise the bound by Adam, then one regression."""
        room = ctx.admit(self, data)
        turned = transposed(data)

        def shape(state: dict[str, F32], epochs: int) -> LowRank:
            spec = self.model_copy(update={"epochs": epochs or self.epochs})
            left, right = regression(
                described(self, state, turned, ctx.device), data.popularity, self.ridge, turned.n_items
            )
            return LowRank(spec, data.items, left, right, data.popularity.astype(np.float32), shifted=True)

        plan = Plan(self.epochs, self.learning_rate, self.l2)
        size = self.batch or encoder.size_for(turned.n_active)
        lesson = encoder.Lesson(self.bound, plan, size, room, (self.dropout,))
        return encoder.learnt(self, turned, ctx, lesson, shape)

    def bound(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean over items of −log-likelihood + β · KL, one draw of z each: −ELBO where β = 1."""
        mean, log_variance = net.encode(batch)
        z = mean + torch.exp(0.5 * log_variance) * moment.normal(mean)
        rebuilt = multinomial(net.output(net.decoder(z)), batch.row, batch.item)
        return (rebuilt + annealed(moment.now, self.anneal, self.beta) * kl(mean, log_variance)).mean()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser and the logits of a batch; H and the two factors made of it; the log turned."""
        trained = encoder.room(self, n_items, n_users, n_rows, self.batch or encoder.size_for(n_items))
        return trained + 32 * self.hidden * n_items + 16 * self.hidden**2 + 32 * n_rows


def transposed(data: Interactions) -> Interactions:
    """The log with items as its users and people as its items; people without a row are left out."""
    some, user = np.unique(data.user, return_inverse=True)
    people = Vocabulary.of(data.users.decode(some))  # sorted already: person r of it is some[r]
    return Interactions.of((data.items, people), data.item, user.astype(np.int32))


@torch.no_grad()
def described(spec: ItemVAE, state: Mapping[str, F32], turned: Interactions, device: str = "cpu") -> F32:
    """H (n, hidden) of the items of a transposed log; 0 for an item nobody took."""
    net = encoder.empty(spec, turned.n_items, 0)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, assign=True)
    net = cast(Net, net.to(device).eval())
    taken = np.flatnonzero(np.diff(turned.matrix.indptr))
    H = np.zeros((turned.n_users, spec.hidden), dtype=np.float32)
    for low in range(0, len(taken), encoder.BLOCK):
        rows = taken[low : low + encoder.BLOCK]
        H[rows] = net.features(batch_of(turned.matrix, rows, device=device)).cpu().numpy()
    return H


def regression(H: F32, count: NDArray[np.int64], ridge: float, n_users: int) -> tuple[F32, F32]:
    """Factors (n + 1, hidden + 1) and (hidden + 1, n) of ŝ, shifted, from H (n, hidden) and how many took each item.

    With C C' the Cholesky decomposition of H'H + λ I and L = H C'⁻¹, the map is L L' and the shift p − p L L'.
    """
    n, hidden = H.shape
    wide = H.astype(np.float64)
    gram = wide.T @ wide
    gram[np.diag_indices(hidden)] += ridge * np.trace(gram) / hidden
    L: F64 = solve_triangular(cholesky(gram, lower=True), wide.T, lower=True).T
    p = count / n_users
    left = np.zeros((n + 1, hidden + 1), dtype=np.float32)
    left[:n, :hidden], left[n, hidden] = L, 1.0
    right = np.empty((hidden + 1, n), dtype=np.float32)
    right[:hidden] = L.T
    right[hidden] = np.where(count > 0, p - (p @ L) @ L.T, -1.0 - np.sqrt(n))
    return left, right
