r"""Neural EASE (NEASE): item–item weights trained by gradient descent with any loss.

    s_u = x_u W,    W (n, n) with a zero diagonal

    minimise  Σ_u loss(s_u, x_u) + l2 · ‖W‖²

x_u is a history, 0 or 1, with dropout; s_u are logits. With the loss "mse" and no dropout the minimum is EASE with the
same l2; other losses have no closed form. W is initialized to 0: there is no symmetry to break, and noise between items
that never occur together would remain. No item predicts itself, so all items of a user are targets. The gradient of the
diagonal is set to 0 after each backward pass, because Adam would amplify its rounding errors.

The paper applies the focal loss to σ(s), with one half of a history as input and the other as target, and no penalty.

Cost: a batch takes 4 · n operations per input entry, and a pass over n² weights with penalty and optimizer, which
dominates; 60 n² bytes in training, 4 n² afterwards.

Vančura and Kordík, Deep Variational Autoencoder with Shallow Parallel Path (VASP), ICANN 2021, §3.2.
Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019. arXiv:1905.03375
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.data.canonical import CanonicalData
from matinee.fitted import ItemItem
from matinee.nn.autoencoder import (
    WEIGHT_COPIES,
    AutoEncoder,
    AutoEncoderSpec,
    DropoutBatches,
    default_batch_size,
    estimate_training_memory,
    with_epochs,
)
from matinee.nn.batches import Batch
from matinee.nn.blocks import freeze_diagonal, sparse_matmul
from matinee.nn.fit import StepInfo, TrainingSetup, fit_network, meta_network
from matinee.nn.losses import LOSSES, SCORE_MATRICES
from matinee.nn.params import BatchSize, Epochs, Loss
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange

SCORING = 2**24
"""Bytes of the buffers that score an item-item model in validation."""


class Net(AutoEncoder):
    """The weights W."""

    id_axes: ClassVar[Mapping[str, str]] = {"weight": "ii"}
    l2_normalize_input: ClassVar[bool] = False

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(n_items, n_items))

    def forward(self, batch: Batch) -> Tensor:
        """Logits (b, n)."""
        return sparse_matmul(self.weight, batch)


class NeuralEASE(AutoEncoderSpec):
    """EASE with a choice of losses, trained by gradient descent."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use ease (a fifteenth of the memory), elsa (which grows with n), or a k-core."

    l2: Annotated[float, Field(ge=0), SearchRange(0.1, 1000, log=True)] = 20.0
    """Ridge penalty of all weights; with the loss "mse" it equals the l2 of EASE."""

    epochs: Epochs = 100

    batch_size: BatchSize = None

    learning_rate: Annotated[float, Field(gt=0), SearchRange(1e-4, 1e-2, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), SearchRange(0, 0.7)] = 0.0
    """Fraction of a history that is hidden from the network in training."""

    loss: Loss = "bce"

    def net(self, n_items: int, n_users: int) -> Net:
        """One matrix."""
        return Net(n_items)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Minimize the loss with Adam."""
        memory = ctx.check_memory(self, data)
        popularity = data.popularity.astype(np.float32)

        def build(state: dict[str, NDArray[np.float32]], epochs: int) -> ItemItem:
            spec = with_epochs(self, epochs)
            return ItemItem(spec, data.items, state["weight"], popularity)

        def loss(net: Net, batch: Batch, info: StepInfo) -> Tensor:
            return self.penalized_loss(net, batch, data.n_active_users)

        size = self.batch_size or default_batch_size(data.n_active_users)
        batches = DropoutBatches(size, self.dropout, ctx.device, Net.l2_normalize_input)
        steps, config = batches.steps(data.n_active_users), TrainConfig(self.epochs, self.learning_rate)
        setup = TrainingSetup(loss, batches, steps, config, memory, init_weights)
        return fit_network(self, meta_network(self.net, data.n_items, 0), data, ctx, setup, build)

    def penalized_loss(self, net: Net, batch: Batch, n_users: int) -> Tensor:
        """Mean loss over users plus the penalty divided by `n_users`."""
        loss = LOSSES[self.loss](net(batch), batch.target_row, batch.target_item).mean()
        return loss + self.l2 / n_users * net.weight.square().sum()

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimizer state and penalty, and the scores of a batch."""
        size, copies = (
            self.batch_size or default_batch_size(n_users),
            (WEIGHT_COPIES + 7, SCORE_MATRICES[self.loss]),
        )
        return estimate_training_memory(self, n_users, n_items, n_rows, size, copies) + SCORING


def init_weights(net: Net, data: CanonicalData, generator: torch.Generator) -> None:
    """Set the weights to 0 and freeze the diagonal."""
    torch.nn.init.zeros_(net.weight)
    freeze_diagonal(net.weight)
