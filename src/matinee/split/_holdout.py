"""What `mixture`, `random` and `tail` share: so many answers of every user, and what happens to short histories."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from matinee.data import Interactions
from matinee.errors import SplitError
from matinee.split._draw import hold_out_items, user_keys
from matinee.split._split import TRAIN, Split, SplitSpec, assemble, no_test_users


class Holdout(SplitSpec):
    """Answers are taken from every user; one item always stays to learn from."""

    short_histories: Literal["shrink", "skip", "error"] = "shrink"
    """A history too short for all that is wanted gives proportionally fewer, is not asked, or stops the split."""

    max_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The largest share of a history that may be held out, though one row may always be."""

    def validation_protocol(self, learn: Interactions) -> Holdout:
        """The same numbers, another seed; short histories give at most half, for the outer cut made many short."""
        most = min(self.max_fraction, 0.5)
        return self.model_copy(
            update={"seed": self.effective_seed + 1_000_003, "short_histories": "shrink", "max_fraction": most}
        )


def hold_out(log: Interactions, sizes: NDArray[np.int64], spec: Holdout, parts: tuple[str, ...]) -> Split:
    """Hold out `wanted[u]` = (items at random, rows at the end) of every user u, (n_users, 2).

    With one part in `parts` both kinds of answer go by its name. Raises `SplitError` for short histories where the
    spec refuses them, and where nobody can be asked.
    """
    length = np.diff(log.offsets)
    held, got = hold_out_items(
        log, holdout_sizes(sizes, length, spec.max_fraction), user_keys(log.users, spec.effective_seed)
    )
    short = (length > 0) & (got != sizes).any(axis=1)
    if short.any() and spec.short_histories == "error":
        most, shortest = int(sizes.sum(axis=1).max()), int(length[short].min())
        raise SplitError(
            f"{int(short.sum()):,} of {int((length > 0).sum()):,} users are too short for {most} answers, "
            f"the shortest has {shortest} row{'s' * (shortest != 1)}",
            "histories longer than what is held out",
            "Hold out fewer, filter short histories, or set short_histories = 'shrink' or 'skip'.",
        )
    if short.any() and spec.short_histories == "skip":
        got[short] = 0
        held[np.repeat(short, length)] = TRAIN
    if not got.any():
        raise no_test_users(log)
    if len(parts) == 1:
        held[held > 0] = 0
    return assemble(log, held, spec, parts)


def holdout_sizes(sizes: NDArray[np.int64], length: NDArray[np.int64], max_fraction: float) -> NDArray[np.int64]:
    """What rows of the given length (m,) give of `wanted` (m, 2): all, or both parts scaled down alike.

    At most `most` of a row, or one where that is less than one; never all of it.
    """
    both = sizes.sum(axis=1)
    share = np.maximum(np.floor(max_fraction * length + 1e-9).astype(np.int64), 1)
    total = np.maximum(np.minimum(both, np.minimum(share, length - 1)), 0)
    tail = np.where(total < both, (2 * total * sizes[:, 1] + both) // np.maximum(2 * both, 1), sizes[:, 1])
    return np.stack([total - tail, tail], axis=1)
