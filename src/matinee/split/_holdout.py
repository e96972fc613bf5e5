"""Base of `mixture`, `random` and `last_n`: targets from every history, and the rules for short ones."""

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
    """Holds out items of every user; at least one item remains in the training set."""

    short_histories: Literal["shrink", "skip", "error"] = "shrink"
    """History too short for all targets: shrink holds out proportionally fewer, skip none, error raises."""

    max_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Largest fraction of a history that may be held out; one row is always allowed."""

    def validation_protocol(self, train: Interactions) -> Holdout:
        """The same sizes with another seed; at most half of a history is held out.

        The outer split has already shortened the histories.
        """
        max_fraction = min(self.max_fraction, 0.5)
        return self.model_copy(
            update={"seed": self.effective_seed + 1_000_003, "short_histories": "shrink", "max_fraction": max_fraction}
        )


def hold_out(log: Interactions, sizes: NDArray[np.int64], spec: Holdout, parts: tuple[str, ...]) -> Split:
    """Split that holds out `sizes[u]` = (random items, last rows) of every user.

    `sizes` is (n_users, 2). A single name in `parts` labels both kinds of targets. Raises `SplitError` for short
    histories if `spec.short_histories` is "error", and if no user has a target.
    """
    length = np.diff(log.offsets)
    destination, held_out = hold_out_items(
        log, holdout_sizes(sizes, length, spec.max_fraction), user_keys(log.users, spec.effective_seed)
    )
    short = (length > 0) & (held_out != sizes).any(axis=1)
    if short.any() and spec.short_histories == "error":
        n_targets, shortest = int(sizes.sum(axis=1).max()), int(length[short].min())
        raise SplitError(
            f"{int(short.sum()):,} of {int((length > 0).sum()):,} users are too short for {n_targets} targets, "
            f"the shortest has {shortest} row{'s' * (shortest != 1)}",
            "histories longer than the number of targets",
            "Hold out fewer, filter short histories, or set short_histories = 'shrink' or 'skip'.",
        )
    if short.any() and spec.short_histories == "skip":
        held_out[short] = 0
        destination[np.repeat(short, length)] = TRAIN
    if not held_out.any():
        raise no_test_users(log)
    if len(parts) == 1:
        destination[destination > 0] = 0
    return assemble(log, destination, spec, parts)


def holdout_sizes(sizes: NDArray[np.int64], length: NDArray[np.int64], max_fraction: float) -> NDArray[np.int64]:
    """Sizes (m, 2) that rows of this length (m,) allow, both parts reduced in proportion.

    At most `max_fraction` of a row and at least 1, but never a whole row.
    """
    both = sizes.sum(axis=1)
    limit = np.maximum(np.floor(max_fraction * length + 1e-9).astype(np.int64), 1)
    total = np.maximum(np.minimum(both, np.minimum(limit, length - 1)), 0)
    last = np.where(total < both, (2 * total * sizes[:, 1] + both) // np.maximum(2 * both, 1), sizes[:, 1])
    return np.stack([total - last, last], axis=1)
