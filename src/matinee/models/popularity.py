r"""Popularity: what most people took, lately if wished, and what a person keeps coming back to.

    s_i = Σ_u 2^(−(T − t_ui) / half_life),    s_ui = s_i / max_j s_j + repeat · log(1 + c_ui)

t_ui is when u last took i, T the newest time in the log, c_ui how often u took i. Without a half-life every person
counts one. Cost: one pass over the log. The baseline every board carries: a model that does not beat it is broken.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from matinee.contract import Context, ModelSpec
from matinee.data import Interactions
from matinee.errors import CannotDo
from matinee.fitted import Constant
from matinee.spec import Search

DAY = 86_400.0


class Popularity(ModelSpec):
    """The same list for everybody, minus what each has seen."""

    personal: ClassVar[bool] = False

    half_life: Annotated[float | None, Field(gt=0), Search(1, 1000, log=True)] = None
    """Days after which a take counts half; nothing means that age does not matter."""

    repeat: Annotated[float, Field(ge=0), Search(0, 10)] = 0.0
    """How much a person's own repeats count, where seen items are allowed."""

    def fit(self, data: Interactions, ctx: Context = Context()) -> Constant:
        """Count people, decayed by age."""
        ctx.admit(self, data)
        if self.half_life is None:
            count = data.popularity.astype(np.float64)
        else:
            newest = np.ones(len(data), dtype=np.bool_)  # the last row of each (user, item), times being ascending
            order = np.lexsort((np.arange(len(data)), data.item, data.user))
            user, item = data.user[order], data.item[order]
            newest[:-1] = (user[1:] != user[:-1]) | (item[1:] != item[:-1])
            age = (data.time.max(initial=0) - data.time[order][newest]) / (DAY * self.half_life)
            count = np.bincount(item[newest], weights=np.exp2(-age), minlength=data.n_items)
        return Constant(self, data.items, (count / max(count.max(initial=0.0), 1e-30)).astype(np.float32), self.repeat)

    def require(self, data: Interactions) -> None:
        """A half-life needs times."""
        super().require(data)
        if self.half_life is not None and data.clock != "seconds":
            raise CannotDo(self.kind, "use half_life on a log without times", "Leave half_life out.")

    def memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """A number an item; with a half-life the log sorted once more."""
        return 16 * n_items + (40 * n_rows if self.half_life is not None else 8 * n_rows)
