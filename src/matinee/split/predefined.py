"""A split that came with the data: learn from one file, answer from another, as published or as a contest asks.

What it answers: whatever its makers meant. It makes numbers comparable with a paper's table.

When: LightGCN's train.txt and test.txt, NCF's test.rating and test.negative, S3-Rec's files, folds of your own.

`predefined(train, test, validation=valid)`; a column is a day, the marks tell the file; = train, v valid, g test:

    ann   A B C D   →   = = v g
    ben   C A B .   →   = = g .
    cat   . . . E   →   . . . g

Nothing of it is dropped: cat and E stand in no training row, yet cat is asked, with an empty history, and E is an
item. Ids of all files make one vocabulary, in which the log is encoded anew. `ask.user` of cat is −1.

By the time of the test the valid rows are past, so they belong to the asked history (context = "both"); models
learn from the training rows alone. `candidates`, a table of (user, item) or NCF's negatives, are the only items a
person may get: NCF's lists get the positive itself, which their format keeps apart; a table is taken as it is.
Without `valid` the stop fold is a tenth of every training history, at random.

Repeats: answers are different items; one that stands in the history stays an answer (see `Split.without_seen`).
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
    """Files of answers beside the log."""

    targets: Path | None = None
    """File of what the asked users really took."""

    validation: Path | None = None
    """File of what early stopping may look at; nothing means a tenth of every history, drawn."""

    candidates: Path | None = None
    """File of the only items each user may get, (user, item) or NCF's test.negative; nothing means all items."""

    query_history: Literal["train_and_validation", "train"] = "train_and_validation"
    """What an asked person is known to have taken: the training and the valid rows, or the training rows alone."""

    reader: str | None = None
    """How the files are read where that cannot be told from them, e.g. sequences or delimited."""

    @property
    def is_random(self) -> bool:
        """Only a stop fold that did not come along is drawn."""
        return False

    def split(self, log: Interactions) -> Split:
        """Read the files and put them beside the log."""
        if self.targets is None:
            raise SpecError("split (predefined)", "no file of answers", "answer = a path")
        valid, candidates = (None if f is None else as_log(f, self.reader) for f in (self.validation, self.candidates))
        answers = as_log(self.targets, self.reader)
        return predefined(
            log, answers, validation=valid, candidates=candidates, query_history=self.query_history, seed=self.seed
        )

    def validation_protocol(self, learn: Interactions) -> Random:
        """A tenth of every history, for want of a file."""
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
    """The split whose parts are given, as logs, tables or files."""
    sources = {"train": train, "targets": targets, "validation": validation, "candidates": candidates}
    logs = {name: as_log(source) for name, source in sources.items() if source is not None}
    source = hashlib.sha256(" ".join(f"{name} {log.fingerprint}" for name, log in logs.items()).encode()).hexdigest()
    parts = _on_one_vocabulary(logs)
    train, past = parts["train"], parts["train"]
    protocol = Predefined(query_history=query_history, seed=seed)
    stop = None
    if "validation" in parts:
        stop = _split_from_files(
            train,
            train,
            parts["validation"],
            None,
            Predefined(query_history="train", seed=seed),
            f"validation {source}",
        )
        past = _concat(train, parts["validation"]) if query_history == "train_and_validation" else train
    split = _split_from_files(train, past, parts["targets"], parts.get("candidates"), protocol, source)
    return replace(split, validation=stop)


def _split_from_files(
    train: Interactions,
    past: Interactions,
    answers: Interactions,
    candidates: Interactions | None,
    protocol: Predefined,
    source: str,
) -> Split:
    """The split that asks everybody in `answers`, whose history stands in `past`."""
    asked = np.flatnonzero(np.diff(answers.offsets)).astype(np.int32)
    if len(asked) == 0:
        raise no_test_users(answers)
    row, part = np.searchsorted(asked, answers.user), np.zeros(len(answers), dtype=np.int8)
    answer = Targets.from_rows(train.users, train.items, asked, row, answers.item, part, PART)
    ask = query_histories(train, past, asked)
    allowed = None if candidates is None else _allowed(candidates, asked)
    return Split(train, ask, answer, protocol, source, allowed)


def _allowed(candidates: Interactions, asked: NDArray[np.int32]) -> csr_array:
    """The items each asked user may get, (m, n_items). Everybody asked needs some."""
    allowed = candidates.matrix[asked].astype(np.int8)
    without = int((np.diff(allowed.indptr) == 0).sum())
    if without:
        found = f"{without:,} of {len(asked):,} asked users have no candidates"
        raise SplitError(found, "candidates of everybody asked", "Add them, or leave their answers out.")
    return csr_array(allowed)


def _on_one_vocabulary(logs: dict[str, Interactions]) -> dict[str, Interactions]:
    """The same logs with the ids of all of them."""
    users = _union([log.users for log in logs.values()])
    items = _union([log.items for log in logs.values()])
    return {name: _reindex(log, users, items) for name, log in logs.items()}


def _union(vocabularies: list[Vocabulary]) -> Vocabulary:
    """The ids of all; where one has text, whole numbers are taken as text too."""
    ids = [vocabulary.ids for vocabulary in vocabularies]
    if any(vocabulary.is_text for vocabulary in vocabularies):
        ids = [series.cast(pl.String) for series in ids]
    return Vocabulary.of(pl.concat(ids))


def _reindex(log: Interactions, users: Vocabulary, items: Vocabulary) -> Interactions:
    if log.users == users and log.items == items:
        return log
    user, item = users.encode(log.users.ids)[log.user], items.encode(log.items.ids)[log.item]
    moved = Interactions.of((users, items), user, item, log.time, log.time_kind, log.weight)
    of_users, of_items = log.user_attributes, log.item_attributes
    return replace(
        moved,
        user_attributes=None if of_users is None else of_users.reindex(users),
        item_attributes=None if of_items is None else of_items.reindex(items),
    )


def _concat(first: Interactions, then: Interactions) -> Interactions:
    """Both logs; the second stands after the first unless both have real times."""
    seconds = first.time_kind == then.time_kind == "seconds"
    later = then.time if seconds else then.time + (first.time.max(initial=0) + 1 - then.time.min(initial=0))
    both = Interactions.of(
        (first.users, first.items),
        np.concatenate([first.user, then.user]),
        np.concatenate([first.item, then.item]),
        np.concatenate([first.time, later]),
        first.time_kind if seconds else "order",
    )
    return replace(both, item_attributes=first.item_attributes)
