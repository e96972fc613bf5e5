r"""RecVAE: a variational auto-encoder with a composite prior that contains the old posterior.

    maximise  E_q [log p(x_u | z)] − β_u · KL(q(z | x̃_u) ‖ p(z | x_u)),    β_u = gamma · Σ_i x_ui

    p(z | x_u) = 3/20 N(0, I) + 3/4 q_old(z | x_u) + 1/10 N(0, e¹⁰ I),    a mixture in each dimension of z

    log p(x_u | z) = Σ_i x_ui log softmax(W z + b)_i,    q = N(μ_u, diagM(σ_u²)),    z = μ_u + σ_u ∘ ε,  ε ~ N(0, I)

(μ_u, log σ_u²), (d,) each, is linear in h_5; h_1 = LN(swish(W_1 x̃_u)), h_k = LN(swish(W_k h_{k−1} + Σ_{j<k} h_j)),
each (h,), all with biases; LN is layer normalization with ε = 0.1. x̃_u is the history divided by ‖x_u‖₂ with entries
dropped. W (n, d) is the whole decoder. The KL is estimated with one sample of z. q_old has no gradient; it is the
encoder with the weights of the start of the epoch, applied to the whole history, and untrained in the first epoch. It
is computed in the first pass of an epoch and stored for the others. If `beta` is set, it is β_u of all users. Scoring
uses z = μ_u; new users are scored like training users.

An epoch has `encoder_passes` passes over the users that update only the encoder, with dropout, then one pass without
dropout that updates only the decoder. Adam has separate moments per weight, so one optimizer is enough. The batch size
follows `mult_vae`.

Cost of an epoch with E encoder passes and half of a history dropped, for U users, N entries, w = (4h + 2d) h:

    4 (E + 1) U n d in the decoder + (6E + 4) U w in the dense layers + 2 (E + 2) N h in the sparse one

operations in matrix products: a pass computes no gradient of frozen weights, and the decoder pass no KL. For 31,360
users, 6,807 items and 5.1 million entries that is 0.7 + 1.2 + 0.03 = 1.9e12 with the defaults. Weights, optimizer state
and old encoder need 48 (h + d) n bytes, the stored old posteriors 8 d per user.

Shenbin, Alekseev, Tutubalina, Malykh and Nikolenko, RecVAE: A New Variational Autoencoder for Top-N Recommendations
with Implicit Feedback, WSDM 2020. arXiv:1912.11160
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, TypeAlias, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call  # pyright: ignore[reportPrivateImportUsage]
from torch.nn import functional

from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.data.canonical import CanonicalData
from matinee.nn.autoencoder import (
    WEIGHT_COPIES,
    AutoEncoder,
    AutoEncoderSpec,
    TrainedAutoEncoder,
    default_batch_size,
    estimate_training_memory,
    fit_autoencoder,
)
from matinee.nn.batches import Batch, batches
from matinee.nn.blocks import Residual, SparseLinear
from matinee.nn.fit import StepInfo, TrainingSetup
from matinee.nn.losses import LOSSES, SCORE_MATRICES
from matinee.nn.params import BatchSize, Epochs, Loss, WeightDecay
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange

Normal: TypeAlias = tuple[Tensor, Tensor]
"""μ and log σ² of independent normals, (b, d) each."""

LAYERS = 5
PRIOR = (3 / 20, 3 / 4, 1 / 10)
"""Weights of the standard normal, of the old posterior, and of the wide normal."""

WIDE = 10.0
"""log σ² of the wide normal."""


def log_density(z: Tensor, mean: Tensor | float, log_variance: Tensor | float) -> Tensor:
    """Logarithm of N(z; μ, σ²) of each dimension, (b, d)."""
    log_variance = torch.as_tensor(log_variance, dtype=z.dtype, device=z.device)
    return -0.5 * (math.log(2.0 * math.pi) + log_variance + (z - mean).square() * torch.exp(-log_variance))


def composite_kl(z: Tensor, posterior: Normal, old: Normal, prior: tuple[float, float, float] = PRIOR) -> Tensor:
    """An unbiased estimate (b,) of the KL for z ~ q = `posterior`.

    The sum over dimensions of log q(z) − log p(z).
    In each dimension p is the mixture of N(0, 1), `old` and N(0, e¹⁰) with weights `prior`.
    """
    parts = [log_density(z, 0.0, 0.0), log_density(z, *old), log_density(z, 0.0, WIDE)]
    weighted = [part + math.log(weight) for part, weight in zip(parts, prior, strict=True) if weight > 0]
    return (log_density(z, *posterior) - torch.logsumexp(torch.stack(weighted), dim=0)).sum(dim=1)


def without_dropout(batch: Batch) -> Batch:
    """The batch without dropout: all items are input, with weight 1/‖x‖₂."""
    count = torch.bincount(batch.target_row, minlength=len(batch))
    weight = count[batch.target_row].to(batch.input_weight.dtype).rsqrt()
    return replace(
        batch, offsets=functional.pad(count.cumsum(0), (1, 0)), input_item=batch.target_item, input_weight=weight
    )


@dataclass(frozen=True, eq=False)
class PassBatch:
    """A batch of one pass over the users."""

    batch: Batch
    number: int
    """The pass within the epoch, from 0; the last one updates the decoder."""

    epoch_start: bool = False
    """Whether it is the first batch of the epoch."""


@dataclass(frozen=True)
class AlternatingBatches:
    """The passes of an epoch: `encoder_passes` with dropout, then one without."""

    batch_size: int
    dropout: float
    device: str
    encoder_passes: int

    def __call__(self, data: CanonicalData, epoch: int, rng: np.random.Generator) -> Iterator[PassBatch]:
        """The batches of an epoch, all users once per pass."""
        start = True
        for number in range(self.encoder_passes + 1):
            dropout = self.dropout if number < self.encoder_passes else 0.0
            for batch in batches(data.matrix, self.batch_size, rng, dropout, self.device):
                yield PassBatch(batch, number, start)
                start = False

    def steps(self, n_users: int) -> int:
        """Number of batches of an epoch."""
        return (self.encoder_passes + 1) * -(-n_users // self.batch_size)


class Posterior(torch.nn.Module):
    """Encoder: densely connected layers of equal width."""

    def __init__(self, n_items: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, hidden)
        self.dense = Residual(hidden, LAYERS, 0.1)
        self.heads = torch.nn.Linear(hidden, 2 * factors)

    def forward(self, batch: Batch) -> Normal:
        """μ and log σ², (b, d) each; log σ² is kept in −10 … 10."""
        mean, log_variance = self.heads(self.dense(self.first(batch))).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)


class Net(AutoEncoder):
    """Encoder, linear decoder, and a copy of the encoder from the start of the epoch."""

    id_axes: ClassVar[Mapping[str, str]] = {"posterior.first.weight": "i.", "output.weight": "i.", "output.bias": "i"}

    def __init__(self, n_items: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.posterior = Posterior(n_items, hidden, factors)
        self.output = torch.nn.Linear(factors, n_items)
        self.old_encoder: dict[str, Tensor] = {}
        self.n_users = 0
        self.old_stats = torch.empty(0, 2 * factors)  # μ and log σ² of the old encoder per user

    def encode(self, batch: Batch) -> Tensor:
        """μ (b, d)."""
        return self.posterior(batch)[0]

    def item_vectors(self) -> tuple[Tensor, Tensor]:
        """W (n, d) and b (n,)."""
        return self.output.weight, self.output.bias

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n) at z = μ."""
        return self.output(self.encode(batch))

    def decode_fixed(self, z: Tensor) -> Tensor:
        """Logits (b, n) of the decoder, without a gradient of its weights."""
        return functional.linear(z, self.output.weight.detach(), self.output.bias.detach())

    def snapshot(self) -> None:
        """Store the current encoder as the old one."""
        self.old_encoder = {name: p.detach().clone() for name, p in self.posterior.named_parameters()}
        self.old_stats = self.output.weight.new_zeros(self.n_users, self.old_stats.shape[1])

    @torch.no_grad()
    def old_posterior(self, batch: Batch, number: int) -> Normal:
        """Posterior of the old encoder, computed in the first pass of an epoch and read in the others."""
        if number == 0:
            mean, log_variance = functional_call(self.posterior, self.old_encoder, (without_dropout(batch),))
            self.old_stats[batch.user] = torch.cat([mean, log_variance], dim=1)
            return mean, log_variance
        return cast(Normal, self.old_stats[batch.user].chunk(2, dim=1))


class RecVAE(AutoEncoderSpec):
    """A deep encoder regularized towards its previous state, and a linear decoder, trained alternately."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use a smaller hidden layer, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), SearchRange(32, 500, log=True)] = 200
    """Size of the latent vector z."""

    hidden: Annotated[int, Field(ge=1), SearchRange(100, 1000, log=True)] = 600
    """Size of the five layers between items and z."""

    epochs: Epochs = 50

    encoder_passes: Annotated[int, Field(ge=1), SearchRange(1, 5)] = 3
    """Passes per epoch that update the encoder; one more pass updates the decoder."""

    batch_size: BatchSize = None

    learning_rate: Annotated[float, Field(gt=0), SearchRange(1e-4, 2e-3, log=True)] = 5e-4
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), SearchRange(0.2, 0.8)] = 0.5
    """Fraction of a history that is hidden from the encoder in training."""

    weight_decay: WeightDecay = 0.0

    gamma: Annotated[float, Field(ge=0), SearchRange(5e-4, 0.05, log=True)] = 0.005
    """Weight of the KL term per item of the user; longer histories are regularized more."""

    beta: Annotated[float | None, Field(ge=0), SearchRange(0.05, 1, log=True)] = None
    """Weight of the KL term for all users. None means gamma times the number of items of each user."""

    loss: Loss = "multinomial"

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → five of `hidden` → factors → n."""
        return Net(n_items, self.hidden, self.factors)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> TrainedAutoEncoder:
        """Maximize the ELBO with Adam, encoder and decoder alternately."""
        memory = ctx.check_memory(self, data)
        size = self.batch_size or default_batch_size(data.n_active_users)
        schedule = AlternatingBatches(size, self.dropout, ctx.device, self.encoder_passes)
        steps = schedule.steps(data.n_active_users)
        config = TrainConfig(self.epochs, self.learning_rate, self.weight_decay)
        setup = TrainingSetup(self.negative_elbo, schedule, steps, config, memory, init_weights)
        return fit_autoencoder(self, data, ctx, setup)

    def negative_elbo(self, net: Net, pass_batch: PassBatch, info: StepInfo) -> Tensor:
        """Mean loss over users of the current pass, with one sample of z.

        Encoder passes minimize reconstruction loss + β_u · KL, the decoder pass the reconstruction loss.
        """
        batch = pass_batch.batch
        if pass_batch.epoch_start:
            net.snapshot()
        loss = LOSSES[self.loss]
        if pass_batch.number == self.encoder_passes:
            with torch.no_grad():
                z = _sample(net.posterior(batch), info)
            return loss(net.output(z), batch.target_row, batch.target_item).mean()
        posterior = cast(Normal, net.posterior(batch))
        z = _sample(posterior, info)
        reconstruction = loss(net.decode_fixed(z), batch.target_row, batch.target_item)
        return (
            reconstruction
            + self.kl_weight(batch) * composite_kl(z, posterior, net.old_posterior(batch, pass_batch.number))
        ).mean()

    def kl_weight(self, batch: Batch) -> Tensor:
        """β_u, the weight of the KL term per user, (b,)."""
        if self.beta is not None:
            return torch.full((len(batch),), self.beta, device=batch.target_row.device)
        return self.gamma * torch.bincount(batch.target_row, minlength=len(batch)).to(batch.input_weight.dtype)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with optimizer state, the old encoder and its posteriors, scores and activations of a batch."""
        size = self.batch_size or default_batch_size(n_users)
        old = sum(p.numel() for p in Posterior(1, self.hidden, self.factors).parameters()) + self.hidden * (n_items - 1)
        kept = old + 2 * self.factors * n_users + 4 * LAYERS * size * self.hidden
        return (
            estimate_training_memory(self, n_users, n_items, n_rows, size, (WEIGHT_COPIES, SCORE_MATRICES[self.loss]))
            + 4 * kept
        )


def init_weights(net: Net, data: CanonicalData, generator: torch.Generator) -> None:
    """Set the number of users; weights keep their default initial values."""
    net.n_users = data.n_users


def _sample(of: Normal, info: StepInfo) -> Tensor:
    """One sample of z (b, d) per user."""
    mean, log_variance = of
    return mean + torch.exp(0.5 * log_variance) * info.randn_like(mean)
