r"""VASP: the product of a deep variational auto-encoder and a shallow item–item layer.

    ŷ_u = FLVAE(x_u) ∘ NEASE(x_u) = σ(R d) ∘ σ(L z) ∘ σ(x_u W),    diag(W) = 0

    e_k = LN(swish(W_k e_{k−1} + b_k + Σ_{1≤j<k} e_j)),  e_0 = x_u;    (μ_u, log σ_u²) = P e_last

    d_k = LN(swish(V_k d_{k−1} + c_k + Σ_{1≤j<k} d_j)),  d_0 = z_u = μ_u + σ_u ∘ ε,  ε ~ N(0, I)

    minimise  −Σ_i (α y_i (1 − ŷ_i)^γ log ŷ_i + (1 − α) (1 − y_i) ŷ_i^γ log(1 − ŷ_i))  +  β/f · KL(q ‖ N(0, I))

x_u is one half of a history, 1 for each item and not normalized, y_u the other half, and vice versa; scores are log ŷ
at z = μ of the whole history. q = N(μ_u, diagM(σ_u²)), f is `factors`. All products are computed as sums of logarithms,
log ŷ as the sum of three log σ, to avoid underflow. W is initialized to 0. W covers only the most popular items if
there are many; all other weights are 0.

The paper's sizes (hidden 4096, factors 2048, 7 and 5 layers, Nadam in three steps from 5e-5) are for a GPU and a large
log; the defaults here are smaller, with weight decay, a tenth of the KL weight, and Adam with a cosine schedule. Cost:
an epoch takes 12 · users · (hidden + factors) · n operations in the output layers, and every batch reads all m² entries
of W, m the number of its items. Memory: 44 m² bytes for W with its gradient and moments, 44 · (2 · hidden + factors) ·
n for the rest.

Vančura and Kordík, Deep Variational Autoencoder with Shallow Parallel Path for Top-N Recommendation (VASP), ICANN 2021.
arXiv:2102.05774
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.data.canonical import CanonicalData
from matinee.nn.autoencoder import (
    WEIGHT_COPIES,
    AutoEncoder,
    AutoEncoderSpec,
    HalfSplitBatches,
    TrainedAutoEncoder,
    default_batch_size,
    estimate_training_memory,
    fit_autoencoder,
)
from matinee.nn.batches import Batch
from matinee.nn.blocks import Residual, SparseLinear, freeze_diagonal, sparse_matmul
from matinee.nn.fit import StepInfo, TrainingSetup
from matinee.nn.losses import focal_from_log_prob, kl
from matinee.nn.params import BatchSize
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange

MAX_ITEMS = 10_000
"""Maximum number of items of the shallow layer by default; 4.4 GB in training."""

EPS = 1e-3
"""ε of layer normalization."""

LR_DECAY_EPOCHS = 100
"""Epochs over which the learning rate decays to 0."""


class ItemItemLayer(nn.Module):
    """x W for the items with a row in W (m, m); 0 for all others."""

    slot: Tensor

    def __init__(self, n_items: int, n_slots: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_slots, n_slots))
        self.register_buffer("slot", torch.empty(n_items))  # row and column of W of each item, −1 for none

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, n)."""
        slot = self.slot.long()
        has_slot = slot[batch.input_item] >= 0
        ends = functional.pad(has_slot.cumsum(0), (1, 0))
        known = replace(
            batch,
            input_item=slot[batch.input_item[has_slot]],
            input_weight=batch.input_weight[has_slot],
            offsets=ends[batch.offsets],
        )
        scores = functional.pad(
            sparse_matmul(self.weight, known), (0, 1)
        )  # the last column is for items without a slot
        return scores.index_select(1, slot % scores.shape[1])

    def init_weights(self) -> None:
        """Assign slots in item order, set the weights to 0 and freeze the diagonal."""
        n_slots, n_items = len(self.weight), len(self.slot)
        with torch.no_grad():
            self.weight.zero_()
            self.slot.fill_(-1.0)[:n_slots] = torch.arange(min(n_slots, n_items))
        freeze_diagonal(self.weight)


class Net(AutoEncoder):
    """The deep and the shallow path."""

    id_axes: ClassVar[Mapping[str, str]] = {
        "first.weight": "i.",
        "deep.weight": "i.",
        "deep.bias": "i",
        "skip.weight": "i.",
        "skip.bias": "i",
        "shallow.slot": "i",
        "shallow.weight": "..",
    }
    l2_normalize_input: ClassVar[bool] = False

    def __init__(self, n_items: int, n_slots: int, sizes: tuple[int, int], depths: tuple[int, int]) -> None:
        super().__init__()
        hidden, factors = sizes
        self.first = SparseLinear(n_items, hidden)
        self.encoder = Residual(hidden, depths[0], EPS)
        self.posterior = nn.Linear(hidden, 2 * factors)
        self.decoder_in = nn.Linear(factors, hidden)
        self.decoder = Residual(hidden, depths[1], EPS)
        self.deep = nn.Linear(hidden, n_items)
        self.skip = nn.Linear(factors, n_items)
        self.shallow = ItemItemLayer(n_items, n_slots)

    def posterior_of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """μ and log σ², (b, factors) each; log σ² is kept in −10 … 10."""
        mean, log_variance = self.posterior(self.encoder(self.first(batch))).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def log_probs(self, z: Tensor, batch: Batch) -> Tensor:
        """Log ŷ (b, n)."""
        deep = functional.logsigmoid(self.deep(self.decoder(self.decoder_in(z))))
        return deep + functional.logsigmoid(self.skip(z)) + functional.logsigmoid(self.shallow(batch))

    def forward(self, batch: Batch) -> Tensor:
        """Log ŷ (b, n) at z = μ."""
        return self.log_probs(self.posterior_of(batch)[0], batch)


class VASP(AutoEncoderSpec):
    """A deep variational auto-encoder times a shallow item–item model, trained together."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = (
        "Reduce shallow_item_share (the shallow layer needs memory quadratic in its items), "
        "or use a smaller hidden layer, a smaller batch, or a k-core."
    )

    factors: Annotated[int, Field(ge=1), SearchRange(32, 400, log=True)] = 64
    """Size of the latent vector z."""

    hidden: Annotated[int, Field(ge=1), SearchRange(100, 1000, log=True)] = 200
    """Size of every layer between items and z, on both sides."""

    encoder_layers: Annotated[int, Field(ge=1), SearchRange(1, 7)] = 3
    """Number of encoder layers."""

    decoder_layers: Annotated[int, Field(ge=1), SearchRange(1, 5)] = 2
    """Number of decoder layers."""

    shallow_item_share: Annotated[float | None, Field(gt=0, le=1), SearchRange(0.1, 1)] = None
    """Fraction of items, the most popular, in the shallow layer. None means all, at most 10,000."""

    epochs: Annotated[int, Field(ge=1, le=LR_DECAY_EPOCHS)] = LR_DECAY_EPOCHS
    """Maximum number of epochs; early stopping may end training sooner."""

    batch_size: BatchSize = None

    learning_rate: Annotated[float, Field(gt=0), SearchRange(1e-4, 3e-3, log=True)] = 3e-4
    """Initial step size of Adam; it decays to 0 over 100 epochs."""

    weight_decay: Annotated[float, Field(ge=0), SearchRange(0.01, 10, log=True)] = 1.0
    """Decoupled weight decay of matrices, scaled by the learning rate (AdamW)."""

    beta: Annotated[float, Field(ge=0), SearchRange(0.01, 10, log=True)] = 0.1
    """Weight of the KL term per dimension of z; the paper uses 1."""

    alpha: Annotated[float, Field(ge=0, le=1), SearchRange(0.1, 0.9)] = 0.25
    """Weight of positive items in the focal loss; other items have 1 − alpha."""

    gamma: Annotated[float, Field(ge=0), SearchRange(0, 3)] = 2.0
    """Exponent that reduces the loss of well predicted items; 0 is binary cross-entropy."""

    def net(self, n_items: int, n_users: int) -> Net:
        """The deep and the shallow path."""
        share = min(1.0, MAX_ITEMS / n_items) if self.shallow_item_share is None else self.shallow_item_share
        depths = (self.encoder_layers, self.decoder_layers)
        return Net(n_items, max(1, round(share * n_items)), (self.hidden, self.factors), depths)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> TrainedAutoEncoder:
        """Minimize the loss with Adam."""
        memory = ctx.check_memory(self, data)
        size = self.batch_size or default_batch_size(data.n_active_users)
        batches = HalfSplitBatches(size, ctx.device)
        steps = batches.steps(data.n_active_users)
        config = TrainConfig(
            self.epochs, self.learning_rate, self.weight_decay, schedule="cosine", decay_epochs=LR_DECAY_EPOCHS
        )
        setup = TrainingSetup(self.negative_elbo, batches, steps, config, memory, init_weights)
        return fit_autoencoder(self, data, ctx, setup)

    def negative_elbo(self, net: Net, batch: Batch, info: StepInfo) -> Tensor:
        """Mean over halves of focal loss + β · mean KL per dimension, with one sample of z."""
        mean, log_variance = net.posterior_of(batch)
        z = mean + torch.exp(0.5 * log_variance) * info.randn_like(mean)
        reconstruction = focal_from_log_prob(
            net.log_probs(z, batch), batch.target_row, batch.target_item, self.alpha, self.gamma
        )
        return (reconstruction + self.beta / self.factors * kl(mean, log_variance)).mean()

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimizer state, and the scores of a batch with two rows per user."""
        size = self.batch_size or default_batch_size(n_users)
        return estimate_training_memory(self, n_users, n_items, n_rows, 2 * size, (WEIGHT_COPIES, 20))


def init_weights(net: Net, data: CanonicalData, generator: torch.Generator) -> None:
    """Initialize the shallow layer; other weights keep their default initial values."""
    net.shallow.init_weights()
