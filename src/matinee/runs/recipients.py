"""The target users of a submission: all users of the log, or those of a file, new users included."""

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
"""Treatments of new users: an error, the most popular items, or no list."""


@dataclass(frozen=True, eq=False)
class Recipients:
    """Target users (m,); `queries.users` has the ids of log and new users."""

    queries: Histories
    """The queries of the users; that of a new user is empty."""

    code: NDArray[np.int32]
    """Codes (m,) in the log's own vocabulary; −1 for a new user."""

    skipped: int = 0
    """Number of new users without a list."""

    @property
    def known(self) -> NDArray[np.int32]:
        """The codes (n,) of the users of the log, in order."""
        return self.code[self.code >= 0]

    def lists(self, known: TopK, log: Interactions, task: Task) -> TopK:
        """The lists (m, k) of all users; new users get the most popular items."""
        is_known = self.code >= 0
        item = np.full((len(self.code), known.k), -1, dtype=np.int32)
        score = np.full(item.shape, -np.inf, dtype=np.float32)
        item[is_known], score[is_known] = known.item, known.score
        if not is_known.all():
            popular = models.get("popularity")().fit(log)
            mask = Mask(available=task.available_items(log))
            one = recommend(popular, Histories.of([[]], log.items), min(known.k, log.n_items), mask)
            item[~is_known, : one.k], score[~is_known, : one.k] = one.item, one.score
        return TopK(self.queries.user, item, score, self.queries.users, log.items, log.titles)

    def summary(self) -> str:
        """The number of new users and their treatment; empty if there are none."""
        popular = int((self.code < 0).sum())
        text = f"; {popular:,} users that are not in the log got the most popular items" if popular else ""
        return text + (f"; {self.skipped:,} users that are not in the log were skipped" if self.skipped else "")


def target_users(path: str | None, log: Interactions, unknown: str = "error") -> Recipients:
    """The distinct users of a file; None means every user of the log."""
    if unknown not in UNKNOWN:
        raise SpecError("--unknown", f"found {unknown!r}", f"one of {', '.join(UNKNOWN)}")
    if path is None:
        return Recipients(log.histories(), np.arange(log.n_users, dtype=np.int32))
    ids = user_ids(Path(path)).unique(maintain_order=True)
    code = log.users.encode(ids)
    new = np.flatnonzero(code < 0)
    if len(new) and unknown == "error":
        found = f"{len(new):,} users that are not in the log, the first is {ids[int(new[0])]!r}"
        todo = "Remove them, read the log that has them, or use --unknown popular or skip."
        raise DataError(path, found, "users of the log", todo)
    skipped = len(new) if unknown == "skip" else 0
    if skipped:
        ids, code, new = ids.gather(np.flatnonzero(code >= 0)), code[code >= 0], new[:0]
    if len(ids) == 0:
        raise DataError(path, "it has no user of the log", "at least one user", "Write the ids of the target users.")
    if len(new) == 0:
        return Recipients(log.histories(code), code, skipped)
    return Recipients(_with_new(ids, code, log), code)


def _with_new(ids: pl.Series, code: NDArray[np.int32], log: Interactions) -> Histories:
    """The queries of users (m,) on a vocabulary that has the ids of new users; `code` is −1 for those."""
    both = [log.users.ids, ids]
    if both[0].dtype != both[1].dtype:
        both = [one.cast(pl.String) for one in both]
    users = Vocabulary.of(pl.concat([one.rename("id") for one in both]))
    known, place = log.histories(code[code >= 0]), np.cumsum(code >= 0)
    offsets = known.offsets[np.concatenate([[0], place])]
    return replace(known, user=users.encode(both[1]), users=users, offsets=offsets)
