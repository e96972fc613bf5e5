r"""Mult-VAE: a variational auto-encoder with a multinomial likelihood over the catalogue.

    z_u ~ N(0, I),    π(z_u) ∝ exp f(z_u),    x_u ~ Mult(L_u, π(z_u))                   (eq. 1)

    log p(x_u | z_u) = Σ_i x_ui log π_i(z_u)                                            (eq. 2)

    maximise  E_q [log p(x_u | z_u)] − β · KL(q(z_u | x_u) ‖ N(0, I)),    q = N(μ_u, diagM(σ_u²))

(μ_u, log σ_u²) = g(x̃_u), x̃_u the history divided by ‖x_u‖₂ with entries dropped; z_u = μ_u + σ_u ∘ ε, ε ~ N(0, I),
and z_u = μ_u for scoring. g is n → hidden → 2·factors, f is factors → hidden → n, tanh between, or both are
linear without a hidden layer. β rises linearly to `beta` over `anneal_epochs`. New users are scored like training
users.

Defaults follow the paper except for three rules. Below 50,000 users there is no hidden layer: with 6,040 users
(MovieLens 1M, ndcg@10 on the validation split) the value is .229 without and .203–.206 with one, with 610 users .134
and less; the paper has 136,677. The batch size is 1/64 of the users, 16 to 500, so 1,000 users give about 64 updates
per epoch. Annealing is counted in epochs; the paper's 200,000 updates cover its whole training. The number of epochs is
chosen on a validation split. Cost: an epoch takes 6 · users · hidden · n operations in the decoder and 6 · hidden per
entry of the sparse input; 88 · hidden · n bytes of weights; without a hidden layer `factors` and 2 · `factors` replace
`hidden`.

Liang, Krishnan, Hoffman and Jebara, Variational Autoencoders for Collaborative Filtering, WWW 2018. arXiv:1802.05814
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.nn.autoencoder import (
    WEIGHT_COPIES,
    AutoEncoder,
    AutoEncoderSpec,
    DropoutBatches,
    TrainedAutoEncoder,
    default_batch_size,
    default_hidden_size,
    estimate_training_memory,
    fit_autoencoder,
)
from matinee.nn.batches import Batch
from matinee.nn.blocks import SparseLinear, TanhMLP
from matinee.nn.fit import StepInfo, TrainingSetup
from matinee.nn.losses import LOSSES, SCORE_MATRICES, kl, linear_anneal
from matinee.nn.params import BatchSize, Epochs, InputDropout, LearningRate, Loss, WeightDecay
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange


class Net(AutoEncoder):
    """Encoder and decoder."""

    id_axes: ClassVar[Mapping[str, str]] = {"first.weight": "i.", "output.weight": "i.", "output.bias": "i"}

    def __init__(self, n_items: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, hidden or 2 * factors)
        self.posterior = torch.nn.Linear(hidden, 2 * factors) if hidden else None
        self.decoder = TanhMLP((factors, hidden) if hidden else (factors,), last=True)
        self.output = torch.nn.Linear(hidden or factors, n_items)

    def posterior_of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """μ and log σ², (b, factors) each; log σ² is kept in −10 … 10."""
        sums = self.first(batch)
        both = sums if self.posterior is None else self.posterior(torch.tanh(sums))
        mean, log_variance = both.chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def decode(self, z: Tensor) -> Tensor:
        """Logits (b, n)."""
        return self.output(self.decoder(z))

    def encode(self, batch: Batch) -> Tensor:
        """The last hidden layer (b, d) at z = μ."""
        return self.decoder(self.posterior_of(batch)[0])

    def item_vectors(self) -> tuple[Tensor, Tensor]:
        """Weights (n, d) and biases (n,) of the last layer."""
        return self.output.weight, self.output.bias

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n) at z = μ."""
        return self.output(self.encode(batch))


class MultVAE(AutoEncoderSpec):
    """A variational auto-encoder with a multinomial likelihood; the usual neural baseline."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use a smaller hidden layer, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), SearchRange(32, 400, log=True)] = 200
    """Size of the latent vector z."""

    hidden: Annotated[int | None, Field(ge=0), SearchRange(choices=(0, 200, 400, 600, 1000))] = None
    """Size of the layer between items and z, 0 for none. None means 600 with 50,000 or more users, otherwise 0."""

    epochs: Epochs = 100

    batch_size: BatchSize = None

    learning_rate: LearningRate = 1e-3

    dropout: InputDropout = 0.5

    weight_decay: WeightDecay = 0.0

    beta: Annotated[float, Field(ge=0), SearchRange(0.05, 1, log=True)] = 0.2
    """Final weight of the KL term; 1 gives the ELBO, smaller values regularize less."""

    anneal_epochs: Annotated[float, Field(ge=0), SearchRange(0, 50)] = 20.0
    """Epochs over which the weight of the KL term rises linearly to beta."""

    loss: Loss = "multinomial"

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → hidden → factors → hidden → n, or n → factors → n."""
        return Net(n_items, self.hidden or 0, self.factors)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> TrainedAutoEncoder:
        """Maximize the ELBO with Adam."""
        memory = ctx.check_memory(self, data)
        size = self.batch_size or default_batch_size(data.n_active_users)
        batches = DropoutBatches(size, self.dropout, ctx.device)
        steps = batches.steps(data.n_active_users)
        config = TrainConfig(self.epochs, self.learning_rate, self.weight_decay)
        setup = TrainingSetup(self.negative_elbo, batches, steps, config, memory)
        return fit_autoencoder(self.resolved(data.n_active_users), data, ctx, setup)

    def resolved(self, n_users: int) -> MultVAE:
        """The spec with `hidden` set for this number of users."""
        if self.hidden is not None:
            return self
        return self.model_copy(update={"hidden": default_hidden_size(n_users)})

    def negative_elbo(self, net: Net, batch: Batch, info: StepInfo) -> Tensor:
        """Mean over users of reconstruction loss + β · KL.

        One sample of z is drawn; for β = 1 this is −ELBO.
        """
        mean, log_variance = net.posterior_of(batch)
        z = mean + torch.exp(0.5 * log_variance) * info.randn_like(mean)
        reconstruction = LOSSES[self.loss](net.decode(z), batch.target_row, batch.target_item)
        return (
            reconstruction + linear_anneal(info.epoch, self.anneal_epochs, self.beta) * kl(mean, log_variance)
        ).mean()

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimizer state, and the scores of a batch."""
        size, copies = (
            self.batch_size or default_batch_size(n_users),
            (WEIGHT_COPIES, SCORE_MATRICES[self.loss]),
        )
        return estimate_training_memory(self.resolved(n_users), n_users, n_items, n_rows, size, copies)
