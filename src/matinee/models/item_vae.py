r"""Item-VAE: a variational auto-encoder over items (rows are items), with a ridge readout for users.

    z_i ~ N(0, I),    π_i(u) = p(u | i) ∝ exp(w_u·h_i + b_u),    x_i ~ Mult(n_i, π_i)

    maximise  E_q [Σ_u x_ui log π_i(u)] − β · KL(q(z_i | x_i) ‖ N(0, I)),    q = N(μ_i, diagM(σ_i²))

    ŝ_u = p + (x_u − p) H (H'H + λ I)⁻¹ H',    λ = readout_l2 · ‖H‖² / hidden,    p_i = n_i / U

It is Mult-VAE on the transposed log: (μ_i, log σ_i²) = g(x̃_i), x̃_i the normalized row of item i with users
dropped, z_i = μ_i + σ_i ∘ ε, h_i = tanh(A z_i + a) (hidden,). H (n, hidden) has the h_i at z_i = μ_i, n_i users have
item i, U users have interactions. β rises linearly to `beta` over `anneal_epochs`.

π_i sums to one over users, so the logits or π of one user do not rank items: rare items have the largest values. By
Bayes, items are ranked by p(i | u) ∝ n_i π_i(u), the probability that u has i; and w_u, b_u exist only for training
users. One regression solves both: with fixed H a history x is modelled as x − p ≈ H w, w the row of an unseen user,
with penalty λ‖w‖²; ŝ estimates the probabilities x_ui and compares items as n_i π_i(u) does. All users are scored in
this way from their history. On the tuning part of MovieLens latest-small recall@10 was .140, against .136 by n_i π_i(u)
with the trained w_u, .134 with w_u regressed on histories, .087 by π, .067 by logits, .070 by popularity: one network,
22 epochs chosen on its validation split.

H (H'H + λ)⁻¹ H' is a shrunken projection: an item of the history contributes its leverage, in 0 … 1, to its own score,
so seen items rank high if they may be listed. Items without training interactions get −1 − √n, below all others:
‖x_u − p‖ is at most √n. λ is a fraction of the mean eigenvalue of H'H, so it scales with the catalogue.

The batch size is 1/64 of the items, 16 to 500. Cost: an epoch takes 6 · items · hidden · U operations in the decoder
and 6 · hidden per entry of the sparse input; n · hidden² for the regression; 88 · hidden · U bytes of weights.

Liang, Krishnan, Hoffman and Jebara, Variational Autoencoders for Collaborative Filtering, WWW 2018, arXiv:1802.05814,
eq. 1 and 2 with users and items exchanged; item rows: Sedhain et al., AutoRec, WWW 2015. The regression is original.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.linalg import cholesky, solve_triangular
from torch import Tensor

from matinee.contract import FitContext
from matinee.data import Interactions, Vocabulary
from matinee.fitted import DotProduct, LinearFoldIn
from matinee.nn.autoencoder import (
    BLOCK,
    AutoEncoder,
    AutoEncoderSpec,
    DropoutBatches,
    default_batch_size,
    estimate_training_memory,
    with_epochs,
)
from matinee.nn.batches import Batch, make_batch
from matinee.nn.blocks import SparseLinear, TanhMLP
from matinee.nn.fit import StepInfo, TrainingSetup, fit_network, meta_network
from matinee.nn.losses import kl, linear_anneal, multinomial
from matinee.nn.train import TrainConfig
from matinee.spec import SearchRange

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]


class Net(AutoEncoder):
    """Encoder and decoder over the transposed log: the axis "i" of items counts users here."""

    id_axes: ClassVar[Mapping[str, str]] = {"first.weight": "i.", "output.weight": "i.", "output.bias": "i"}

    def __init__(self, n_users: int, hidden: int, factors: int) -> None:
        super().__init__()
        self.first = SparseLinear(n_users, hidden)
        self.posterior = torch.nn.Linear(hidden, 2 * factors)
        self.decoder = TanhMLP((factors, hidden), last=True)
        self.output = torch.nn.Linear(hidden, n_users)

    def posterior_of(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """μ and log σ², (b, factors) each; log σ² is kept in −10 … 10."""
        mean, log_variance = self.posterior(torch.tanh(self.first(batch))).chunk(2, dim=1)
        return mean, log_variance.clamp(-10.0, 10.0)

    def features(self, batch: Batch) -> Tensor:
        """Item features h (b, hidden) at z = μ."""
        return self.decoder(self.posterior_of(batch)[0])

    def forward(self, batch: Batch) -> Tensor:
        """Logits of users (b, U) at z = μ."""
        return self.output(self.features(batch))


class ItemVAE(AutoEncoderSpec):
    """A variational auto-encoder over items; its errors differ from those of user-based models."""

    uses_validation: ClassVar[bool] = True
    is_random: ClassVar[bool] = True
    memory_advice: ClassVar[str] = "Use a smaller hidden layer, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), SearchRange(32, 400, log=True)] = 200
    """Size of the latent vector z of an item."""

    hidden: Annotated[int, Field(ge=1), SearchRange(100, 1000, log=True)] = 600
    """Size of the layer between users and z, on both sides, and of the item features."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """Maximum number of epochs; early stopping may end training sooner."""

    batch_size: Annotated[int | None, Field(ge=1), SearchRange(16, 2000, log=True)] = None
    """Items per batch. None means 1/64 of the items, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), SearchRange(3e-4, 3e-3, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), SearchRange(0.2, 0.7)] = 0.5
    """Fraction of the users of an item that is hidden from the encoder in training."""

    weight_decay: Annotated[float, Field(ge=0), SearchRange(0, 0.1)] = 0.0
    """Decoupled weight decay of matrices, scaled by the learning rate (AdamW)."""

    beta: Annotated[float, Field(ge=0), SearchRange(0.05, 1, log=True)] = 0.2
    """Final weight of the KL term; 1 gives the ELBO, smaller values regularize less."""

    anneal_epochs: Annotated[float, Field(ge=0), SearchRange(0, 50)] = 10.0
    """Epochs over which the weight of the KL term rises linearly to beta."""

    readout_l2: Annotated[float, Field(gt=0), SearchRange(0.01, 10, log=True)] = 0.05
    """Ridge penalty of the readout, relative to the mean eigenvalue of its Gram matrix."""

    def net(self, n_items: int, n_users: int) -> Net:
        """Layers U → hidden → factors → hidden → U; `n_items` counts users, see `Net`."""
        return Net(n_items, self.hidden, self.factors)

    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> DotProduct:
        """Maximize the ELBO with Adam, then solve one ridge regression."""
        memory = ctx.check_memory(self, data)
        transposed_log = transposed_data(data)

        def build(state: dict[str, F32], epochs: int) -> DotProduct:
            spec = with_epochs(self, epochs)
            factors, bias = ridge_readout(
                item_features(self, state, transposed_log, ctx.device),
                data.popularity,
                self.readout_l2,
                transposed_log.n_items,
            )
            popularity = data.popularity.astype(np.float32)
            return DotProduct(spec, data.items, factors, popularity, LinearFoldIn(factors), bias)

        size = self.batch_size or default_batch_size(transposed_log.n_active_users)
        batches = DropoutBatches(size, self.dropout, ctx.device)
        steps = batches.steps(transposed_log.n_active_users)
        config = TrainConfig(self.epochs, self.learning_rate, self.weight_decay)
        setup = TrainingSetup(self.negative_elbo, batches, steps, config, memory)
        net = meta_network(self.net, transposed_log.n_items, 0)
        return fit_network(self, net, transposed_log, ctx, setup, build)

    def negative_elbo(self, net: Net, batch: Batch, info: StepInfo) -> Tensor:
        """Mean over items of −log-likelihood + β · KL.

        One sample of z is drawn; for β = 1 this is −ELBO.
        """
        mean, log_variance = net.posterior_of(batch)
        z = mean + torch.exp(0.5 * log_variance) * info.randn_like(mean)
        reconstruction = multinomial(net.output(net.decoder(z)), batch.target_row, batch.target_item)
        return (
            reconstruction + linear_anneal(info.epoch, self.anneal_epochs, self.beta) * kl(mean, log_variance)
        ).mean()

    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with optimizer state and logits of a batch; H and two factor matrices; the transposed log."""
        trained = estimate_training_memory(
            self, n_items, n_users, n_rows, self.batch_size or default_batch_size(n_items)
        )
        return trained + 32 * self.hidden * n_items + 16 * self.hidden**2 + 32 * n_rows


def transposed_data(data: Interactions) -> Interactions:
    """The log with users and items exchanged; users without interactions are dropped."""
    active, user = np.unique(data.user, return_inverse=True)
    users = Vocabulary.of(data.users.decode(active))  # already sorted: user r is active[r]
    return Interactions.of((data.items, users), data.item, user.astype(np.int32))


@torch.no_grad()
def item_features(spec: ItemVAE, state: Mapping[str, F32], transposed_log: Interactions, device: str = "cpu") -> F32:
    """Features H (n, hidden) of the items of a transposed log; 0 without interactions."""
    net = meta_network(spec.net, transposed_log.n_items, 0)
    net.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, assign=True)
    net = net.to(device).eval()
    with_rows = np.flatnonzero(np.diff(transposed_log.matrix.indptr))
    H = np.zeros((transposed_log.n_users, spec.hidden), dtype=np.float32)
    for low in range(0, len(with_rows), BLOCK):
        rows = with_rows[low : low + BLOCK]
        H[rows] = net.features(make_batch(transposed_log.matrix, rows, device=device)).cpu().numpy()
    return H


def ridge_readout(H: F32, count: NDArray[np.int64], ridge: float, n_users: int) -> tuple[F32, F32]:
    """Factors L (n, hidden) and bias (n,) of ŝ = x L L' + bias.

    H (n, hidden) are item features, p the fractions of users from the item counts.
    With C C' the Cholesky decomposition of H'H + λ I, L = H C'⁻¹ and the bias is p − p L L'.
    """
    n, hidden = H.shape
    wide = H.astype(np.float64)
    gram = wide.T @ wide
    gram[np.diag_indices(hidden)] += ridge * np.trace(gram) / hidden
    L: F64 = solve_triangular(cholesky(gram, lower=True), wide.T, lower=True).T
    p = count / n_users
    bias = np.where(count > 0, p - (p @ L) @ L.T, -1.0 - np.sqrt(n))
    return np.ascontiguousarray(L, dtype=np.float32), bias.astype(np.float32)
