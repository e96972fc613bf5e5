r"""CDAE: a denoising auto-encoder with an embedding per user in the hidden layer.

    z_u = tanh(W'x̃_u + V_u + b),    s_u = W₂ z_u + b₂

    minimise  Σ_u E [loss(x_u, s_u)]   over the dropout of x̃_u and V_u

x̃_u (n,) is the history divided by ‖x_u‖₂ with entries dropped; W (n, factors) and W₂ (n, factors) have a row per item,
V (users, factors) a row per training user. With the multinomial loss this is known as Multi-CDAE; without V it is
Mult-DAE. The paper uses σ in place of tanh, and sampled negatives in place of the sum over the catalogue.

New users have V_u = 0. In training V_u is set to 0 with probability `user_dropout`, without rescaling, so the network
also fits new users. V is initialized to 0.

Batch size and epochs follow `mult_vae`. Cost: an epoch takes 6 · users · factors · n operations in the output layer and
6 · factors per entry of the sparse input; 88 · factors · n + 44 · factors · users bytes of weights.

Wu, DuBois, Zheng and Ester, Collaborative Denoising Auto-Encoders for Top-N Recommender Systems, WSDM 2016
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.data.canonical import CanonicalData
from matinee.nn.autoencoder import (
    WEIGHT_COPIES,
    AutoEncoder,
    AutoEncoderSpec,
    DropoutBatches,
    TrainedAutoEncoder,
    default_batch_size,
    estimate_training_memory,
    fit_autoencoder,
)
from matinee.nn.batches import Batch
from matinee.nn.blocks import SparseLinear
from matinee.nn.fit import StepInfo, TrainingSetup
from matinee.nn.losses import LOSSES, SCORE_MATRICES
from matinee.nn.params import BatchSize, Epochs, InputDropout, LearningRate, Loss, WeightDecay
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange


class Net(AutoEncoder):
    """Two layers, and an embedding per user that is added to the hidden layer."""

    id_axes: ClassVar[Mapping[str, str]] = {
        "first.weight": "i.",
        "output.weight": "i.",
        "output.bias": "i",
        "user_embedding.weight": "u.",
    }

    def __init__(self, n_items: int, n_users: int, factors: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, factors)
        self.output = torch.nn.Linear(factors, n_items)
        self.user_embedding = torch.nn.Embedding(n_users, factors)

    def encode(self, batch: Batch) -> Tensor:
        """Hidden layer z (b, factors); user −1 is a new user and has no embedding."""
        known = torch.nonzero(batch.user >= 0)[:, 0]
        return torch.tanh(self.first(batch).index_add(0, known, self.user_embedding(batch.user[known])))

    def item_vectors(self) -> tuple[Tensor, Tensor]:
        """W₂ (n, factors) and b₂ (n,)."""
        return self.output.weight, self.output.bias

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, n)."""
        return self.output(self.encode(batch))


class CDAE(AutoEncoderSpec):
    """Mult-DAE with an embedding per user."""

    query_by: ClassVar[Literal["history", "user_id", "both"]] = "both"
    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = (
        "Use fewer factors, a smaller batch, a k-core, or mult_dae, which has no user embeddings."
    )

    factors: Annotated[int, Field(ge=1), SearchRange(32, 800, log=True)] = 200
    """Size of the hidden layer."""

    epochs: Epochs = 100

    batch_size: BatchSize = None

    learning_rate: LearningRate = 1e-3

    dropout: InputDropout = 0.5

    user_dropout: Annotated[float, Field(ge=0, le=1), SearchRange(0.1, 0.9)] = 0.5
    """Probability that a user is treated as new in training; 1 disables user embeddings."""

    weight_decay: WeightDecay = 0.01

    loss: Loss = "multinomial"

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → factors → n, and `n_users` embeddings."""
        return Net(n_items, n_users, self.factors)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> TrainedAutoEncoder:
        """Minimize the loss with Adam."""
        memory = ctx.check_memory(self, data)
        size = self.batch_size or default_batch_size(data.n_active_users)
        batches = DropoutBatches(size, self.dropout, ctx.device)
        steps = batches.steps(data.n_active_users)
        config = TrainConfig(self.epochs, self.learning_rate, self.weight_decay)
        setup = TrainingSetup(self.reconstruction_loss, batches, steps, config, memory, init_weights)
        return fit_autoencoder(self, data, ctx, setup)

    def reconstruction_loss(self, net: Net, batch: Batch, info: StepInfo) -> Tensor:
        """Mean loss over users, each treated as new with probability `user_dropout`."""
        known = torch.rand(len(batch), generator=info.generator) >= self.user_dropout
        user = torch.where(known.to(batch.user.device), batch.user, -1)
        return LOSSES[self.loss](net(replace(batch, user=user)), batch.target_row, batch.target_item).mean()

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights and user embeddings with their optimizer state, and the scores of a batch."""
        size, copies = (
            self.batch_size or default_batch_size(n_users),
            (WEIGHT_COPIES, SCORE_MATRICES[self.loss]),
        )
        return estimate_training_memory(self, n_users, n_items, n_rows, size, copies)


def init_weights(net: Net, data: CanonicalData, generator: torch.Generator) -> None:
    """Set the user embeddings to 0; other weights keep their initial values."""
    torch.nn.init.zeros_(net.user_embedding.weight)
