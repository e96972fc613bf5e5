r"""AutoRec: reconstruction of each history through one hidden layer; all items enter the loss.

    h(x) = W g(Vx + μ) + b

    minimise  Σ_u loss(x_u, h(x_u)) + l2 / 2 · (‖V‖² + ‖W‖²)

x (n,) is a history, 0 or 1, not normalized; V (factors, n), W (n, factors), μ (factors,), b (n,); g is `activation`.
This is the user-based model; new users are scored like training users. The paper predicts ratings with the squared
error of the rated entries. With implicit feedback all entries must enter the loss, or all ones would be optimal. The
default is the multinomial loss, which ranks better on MovieLens than the squared error over all entries. The model then
equals Mult-DAE with σ in place of tanh, unnormalized histories, and an l2 penalty in place of dropout.

With `activation` "identity", `loss` "mse" and factors ≥ n the minimum is known: with X − x̄ = P diagM(s) Q', x̄ the
column means, the scores are x̄ + (x − x̄) Q diagM(max(0, 1 − l2 / 2s²)) Q'. Ridge regression of X on itself has
s² / (s² + l2 / 2) instead: both shrink large s alike, but this model sets weak directions to 0.

The penalty is part of the objective, not decoupled, and is added to a sum over users, so its scale does not depend on
their number. Batch size and epochs follow `mult_vae`. Cost: an epoch takes 6 · users · factors · n operations in the
output layer and 6 · factors per entry of the sparse input; 104 · factors · n bytes of weights.

Sedhain, Menon, Sanner and Xie, AutoRec: Autoencoders Meet Collaborative Filtering, WWW 2015
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

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
    estimate_training_memory,
    fit_autoencoder,
)
from matinee.nn.batches import Batch
from matinee.nn.blocks import SparseLinear
from matinee.nn.fit import StepInfo, TrainingSetup
from matinee.nn.losses import LOSSES, SCORE_MATRICES
from matinee.nn.params import BatchSize, Epochs, Loss
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "identity": torch.positive,
}
"""Activation functions by name."""


class Net(AutoEncoder):
    """Two layers; the input is 0 or 1."""

    id_axes: ClassVar[Mapping[str, str]] = {"first.weight": "i.", "output.weight": "i.", "output.bias": "i"}
    l2_normalize_input: ClassVar[bool] = False

    def __init__(self, n_items: int, factors: int, activation: str) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, factors)
        self.output = torch.nn.Linear(factors, n_items)
        self.activation = ACTIVATIONS[activation]

    def encode(self, batch: Batch) -> Tensor:
        """Hidden layer (b, factors)."""
        return self.activation(self.first(batch))

    def item_vectors(self) -> tuple[Tensor, Tensor]:
        """W (n, factors) and b (n,)."""
        return self.output.weight, self.output.bias

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n)."""
        return self.output(self.encode(batch))


class AutoRec(AutoEncoderSpec):
    """A one-layer auto-encoder; the first one for recommendation."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use fewer factors, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), SearchRange(32, 800, log=True)] = 200
    """Size of the hidden layer."""

    activation: Literal["sigmoid", "tanh", "identity"] = "sigmoid"
    """Activation of the hidden layer; the paper prefers sigmoid, identity gives a linear model."""

    epochs: Epochs = 100

    batch_size: BatchSize = None

    learning_rate: Annotated[float, Field(gt=0), SearchRange(3e-4, 1e-2, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), SearchRange(0, 0.7)] = 0.0
    """Fraction of a history that is hidden from the network in training; the paper uses 0."""

    l2: Annotated[float, Field(ge=0), SearchRange(0.1, 100, log=True)] = 1.0
    """Penalty of the squared entries of both matrices, relative to a loss summed over users."""

    loss: Loss = "multinomial"

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers n → factors → n."""
        return Net(n_items, self.factors, self.activation)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> TrainedAutoEncoder:
        """Minimize the objective with Adam."""
        memory = ctx.check_memory(self, data)
        n_users = data.n_active_users

        def loss(net: Net, batch: Batch, info: StepInfo) -> Tensor:
            return self.penalized_loss(net, batch, n_users)

        size = self.batch_size or default_batch_size(n_users)
        batches = DropoutBatches(size, self.dropout, ctx.device, Net.l2_normalize_input)
        config = TrainConfig(self.epochs, self.learning_rate)
        setup = TrainingSetup(loss, batches, batches.steps(n_users), config, memory)
        return fit_autoencoder(self, data, ctx, setup)

    def penalized_loss(self, net: Net, batch: Batch, n_users: int) -> Tensor:
        """The objective of a batch, divided by the number of users of the sum."""
        reconstruction = LOSSES[self.loss](net(batch), batch.target_row, batch.target_item).mean()
        squares = net.first.weight.square().sum() + net.output.weight.square().sum()
        return reconstruction + (self.l2 / (2.0 * n_users)) * squares

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimizer state, and the scores of a batch."""
        size, copies = (
            self.batch_size or default_batch_size(n_users),
            (WEIGHT_COPIES + 3, SCORE_MATRICES[self.loss]),
        )
        return estimate_training_memory(self, n_users, n_items, n_rows, size, copies)
