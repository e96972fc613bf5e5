r"""Multi-EASE: EASE weights fine-tuned with a multinomial likelihood.

    P(item j | x) = softmax(scale · x B / ‖x‖₂)_j,    B (n, n) with a zero diagonal

    minimise  −Σ_u Σ_i x_ui log softmax(scale · x̃_u B / ‖x_u‖₂)_i + l2 · ‖B − B_EASE‖²   over B and scale

x_u is a history, 0 or 1, x̃_u the same with dropout, remaining entries divided by the fraction that remains; the
diagonal is 0. This is a posterior with a softmax likelihood and a normal prior around EASE: with little data B stays at
EASE. Scores of EASE lie between 0 and 1, where a softmax is nearly flat, and grow with the history length; hence scale
and ‖x‖₂. The scale is initialized at the maximum likelihood of EASE and trained with B. Scores are x B, because one
factor per user does not change lists. With a small l2 the scale and B diverge. New users are scored like training
users.

Zero epochs give EASE. On a validation split EASE is evaluated like the state after any epoch, and wins ties. The
gradient of the diagonal is set to 0 after each backward pass, because Adam would amplify its rounding errors.

Cost: EASE; then a batch takes 4 · n operations per input entry, and passes over n² weights with penalty and optimizer,
which dominate; 64 n² bytes in training, 4 n² afterwards.

Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, eq. 8. arXiv:1905.03375
Liang, Krishnan, Hoffman and Jebara, Variational Autoencoders for Collaborative Filtering, WWW 2018, eq. 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array
from torch import Tensor

from matinee.contract import FitContext
from matinee.data import Interactions
from matinee.data.canonical import CanonicalData
from matinee.fitted import ItemItem
from matinee.linear.gram import gram
from matinee.linear.spd import invert
from matinee.nn.autoencoder import (
    WEIGHT_COPIES,
    AutoEncoder,
    AutoEncoderSpec,
    DropoutBatches,
    default_batch_size,
    estimate_training_memory,
)
from matinee.nn.batches import Batch, make_batch
from matinee.nn.blocks import freeze_diagonal, sparse_matmul
from matinee.nn.fit import StepInfo, TrainingSetup, fit_network, meta_network
from matinee.nn.losses import multinomial
from matinee.nn.params import BatchSize
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange

F32: TypeAlias = NDArray[np.float32]
SCALE_USERS = 1024
"""Maximum number of users for the initial scale."""


class Net(AutoEncoder):
    """The weights B, the logarithm of the scale, and the constant weights of EASE."""

    id_axes: ClassVar[Mapping[str, str]] = {"weight": "ii"}

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(n_items, n_items))
        self.log_scale = torch.nn.Parameter(torch.empty(1))
        self.ease: Tensor
        self.register_buffer("ease", torch.empty(n_items, n_items), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n), x B / ‖x‖₂."""
        return sparse_matmul(self.weight, batch)


class MultiEASE(AutoEncoderSpec):
    """EASE fine-tuned for ranking; never below EASE on the validation split."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use ease (a sixteenth of the memory), elsa (which grows with n), or a k-core."

    ease_l2: Annotated[float, Field(gt=0), SearchRange(1, 1e5, log=True)] = 500.0
    """Ridge penalty of the initial EASE."""

    l2_to_ease: Annotated[float, Field(ge=0), SearchRange(100, 1e5, log=True)] = 3000.0
    """Penalty of the squared distance to EASE; large values stay near EASE."""

    epochs: Annotated[int, Field(ge=0)] = 50
    """Maximum number of epochs; early stopping may end training sooner. 0 gives EASE."""

    batch_size: BatchSize = None

    learning_rate: Annotated[float, Field(gt=0), SearchRange(1e-5, 1e-3, log=True)] = 2e-5
    """Step size of Adam; weights of EASE are a few hundredths."""

    dropout: Annotated[float, Field(ge=0, lt=1), SearchRange(0, 0.7)] = 0.5
    """Fraction of a history that is hidden from the network in training."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Weights, the constant weights of EASE, and the scale."""
        return Net(n_items)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> ItemItem:
        """Fit EASE, then minimize the negative log posterior with Adam."""
        memory = ctx.check_memory(self, data)
        popularity = data.popularity.astype(np.float32)

        def build(state: dict[str, F32], epochs: int) -> ItemItem:
            spec = self.model_copy(update={"epochs": epochs})
            return ItemItem(spec, data.items, state["weight"], popularity)

        def loss(net: Net, batch: Batch, info: StepInfo) -> Tensor:
            return self.map_loss(net, batch, data.n_active_users)

        size = self.batch_size or default_batch_size(data.n_active_users)
        batches = DropoutBatches(size, self.dropout, ctx.device)
        config = TrainConfig(self.epochs, self.learning_rate, eval_initial=True)
        setup = TrainingSetup(loss, batches, batches.steps(data.n_active_users), config, memory, self.init_weights)
        return fit_network(self, meta_network(self.net, data.n_items, 0), data, ctx, setup, build)

    def map_loss(self, net: Net, batch: Batch, n_users: int) -> Tensor:
        """Mean over users of −log likelihood plus the penalty divided by `n_users`."""
        loss = multinomial(net.log_scale.exp() * net(batch), batch.target_row, batch.target_item).mean()
        return loss + self.l2_to_ease / n_users * (net.weight - net.ease).square().sum()

    def init_weights(self, net: Net, data: CanonicalData, generator: torch.Generator) -> None:
        """Initialize with the weights of EASE and the scale of maximum likelihood."""
        P = gram(data.matrix)
        P[np.diag_indices_from(P)] += np.float32(self.ease_l2)
        P = invert(P)
        P /= -P.diagonal().copy()
        np.fill_diagonal(P, 0.0)
        net.ease.copy_(torch.from_numpy(P))
        with torch.no_grad():
            net.weight.copy_(net.ease)
            net.log_scale.fill_(fit_log_scale(net, data.matrix))
        freeze_diagonal(net.weight)

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimizer state, EASE and the penalty, and the scores of a batch."""
        size = max(self.batch_size or default_batch_size(n_users), min(SCALE_USERS, n_users))
        return estimate_training_memory(self, n_users, n_items, n_rows, size, (WEIGHT_COPIES + 8, 5))


def fit_log_scale(net: Net, matrix: csr_array) -> float:
    """Logarithm of the scale of maximum likelihood for the rows of `matrix`, at most SCALE_USERS of them.

    The likelihood is concave in the scale; its slope Σ_u Σ_i (x_ui − L_u p_ui) s_ui has one zero.
    """
    rows = np.arange(0, matrix.shape[0], max(1, -(-matrix.shape[0] // SCALE_USERS)))
    batch = make_batch(matrix, rows)
    scores = net(batch)
    count = batch.target_row.bincount(minlength=len(rows)).to(scores.dtype)
    found = scores[batch.target_row, batch.target_item].sum()

    low, high = -5.0, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        share = torch.softmax(np.exp(middle) * scores, dim=1)
        rises = found > (count * (share * scores).sum(dim=1)).sum()
        low, high = (middle, high) if rises else (low, middle)
    return (low + high) / 2
