"""`Split`, the base of all protocols, and the function of a protocol."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Concatenate, ParamSpec, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from matinee.data import Histories, Interactions, Targets
from matinee.errors import SpecError, SplitError
from matinee.spec import Seed, Spec, build

P = ParamSpec("P")

TRAIN, QUERY_ONLY, DROPPED = -1, -2, -3
"""Destinations of rows that are not targets: training, query only, dropped. Targets have their part 0, 1, …"""


@dataclass(frozen=True, eq=False)
class Split:
    """Training log, queries and their targets, made from one log by a protocol.

    - `train`: the rows that models are trained on, with the vocabularies and attributes of the whole log.
    - `query`: m histories that models score. `query.user` is −1 for users without training rows.
    - `target`: the held-out items of the same m users, with a label per part; every row has at least one target.
      `target.user` has the code of every user. Models never receive it.

    Row r of `query`, `target` and `candidates` belongs to the same user.
    """

    train: Interactions
    query: Histories
    target: Targets
    protocol: SplitSpec
    source: str
    """Fingerprint of the original log."""
    candidates: csr_array | None = None
    """Items that may be recommended (m, n_items); None means all items."""
    validation: Split | None = None
    """Validation split that came with the data; None means that `validation_split` makes one from `train`."""
    seen_targets_dropped: bool = False
    """True if targets that occur in the query were removed."""

    @cached_property
    def fingerprint(self) -> str:
        """Hash of log, protocol and options; only runs with equal ones are comparable.

        The seed counts only if the protocol is random.
        """
        protocol = {**self.protocol.to_dict(), "seed": self.protocol.effective_seed if self.protocol.is_random else 0}
        content = json.dumps(
            {"source": self.source, "fresh": self.seen_targets_dropped, "protocol": protocol}, sort_keys=True
        )
        return hashlib.sha256(content.encode()).hexdigest()

    def validation_split(self) -> Split:
        """Validation split, made from `train` by the same protocol; `target` is not used."""
        return (
            self.validation
            if self.validation is not None
            else self.protocol.validation_protocol(self.train).split(self.train)
        )

    def drop_seen_targets(self) -> Split:
        """Split without targets that occur in the query, for tasks that exclude seen items.

        Users without remaining targets are removed. A log without duplicates is not changed.
        """
        answer, width = self.target, len(self.train.items)
        row = np.repeat(np.arange(len(answer)), answer.count)
        seen = np.repeat(np.arange(len(self.query)), np.diff(self.query.offsets)) * width + self.query.item
        new = ~np.isin(row * width + answer.item, seen)
        keep = np.flatnonzero(np.bincount(row[new], minlength=len(answer)))
        if len(keep) == 0:
            raise SplitError(
                "all targets occur in the queries",
                "at least one target that is new to its user",
                "Set seen = 'include'.",
            )
        target = Targets.from_rows(
            answer.users,
            answer.items,
            answer.user[keep],
            np.searchsorted(keep, row[new]),
            answer.item[new],
            answer.part[new],
            answer.parts,
        )
        candidates = None if self.candidates is None else self.candidates[keep]
        valid = None if self.validation is None else self.validation.drop_seen_targets()
        return replace(
            self,
            query=self.query.take(keep),
            target=target,
            candidates=candidates,
            validation=valid,
            seen_targets_dropped=True,
        )


class SplitSpec(Spec):
    """A split protocol: options and the method that splits a log.

    One file of `split/` defines one protocol; a timeline in its docstring shows what happens to each row. A protocol
    is frozen and can be written in an experiment file: `kind` is the file name, the fields are its options.
    """

    may_query_new_users: ClassVar[bool] = False
    """Whether it holds out whole users, so that queries come from users without training interactions."""

    seed: Seed | None = None
    """Seed of the draws; None means the seed of the experiment, or 0."""

    @property
    def effective_seed(self) -> int:
        """The seed, 0 where none is set."""
        return self.seed or 0

    @property
    def is_random(self) -> bool:
        """True if the split depends on the seed."""
        return True

    @property
    def n_cuts(self) -> int:
        """Number of splits of a log that the protocol defines; `split` returns one of them."""
        return 1

    @abstractmethod
    def split(self, log: Interactions) -> Split:
        """Split a log; raises `SplitError` where the protocol does not apply to it."""

    def validation_protocol(self, train: Interactions) -> SplitSpec:
        """Protocol of the validation split of `train`: the same options, another seed."""
        return self.model_copy(update={"seed": self.effective_seed + 1_000_003})


def assemble(
    log: Interactions,
    destination: NDArray[np.int8],
    protocol: SplitSpec,
    parts: tuple[str, ...],
    query_log: int = TRAIN,
) -> Split:
    """Split that sends row i of the log to `destination[i]`.

    Destinations are `TRAIN`, `QUERY_ONLY`, `DROPPED` or a part ≥ 0.     Queries are the rows with the destination
    `query_log` of all users with targets. Raises `SplitError` if there is no
    target.
    """
    train = log.filter(destination == TRAIN)
    rows = np.flatnonzero(destination >= 0)
    user = log.user[rows]
    users = np.flatnonzero(np.bincount(user, minlength=log.n_users)).astype(np.int32)
    if len(users) == 0:
        raise no_test_users(log)
    row = np.searchsorted(users, user)
    target = Targets.from_rows(log.users, log.items, users, row, log.item[rows], destination[rows], parts)
    past = train if query_log == TRAIN else log.filter(destination == query_log)
    return Split(train, query_histories(train, past, users), target, protocol, log.fingerprint)


def query_histories(train: Interactions, query_log: Interactions, query_users: NDArray[np.int32]) -> Histories:
    """Histories of `query_users` (m,) in `query_log`.

    The user is −1 if `train` has no row of the user.
    """
    rows = query_log.histories() if len(query_users) == query_log.n_users else query_log.histories(query_users)
    known = np.diff(train.offsets)[query_users] > 0
    return rows if known.all() else replace(rows, user=np.where(known, query_users, np.int32(-1)).astype(np.int32))


def no_test_users(log: Interactions) -> SplitError:
    """Error for a log without a user that has both a query and a target."""
    longest = int(np.diff(log.offsets).max(initial=0))
    found = f"no user has enough interactions for this split ({log.n_users:,} users, longest history: {longest})"
    expected = "users with at least one row to train on and one to hold out"
    return SplitError(found, expected, "Reduce the number of held-out items.")


def need_order(log: Interactions, protocol: SplitSpec, todo: str) -> None:
    """Raise `SplitError` for a log without times or order."""
    if log.time_kind == "none":
        raise SplitError(f"the log has no times and {protocol.kind} holds out the last rows", "a time column", todo)


def as_function(spec: Callable[P, SplitSpec]) -> Callable[Concatenate[Interactions, P], Split]:
    """Function of a protocol: `last_n(log, n=3)` is `LastN(n=3).split(log)`.

    Options, types and defaults are those of the spec; the docstring is that of the module.
    """
    cls = cast("type[SplitSpec]", spec)

    def split_log(log: Interactions, *args: P.args, **options: P.kwargs) -> Split:
        if not isinstance(log, Interactions):  # pyright: ignore[reportUnnecessaryIsInstance]
            todo = "Read tables and files with matinee.read."
            raise SpecError(f"split.{split_log.__name__}", f"found {type(log).__name__}", "Interactions", todo)
        protocol = spec(*args, **options) if args else build(cls, options, f"split.{split_log.__name__}")
        return protocol.split(log)

    module = sys.modules[cls.__module__]
    options = sorted(inspect.signature(cls).parameters.values(), key=lambda p: p.name == "seed")
    first = inspect.Parameter("log", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Interactions)
    lines = [f"    {name}: {field.description}" for name, field in cls.model_fields.items()]
    split_log.__name__ = split_log.__qualname__ = cls.__module__.rpartition(".")[2]
    split_log.__module__ = cls.__module__
    split_log.__doc__ = "\n".join([(module.__doc__ or "").rstrip(), "", "Options:", *lines])
    signature = inspect.Signature([first, *options], return_annotation=Split)
    split_log.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return split_log


def exactly_one_of(where: str, **options: object) -> None:
    """Raise `SpecError` unless exactly one of these options is given."""
    names, present = list(options), [name for name, value in options.items() if value is not None]
    if len(present) != 1:
        found = "none is given" if not present else f"{' and '.join(present)} are given"
        raise SpecError(where, found, f"exactly one of {', '.join(names)}")
