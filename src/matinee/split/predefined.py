"""A split that comes with the data: training rows and targets from separate files or tables.

What it answers: the question of the authors of the files. Results are comparable with published tables.

When: LightGCN's train.txt and test.txt, NCF's test.rating and test.negative, S3-Rec's files, files of your own.

`predefined(train, test, validation=valid)`; one column per day, marks name the file; = train, v validation, g target:

    ann   A B C D   →   = = v g
    ben   C A B .   →   = = g .
    cat   . . . E   →   . . . g

No row is dropped: cat and E have no training row, yet cat has a query with an empty history, and E is an item. All
files share one vocabulary, in which the log is encoded again. `query.user` of cat is −1.

Validation rows precede the test, so by default they belong to the query (`query_history = "train_and_validation"`);
models are trained on the training rows alone. `candidates`, a table of (user, item) or NCF's negatives, are the only
items a user may be recommended. NCF's format lists the target separately: it is added to the candidates. A table is
used as it is. Without `validation`, a tenth of every training history is drawn.

Duplicates: targets are distinct items; one that occurs in the query stays a target (see `Split.drop_seen_targets`).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.data import Interactions, Targets, Vocabulary
from matinee.errors import SpecError, SplitError
from matinee.split._files import Source, as_log
from matinee.split._split import Split, SplitSpec, no_test_users, query_histories
from matinee.split.random import Random

PART = ("predefined",)


class Predefined(SplitSpec):
    """Files of targets that come with the log."""

    targets: Path | None = None
    """File of the targets."""

    validation: Path | None = None
    """File of the validation rows; None means that a tenth of every history is drawn."""

    candidates: Path | None = None
    """File of the only items each user may be recommended, (user, item) or NCF's test.negative; None means all."""

    query_history: Literal["train_and_validation", "train"] = "train_and_validation"
    """Rows of a query: the training and the validation rows, or the training rows alone."""

    reader: str | None = None
    """Reader of the files, e.g. sequences or delimited; None means that it is detected."""

    @property
    def is_random(self) -> bool:
        """False: only a validation split without a file is drawn."""
        return False

    def split(self, log: Interactions) -> Split:
        """Read the files and combine them with the log."""
        if self.targets is None:
            raise SpecError("split (predefined)", "no file of targets", "targets = a path")
        valid, candidates = (None if f is None else as_log(f, self.reader) for f in (self.validation, self.candidates))
        targets = as_log(self.targets, self.reader)
        return predefined(
            log, targets, validation=valid, candidates=candidates, query_history=self.query_history, seed=self.seed
        )

    def validation_protocol(self, train: Interactions) -> Random:
        """A tenth of every history, drawn at random."""
        return Random(fraction=0.1, seed=self.effective_seed + 1_000_003, max_fraction=0.5)


def predefined(
    train: Source,
    targets: Source,
    *,
    validation: Source | None = None,
    candidates: Source | None = None,
    query_history: Literal["train_and_validation", "train"] = "train_and_validation",
    seed: int | None = None,
) -> Split:
    """Split of parts that are given as logs, tables or files."""
    sources = {"train": train, "targets": targets, "validation": validation, "candidates": candidates}
    logs = {name: as_log(source) for name, source in sources.items() if source is not None}
    source = hashlib.sha256(" ".join(f"{name} {log.fingerprint}" for name, log in logs.items()).encode()).hexdigest()
    parts = _on_one_vocabulary(logs)
    train, query_log = parts["train"], parts["train"]
    protocol = Predefined(query_history=query_history, seed=seed)
    validation_split = None
    if "validation" in parts:
        validation_split = _split_from_files(
            train,
            train,
            parts["validation"],
            None,
            Predefined(query_history="train", seed=seed),
            f"validation {source}",
        )
        query_log = _concat(train, parts["validation"]) if query_history == "train_and_validation" else train
    split = _split_from_files(train, query_log, parts["targets"], parts.get("candidates"), protocol, source)
    return replace(split, validation=validation_split)


def _split_from_files(
    train: Interactions,
    query_log: Interactions,
    targets: Interactions,
    candidates: Interactions | None,
    protocol: Predefined,
    source: str,
) -> Split:
    """Split with one query for each user of `targets`; histories come from `query_log`."""
    users = np.flatnonzero(np.diff(targets.offsets)).astype(np.int32)
    if len(users) == 0:
        raise no_test_users(targets)
    row, part = np.searchsorted(users, targets.user), np.zeros(len(targets), dtype=np.int8)
    target = Targets.from_rows(train.users, train.items, users, row, targets.item, part, PART)
    query = query_histories(train, query_log, users)
    matrix = None if candidates is None else _candidate_matrix(candidates, users)
    return Split(train, query, target, protocol, source, matrix)


def _candidate_matrix(candidates: Interactions, users: NDArray[np.int32]) -> csr_array:
    """Candidates (m, n_items) of the users (m,), each with at least one."""
    matrix = candidates.matrix[users].astype(np.int8)
    without = int((np.diff(matrix.indptr) == 0).sum())
    if without:
        found = f"{without:,} of {len(users):,} queried users have no candidates"
        raise SplitError(
            found, "candidates for every user with targets", "Add them, or remove the targets of these users."
        )
    return csr_array(matrix)


def _on_one_vocabulary(logs: dict[str, Interactions]) -> dict[str, Interactions]:
    """The logs encoded in one common vocabulary."""
    users = _union([log.users for log in logs.values()])
    items = _union([log.items for log in logs.values()])
    return {name: _reindex(log, users, items) for name, log in logs.items()}


def _union(vocabularies: list[Vocabulary]) -> Vocabulary:
    """Vocabulary of all ids; if one has text, whole numbers become text too."""
    ids = [vocabulary.ids for vocabulary in vocabularies]
    if any(vocabulary.is_text for vocabulary in vocabularies):
        ids = [series.cast(pl.String) for series in ids]
    return Vocabulary.of(pl.concat(ids))


def _reindex(log: Interactions, users: Vocabulary, items: Vocabulary) -> Interactions:
    if log.users == users and log.items == items:
        return log
    user, item = users.encode(log.users.ids)[log.user], items.encode(log.items.ids)[log.item]
    reindexed = Interactions.of((users, items), user, item, log.time, log.time_kind, log.weight)
    of_users, of_items = log.user_attributes, log.item_attributes
    return replace(
        reindexed,
        user_attributes=None if of_users is None else of_users.reindex(users),
        item_attributes=None if of_items is None else of_items.reindex(items),
    )


def _concat(first: Interactions, second: Interactions) -> Interactions:
    """Both logs; the second follows the first unless both have times in seconds."""
    seconds = first.time_kind == second.time_kind == "seconds"
    later = second.time if seconds else second.time + (first.time.max(initial=0) + 1 - second.time.min(initial=0))
    both = Interactions.of(
        (first.users, first.items),
        np.concatenate([first.user, second.user]),
        np.concatenate([first.item, second.item]),
        np.concatenate([first.time, later]),
        first.time_kind if seconds else "order",
    )
    return replace(both, item_attributes=first.item_attributes)
