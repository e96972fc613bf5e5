r"""Multi-EASE: EASE's weights fine-tuned by the multinomial likelihood, the loss that ranks.

    P(an item taken is j | x) = softmax(scale · x B / ‖x‖₂)_j,    B (n, n) with a zero diagonal

    minimise  −Σ_u Σ_i x_ui log softmax(scale · x̃_u B / ‖x_u‖₂)_i + l2 · ‖B − B_EASE‖²   over B and scale

x_u is a history as a set, 0 or 1, x̃_u the same with entries dropped and the rest divided by the share that stays; an
item never helps to predict itself. Read as a posterior, the likelihood is a softmax's and the prior a normal around
EASE: where the log says little, B stays EASE's. EASE's scores lie between 0 and 1, over which a softmax is nearly flat,
and grow with the history, though people with long ones are no easier to foresee: hence scale and ‖x‖₂. The scale starts
where the likelihood of EASE is largest and is learnt along with B; scores are x B, since one factor a person changes no
list. A small l2 lets the scale run away with B. Nobody has weights of their own: somebody new is scored like everybody
else.

Zero epochs are EASE. Where a stop fold decides, EASE is judged like the state after any epoch, and wins a tie. The
diagonal's gradient is set to 0 after each backward pass: a rounding leftover there would be blown up by Adam, which
divides by its size.

Cost: EASE; then a batch takes 4 · n operations an entry shown, and passes over n² weights with their penalty and
optimiser, which is most of it; 64 n² bytes in training, 4 n² afterwards.

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

from matinee.contract import Context
from matinee.data import Interactions
from matinee.fitted import ItemItem
from matinee.linear.gram import gram
from matinee.linear.spd import invert
from matinee.nn import encoder
from matinee.nn.batches import Batch, batch_of
from matinee.nn.blocks import bag, hollow
from matinee.nn.losses import multinomial
from matinee.nn.train import Plan
from matinee.spec import Search

F32: TypeAlias = NDArray[np.float32]
JUDGES = 1024
"""How many people at most the scale's start is judged by."""


class Net(encoder.AutoEncoder):
    """The weights B, the logarithm of the scale, and EASE's weights, which stay as they are."""

    axes: ClassVar[Mapping[str, str]] = {"weight": "ii"}

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(n_items, n_items))
        self.log_scale = torch.nn.Parameter(torch.empty(1))
        self.ease: Tensor
        self.register_buffer("ease", torch.empty(n_items, n_items), persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """Scores (b, n), x B / ‖x‖₂."""
        return bag(self.weight, batch)


class MultiEASE(encoder.AutoEncoderSpec):
    """EASE that goes on learning where ridge regression stops, and is never less than EASE on the stop fold."""

    uses_validation: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    if_too_large: ClassVar[str] = "Use ease (a sixteenth of the memory), elsa (which grows with n), or a k-core."

    ridge: Annotated[float, Field(gt=0), Search(1, 1e5, log=True)] = 500.0
    """The l2 of the EASE it starts from."""

    l2: Annotated[float, Field(ge=0), Search(100, 1e5, log=True)] = 3000.0
    """Penalty on moving away from EASE: large stays with it."""

    epochs: Annotated[int, Field(ge=0)] = 50
    """How often everybody is seen, at most where the stop fold decides; 0 is EASE."""

    batch: Annotated[int | None, Field(ge=1), Search(16, 2000, log=True)] = None
    """People in a batch; nothing means a 64th of them, 16 to 500."""

    learning_rate: Annotated[float, Field(gt=0), Search(1e-5, 1e-3, log=True)] = 2e-5
    """Step size of Adam; weights of EASE are a few hundredths."""

    dropout: Annotated[float, Field(ge=0, lt=1), Search(0, 0.7)] = 0.5
    """Share of a history hidden from the network while learning."""

    def net(self, n_items: int, n_users: int) -> Net:
        """One matrix to learn, one to stay near, one number."""
        return Net(n_items)

    def fit(self, data: Interactions, ctx: Context = Context()) -> ItemItem:
        """EASE, then Adam on the posterior; EASE it stays where the stop fold sees nothing better."""
        room = ctx.admit(self, data)
        prior = data.popularity.astype(np.float32)

        def shape(state: dict[str, F32], epochs: int) -> ItemItem:
            settled = self.model_copy(update={"epochs": epochs})
            return ItemItem(settled, data.items, state["weight"], prior)

        def posterior(net: Net, batch: Batch, moment: encoder.Moment) -> Tensor:
            return self.posterior(net, batch, data.n_active)

        size = self.batch or encoder.size_for(data.n_active)
        plan = Plan(self.epochs, self.learning_rate, from_start=True)
        lesson = encoder.Lesson(posterior, plan, size, room, (self.dropout,), begin=self.begin)
        return encoder.learnt(self, data, ctx, lesson, shape)

    def posterior(self, net: Net, batch: Batch, people: int) -> Tensor:
        """Mean over people of −log likelihood, and the penalty's share of one of the `people` who learn."""
        judged = multinomial(net.log_scale.exp() * net(batch), batch.row, batch.item).mean()
        return judged + self.l2 / people * (net.weight - net.ease).square().sum()

    def begin(self, net: Net, seen: csr_array, generator: torch.Generator) -> None:
        """EASE's weights, with the scale that makes people of the log most likely."""
        P = gram(seen)
        P[np.diag_indices_from(P)] += np.float32(self.ridge)
        P = invert(P)
        P /= -P.diagonal().copy()
        np.fill_diagonal(P, 0.0)
        net.ease.copy_(torch.from_numpy(P))
        with torch.no_grad():
            net.weight.copy_(net.ease)
            net.log_scale.fill_(likeliest(net, seen))
        hollow(net.weight)

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Weights with their optimiser, EASE's and the penalty, and the scores of a batch."""
        size = max(self.batch or encoder.size_for(n_users), min(JUDGES, n_users))
        return encoder.room(self, n_users, n_items, n_rows, size, (encoder.COPIES + 5, 5))


def likeliest(net: Net, seen: csr_array) -> float:
    """The logarithm of the scale under which the rows of `seen`, at most JUDGES of them, are most likely.

    Their likelihood is concave in the scale; its slope Σ_u Σ_i (x_ui − L_u p_ui) s_ui falls through 0 once.
    """
    rows = np.arange(0, seen.shape[0], max(1, -(-seen.shape[0] // JUDGES)))
    batch = batch_of(seen, rows)
    scores = net(batch)
    count = batch.row.bincount(minlength=len(rows)).to(scores.dtype)
    found = scores[batch.row, batch.item].sum()

    low, high = -5.0, 10.0
    for _ in range(20):
        middle = (low + high) / 2
        share = torch.softmax(np.exp(middle) * scores, dim=1)
        rises = found > (count * (share * scores).sum(dim=1)).sum()
        low, high = (middle, high) if rises else (low, middle)
    return (low + high) / 2
