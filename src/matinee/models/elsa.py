r"""ELSA: low-rank item–item weights AA' − I, for catalogues too large for an n × n matrix.

    s_u = x_u A A' − x_u,    A (n, factors), ‖A_i‖ = 1

    minimise  Σ_u ‖x_u / ‖x_u‖ − s_u / ‖s_u‖‖² = Σ_u 2 (1 − cos(x_u, s_u))

x_u is a history, 0 or 1; with `dropout` (not in the paper) s_u is computed from the remaining entries. Rows of A have
length 1, so A A' has a diagonal of ones, and subtracting x_u makes it zero: no item predicts itself, as in EASE. The
parameters are unnormalized rows that are divided by their lengths in the forward pass; the model stores A. Rotations
A → A R with R R' = I do not change scores. A A' is never formed.

The parameters grow in training, so a step of given size turns them less: the effective learning rate decreases. Rows
are initialized with random directions and length 1, so the first steps do not depend on n.

Cost: a batch of b users takes 6 · b · n · factors operations in the output and 6 · factors per input entry;
64 · n · factors bytes of weights in training.

Vančura, Alves, Kasalický and Kordík, Scalable Linear Shallow Autoencoder for Collaborative Filtering, RecSys 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
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
    with_epochs,
)
from matinee.nn.batches import Batch
from matinee.nn.blocks import normalize_rows, sparse_matmul
from matinee.nn.fit import StepInfo, TrainingSetup, fit_network, meta_network
from matinee.nn.losses import cosine
from matinee.nn.params import BatchSize, Epochs
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange

F32: TypeAlias = NDArray[np.float32]


class Net(AutoEncoder):
    """Unnormalized rows of A; after training, A itself."""

    id_axes: ClassVar[Mapping[str, str]] = {"weight": "i."}
    l2_normalize_input: ClassVar[bool] = False

    def __init__(self, n_items: int, factors: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(n_items, factors))

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n)."""
        A = normalize_rows(self.weight) if self.training else self.weight
        row = torch.repeat_interleave(batch.offsets.diff())
        return (sparse_matmul(A, batch) @ A.T).index_put_(
            (row, batch.input_item), -batch.input_weight.to(A.dtype), accumulate=True
        )


class ELSA(AutoEncoderSpec):
    """A low-rank form of EASE with memory linear in the number of items."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use fewer factors, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), SearchRange(32, 1024, log=True)] = 256
    """Rank of the item–item weights."""

    epochs: Epochs = 100

    batch_size: BatchSize = None

    learning_rate: Annotated[float, Field(gt=0), SearchRange(3e-4, 0.03, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), SearchRange(0, 0.7)] = 0.5
    """Fraction of a history that is hidden from the network in training."""

    def net(self, n_items: int, n_users: int) -> Net:
        """One matrix (n, factors)."""
        return Net(n_items, self.factors)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> TrainedAutoEncoder:
        """Minimize the cosine loss with Adam."""
        memory = ctx.check_memory(self, data)
        popularity = data.popularity.astype(np.float32)

        def build(state: dict[str, F32], epochs: int) -> TrainedAutoEncoder:
            length = np.linalg.norm(state["weight"], axis=1, keepdims=True)
            spec = with_epochs(self, epochs)
            A = state["weight"] / np.maximum(length, np.float32(1e-12))
            return TrainedAutoEncoder(spec, data.items, {"weight": A}, popularity, ctx.device)

        size = self.batch_size or default_batch_size(data.n_active_users)
        batches = DropoutBatches(size, self.dropout, ctx.device, Net.l2_normalize_input)
        steps, config = batches.steps(data.n_active_users), TrainConfig(self.epochs, self.learning_rate)
        setup = TrainingSetup(self.cosine_loss, batches, steps, config, memory, init_weights)
        return fit_network(self, meta_network(self.net, data.n_items, 0), data, ctx, setup, build)

    def cosine_loss(self, net: Net, batch: Batch, info: StepInfo) -> Tensor:
        """Mean cosine loss of scores and targets over users."""
        return cosine(net(batch), batch.target_row, batch.target_item).mean()

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimizer state and normalized copy, and the scores of a batch."""
        size = self.batch_size or default_batch_size(n_users)
        return estimate_training_memory(self, n_users, n_items, n_rows, size, (WEIGHT_COPIES + 5, 11))


def init_weights(net: Net, data: CanonicalData, generator: torch.Generator) -> None:
    """Initialize rows with random directions and length 1."""
    torch.nn.init.normal_(net.weight, generator=generator)
    with torch.no_grad():
        net.weight.copy_(normalize_rows(net.weight))
