r"""ELSA: EASE's item–item weights as the product of one thin matrix with itself, for catalogues too large for n².

    s_u = x_u A A' − x_u,    A (n, factors), ‖A_i‖ = 1

    minimise  Σ_u ‖x_u / ‖x_u‖ − s_u / ‖s_u‖‖² = Σ_u 2 (1 − cos(x_u, s_u))

x_u is a history as a set, 0 or 1; with `dropout`, which is not in the paper, s_u is made of what stays of it. Rows of A
have length 1, so A A' has ones on its diagonal, and taking x_u away makes them zeros: no item predicts itself, as in
EASE. The weights learnt are free and divided by their lengths where they are used, A is what is kept; to turn it as a
whole, A → A R with R R' = I, changes no score. A A' is never formed.

Divided by their lengths, weights keep growing as they are trained and so take ever smaller turns: the learning rate
falls by itself. Rows start in random directions at length 1, so that a step turns them as far whatever n is.

Cost: a batch of b people takes 6 · b · n · factors operations in the output and 6 · factors an entry shown;
64 · n · factors bytes of weights while learning.

Vančura, Alves, Kasalický and Kordík, Scalable Linear Shallow Autoencoder for Collaborative Filtering, RecSys 2022.
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

from matinee.contract import Context
from matinee.data import Interactions
from matinee.nn import encoder
from matinee.nn.batches import Batch
from matinee.nn.blocks import bag, directions
from matinee.nn.losses import cosine
from matinee.nn.train import Plan
from matinee.spec import Search

F32: TypeAlias = NDArray[np.float32]


class Net(encoder.AutoEncoder):
    """The weights whose rows, divided by their lengths, are A; once trained, A itself."""

    axes: ClassVar[Mapping[str, str]] = {"weight": "i."}
    normal: ClassVar[bool] = False

    def __init__(self, n_items: int, factors: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(n_items, factors))

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n)."""
        A = directions(self.weight) if self.training else self.weight
        row = torch.repeat_interleave(batch.offsets.diff())
        return (bag(A, batch) @ A.T).index_put_((row, batch.shown), -batch.weight.to(A.dtype), accumulate=True)


class ELSA(encoder.AutoEncoderSpec):
    """A low-rank relative of EASE whose memory grows with the catalogue, not with its square."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use fewer factors, a smaller batch, or a k-core."

    factors: Annotated[int, Field(ge=1), Search(32, 1024, log=True)] = 256
    """Length of the rows of A: the rank of the weights."""

    epochs: Annotated[int, Field(ge=1)] = 100
    """How often everybody is seen, at most where the stop fold decides."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(3e-4, 0.03, log=True)] = 1e-3
    """Step size of Adam."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0, 0.7)] = 0.5
    """Share of a history hidden from the network while learning."""

    def net(self, n_items: int, n_users: int) -> Net:
        """One thin matrix."""
        return Net(n_items, self.factors)

    def fit(self, data: Interactions, ctx: Context = Context()) -> encoder.Encoder:
        """Minimise the angle by Adam."""
        room = ctx.admit(self, data)
        plan = Plan(self.epochs, self.learning_rate)
        size = self.batch or encoder.size_for(data.n_active)
        prior = data.popularity.astype(np.float32)

        def shape(state: dict[str, F32], epochs: int) -> encoder.Encoder:
            length = np.linalg.norm(state["weight"], axis=1, keepdims=True)
            A = state["weight"] / np.maximum(length, np.float32(1e-12))
            return encoder.Encoder(self, data.items, {"weight": A}, prior, epochs, ctx.device)

        lesson = encoder.Lesson(self.angle, plan, size, room, (self.dropout,), begin=begin)
        return encoder.learnt(self, data, ctx, lesson, shape)

    def angle(self, net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
        """Mean over people of the loss between scores and what they took."""
        return cosine(net(batch), batch.row, batch.item).mean()

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser and directions, and the scores of a batch."""
        size = self.batch or encoder.size_for(n_users)
        return encoder.room(self, n_users, n_items, n_rows, size, (encoder.COPIES + 5, 11))


def begin(net: Net, seen: csr_array, generator: torch.Generator) -> None:
    """Rows in random directions, each of length 1."""
    torch.nn.init.normal_(net.weight, generator=generator)
    with torch.no_grad():
        net.weight.copy_(directions(net.weight))
