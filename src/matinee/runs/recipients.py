"""The users a submission serves: all of the log, or those of a file, known to the log or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from matinee import models
from matinee.contract import Mask, Task
from matinee.data import Histories, Interactions, Vocabulary
from matinee.data.read import user_ids
from matinee.errors import DataError, SpecError
from matinee.topk import TopK, recommend

UNKNOWN = ("error", "popular", "skip")
"""What may happen to a user the log does not know: a refusal, the most popular items, or no list."""


@dataclass(frozen=True, eq=False)
class Recipients:
    """Users (m,) in the order of delivery. `queries.users` has the ids of the log and those of the new users."""

    queries: Histories
    """Row by row the users; the query of a new user is empty."""

    code: NDArray[np.int32]
    """Codes (m,) in the log's own vocabulary; −1 for a new user."""

    skipped: int = 0
    """New users that get no list."""

    @property
    def known(self) -> NDArray[np.int32]:
        """The codes (n,) of the users with a model's list, in order."""
        return self.code[self.code >= 0]

    def lists(self, known: TopK, log: Interactions, task: Task) -> TopK:
        """The lists (m, k) of all, with the most popular items for new users; `known` (n, k) are the others'."""
        old = self.code >= 0
        item = np.full((len(self.code), known.k), -1, dtype=np.int32)
        score = np.full(item.shape, -np.inf, dtype=np.float32)
        item[old], score[old] = known.item, known.score
        if not old.all():
            popular = models.get("popularity")().fit(log)
            mask = Mask(available=task.available_items(log))
            one = recommend(popular, Histories.of([[]], log.items), min(known.k, log.n_items), mask)
            item[~old, : one.k], score[~old, : one.k] = one.item, one.score
        return TopK(self.queries.user, item, score, self.queries.users, log.items, log.titles)

    def sentence(self) -> str:
        """How many users the log does not know, and what they got; empty for none."""
        popular = int((self.code < 0).sum())
        said = f"; {popular:,} users the log does not know got the most popular items" if popular else ""
        return said + (f"; {self.skipped:,} users the log does not know were left out" if self.skipped else "")


def target_users(path: str | None, log: Interactions, unknown: str = "error") -> Recipients:
    """The users of a file in their order, each once; None means every user of the log."""
    if unknown not in UNKNOWN:
        raise SpecError("--unknown", f"found {unknown!r}", f"one of {', '.join(UNKNOWN)}")
    if path is None:
        return Recipients(log.histories(), np.arange(log.n_users, dtype=np.int32))
    ids = user_ids(Path(path)).unique(maintain_order=True)
    code = log.users.encode(ids)
    new = np.flatnonzero(code < 0)
    if len(new) and unknown == "error":
        found = f"{len(new):,} users the log does not know, the first is {ids[int(new[0])]!r}"
        todo = "Remove them, read the log they belong to, or say --unknown popular or skip."
        raise DataError(path, found, "users of the log", todo)
    skipped = len(new) if unknown == "skip" else 0
    if skipped:
        ids, code, new = ids.gather(np.flatnonzero(code >= 0)), code[code >= 0], new[:0]
    if len(ids) == 0:
        raise DataError(path, "it names no user of the log", "at least one user", "Name the users to serve.")
    if len(new) == 0:
        return Recipients(log.histories(code), code, skipped)
    return Recipients(_with_new(ids, code, log), code)


def _with_new(ids: pl.Series, code: NDArray[np.int32], log: Interactions) -> Histories:
    """Queries of users (m,) of which some are new, on a vocabulary with their ids; `code` is −1 for a new user."""
    both = [log.users.ids, ids]
    if both[0].dtype != both[1].dtype:
        both = [one.cast(pl.String) for one in both]
    users = Vocabulary.of(pl.concat([one.rename("id") for one in both]))
    old, place = log.histories(code[code >= 0]), np.cumsum(code >= 0)
    offsets = old.offsets[np.concatenate([[0], place])]
    return replace(old, user=users.encode(both[1]), users=users, offsets=offsets)
