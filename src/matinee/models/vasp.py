r"""VASP: a deep variational auto-encoder and a shallow item-item layer, of which an item must please both.

    ŷ_u = FLVAE(x_u) ∘ NEASE(x_u) = σ(R d) ∘ σ(L z) ∘ σ(x_u W),    diag(W) = 0

    e_k = LN(swish(W_k e_{k−1} + b_k + Σ_{1≤j<k} e_j)),  e_0 = x_u;    (μ_u, log σ_u²) = P e_last

    d_k = LN(swish(V_k d_{k−1} + c_k + Σ_{1≤j<k} d_j)),  d_0 = z_u = μ_u + σ_u ∘ ε,  ε ~ N(0, I)

    minimise  −Σ_i (α y_i (1 − ŷ_i)^γ log ŷ_i + (1 − α) (1 − y_i) ŷ_i^γ log(1 − ŷ_i))  +  β/f · KL(q ‖ N(0, I))

x_u is one half of a history, 1 for each item and not divided by its length, y_u the other half, both ways; somebody is
scored by log ŷ at z = μ of the whole history. q = N(μ_u, diagM(σ_u²)), f is `factors`. All is computed with logarithms,
log ŷ being the sum of three log σ, so that no product underflows. W starts at 0; where there are many items it knows
the most popular alone, and between others it is 0.

The paper's sizes (hidden 4096, factors 2048, 7 and 5 layers, Nadam in three steps from 5e-5) are for a GPU and a large
log; here are smaller ones, weight decay, a tenth of its KL, and Adam whose rate falls by a cosine. Cost: an epoch takes
12 · users · (hidden + factors) · n operations in the output layers, and every batch goes once through all m² numbers of
W, m items known to it. Memory: 44 m² bytes for W with its gradient and moments, 44 · (2 · hidden + factors) · n for the
rest.

Vančura and Kordík, Deep Variational Autoencoder with Shallow Parallel Path for Top-N Recommendation (VASP), ICANN 2021.
arXiv:2102.05774
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn import functional

from matinee.contract import Context
from matinee.data import Interactions
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import Bag, Residual, bag, hollow
from matinee.nn.losses import focal_of_log, kl
from matinee.nn.train import Plan
from matinee.spec import Search

SEATS = 10_000
"""Items the shallow layer knows at most where no share is given; 4.4 GB while learning."""

EPS = 1e-3
"""Of layer normalisation."""

FALLS = 100
"""Epochs over which the learning rate falls to nothing."""


class Shallow(nn.Module):
    """x W for the items that have a seat in W (m, m), 0 for others."""

    seat: Tensor

    def __init__(self, n_items: int, n_seats: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_seats, n_seats))
        self.register_buffer("seat", torch.empty(n_items))  # which row and column of W each item is, −1 for none

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, n)."""
        seat = self.seat.long()
        seated = seat[batch.shown] >= 0
        before = functional.pad(seated.cumsum(0), (1, 0))
        known = replace(
            batch, shown=seat[batch.shown[seated]], weight=batch.weight[seated], offsets=before[batch.offsets]
        )
        made = functional.pad(bag(self.weight, known), (0, 1))  # the last column is that of who has no seat
        return made.index_select(1, seat % made.shape[1])

    def begin(self) -> None:
        """Seat items in their order, start from 0, and never move the diagonal: not even a rounding reaches Adam."""
        n_seats, n_items = len(self.weight), len(self.seat)
        with torch.no_grad():
            self.weight.zero_()
            self.seat.fill_(-1.0)[:n_seats] = torch.arange(min(n_seats, n_items))
        hollow(self.weight)


class Net(encoder.AutoEncoder):
    """The deep path and the shallow one."""

    axes: ClassVar[Mapping[str, str]] = {
        "first.weight": "i.",
        "deep.weight": "i.",
        "deep.bias": "i",
        "straight.weight": "i.",
        "straight.bias": "i",
        "shallow.seat": "i",
    }
    normal: ClassVar[bool] = False

    def __init__(self, n_items: int, n_seats: int, sizes: tuple[int, int], depths: tuple[int, int]) -> None:
        super().__init__()
        hidden, factors = sizes
        self.first = Bag(n_items, hidden)
        self.encoder = Residual(hidden, depths[0], EPS)
        self.posterior = nn.Linear(hidden, 2 * factors)
        self.opening = nn.Linear(factors, hidden)
        self.decoder = Residual(hidden, depths[1], EPS)
        self.deep = nn.Linear(hidden, n_items)
        self.straight = nn.Linear(factors, n_items)
        self.shallow = Shallow(n_items, n_seats)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """μ and log σ², (b, factors) each; log σ² is kept in −10 … 10."""
        mean, log_variance = self.posterior(self.encoder(self.first(batch))).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def chances(self, z: Tensor, batch: Batch) -> Tensor:
        """Logarithms of ŷ (b, n)."""
        deep = functional.logsigmoid(self.deep(self.decoder(self.opening(z))))
        return deep + functional.logsigmoid(self.straight(z)) + functional.logsigmoid(self.shallow(batch))

    def forward(self, batch: Batch) -> Tensor:
        """Logarithms of ŷ (b, n) at z = μ."""
        return self.chances(self.encode(batch)[0], batch)


class VASP(encoder.AutoEncoderSpec):
    """A deep model of taste times a shallow one of what goes with what, learnt together."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = (
        "Let its shallow layer, whose memory grows with the square of its items, know fewer of them (ease_items), "
        "or use a smaller hidden layer, a smaller batch, or a k-core."
    )

    factors: Annotated[int, Field(ge=1), Search(32, 400, log=True)] = 64
    """Size of the latent taste z."""

    hidden: Annotated[int, Field(ge=1), Search(100, 1000, log=True)] = 200
    """Size of every layer between items and tastes, on both sides."""

    encoder_layers: Annotated[int, Field(ge=1), Search(1, 7)] = 3
    """How many layers there are from items to tastes."""

    decoder_layers: Annotated[int, Field(ge=1), Search(1, 5)] = 2
    """How many layers there are from tastes to items."""

    ease_items: Annotated[float | None, Field(gt=0, le=1), Search(0.1, 1)] = None
    """Share of items, the most popular, that the shallow layer knows; nothing means all, but 10,000 at most."""

    epochs: Annotated[int, Field(ge=1, le=FALLS)] = FALLS
    """How often everybody is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch, each with both halves; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(1e-4, 3e-3, log=True)] = 3e-4
    """Step size of Adam at first; it falls to nothing over 100 epochs, the most there are."""

    l2: Annotated[float, Field(ge=0), Search(0.01, 10, log=True)] = 1.0
    """Weight decay: what matrices lose a step, times the learning rate."""

    beta: Annotated[float, Field(ge=0), Search(0.01, 10, log=True)] = 0.1
    """Weight of the KL a dimension of the latent taste; the paper's is 1."""

    alpha: Annotated[float, Field(ge=0, le=1), Search(0.1, 0.9)] = 0.25
    """Weight of what was taken in the loss; what was not has the rest of 1."""

    gamma: Annotated[float, Field(ge=0), Search(0, 3)] = 2.0
    """How little what is already predicted well counts in the loss; 0 is binary cross-entropy."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Both paths."""
        share = min(1.0, SEATS / n_items) if self.ease_items is None else self.ease_items
        depths = (self.encoder_layers, self.decoder_layers)
        return Net(n_items, max(1, round(share * n_items)), (self.hidden, self.factors), depths)

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Minimise the loss by Adam."""
        room = ctx.admit(self, data)
        plan = Plan(self.epochs, self.learning_rate, self.l2, schedule="cosine", horizon=FALLS)
        size = self.batch or encoder.size_for(data.n_active)
        return encoder.learn(self, data, ctx, encoder.Lesson(self.bound, plan, size, room, halved=True, begin=begun))

    def bound(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean over halves of histories of focal loss + β · mean KL of a dimension, one draw of z each."""
        mean, log_variance = net.encode(batch)
        z = mean + torch.exp(0.5 * log_variance) * moment.normal(mean)
        rebuilt = focal_of_log(net.chances(z, batch), batch.row, batch.item, self.alpha, self.gamma)
        return (rebuilt + self.beta / self.factors * kl(mean, log_variance)).mean()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser, W's among them, and the scores of a batch, which has two rows a person."""
        size = self.batch or encoder.size_for(n_users)
        return encoder.room(self, n_users, n_items, n_rows, 2 * size, (encoder.COPIES, 20))


def begun(net: Net, seen: csr_array, generator: torch.Generator) -> None:
    """The shallow layer does not start as other weights do."""
    net.shallow.begin()
