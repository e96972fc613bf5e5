"""What `mixture`, `random` and `tail` share: so many answers of every user, and what happens to short histories."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.data import Interactions
from matinee.errors import SplitError
from matinee.split._cut import LEARN, Split, SplitSpec, assemble, nobody
from matinee.split._draw import hide, keys


class Holdout(SplitSpec):
    """Answers are taken from every user; one item always stays to learn from."""

    short: Literal["fewer", "skip", "refuse"] = "fewer"
    """A history too short for all that is wanted gives proportionally fewer, is not asked, or stops the split."""

    most: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The largest share of a history that may be held out, though one row may always be."""

    def inner(self, learn: Interactions) -> Holdout:
        """The same numbers, another seed; short histories give at most half, for the outer cut made many short."""
        most = min(self.most, 0.5)
        return self.model_copy(update={"seed": self.seed_used + 1_000_003, "short": "fewer", "most": most})


def hold_out(log: Interactions, wanted: NDArray[np.int64], spec: Holdout, parts: tuple[str, ...]) -> Split:
    """Hold out `wanted[u]` = (items at random, rows at the end) of every user u, (n_users, 2).

    With one part in `parts` both kinds of answer go by its name. Raises `SplitError` for short histories where the
    spec refuses them, and where nobody can be asked.
    """
    length = np.diff(log.offsets)
    held, got = hide(log, portions(wanted, length, spec.most), keys(log.users, spec.seed_used))
    short = (length > 0) & (got != wanted).any(axis=1)
    if short.any() and spec.short == "refuse":
        most, shortest = int(wanted.sum(axis=1).max()), int(length[short].min())
        raise SplitError(
            f"{int(short.sum()):,} of {int((length > 0).sum()):,} users are too short for {most} answers, "
            f"the shortest has {shortest} row{'s' * (shortest != 1)}",
            "histories longer than what is held out",
            "Hold out fewer, filter short histories, or set short = 'fewer' or 'skip'.",
        )
    if short.any() and spec.short == "skip":
        got[short] = 0
        held[np.repeat(short, length)] = LEARN
    if not got.any():
        raise nobody(log)
    if len(parts) == 1:
        held[held > 0] = 0
    return assemble(log, held, spec, parts)


def portions(wanted: NDArray[np.int64], length: NDArray[np.int64], most: float) -> NDArray[np.int64]:
    """What rows of the given length (m,) give of `wanted` (m, 2): all, or both parts scaled down alike.

    At most `most` of a row, or one where that is less than one; never all of it.
    """
    both = wanted.sum(axis=1)
    share = np.maximum(np.floor(most * length + 1e-9).astype(np.int64), 1)
    total = np.maximum(np.minimum(both, np.minimum(share, length - 1)), 0)
    tail = np.where(total < both, (2 * total * wanted[:, 1] + both) // np.maximum(2 * both, 1), wanted[:, 1])
    return np.stack([total - tail, tail], axis=1)
