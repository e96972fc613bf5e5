"""What a split is: three values with a fingerprint; and how a protocol becomes a verb on logs."""

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
"""Where a row of the log goes that is no answer: learnt from, only asked about, or nowhere. Answers are 0, 1, …"""


@dataclass(frozen=True, eq=False)
class Split:
    """What may be learnt from, who is asked, and what they really took.

    Row r of `ask`, `answer` and `candidates` (m, n_items; the only items a row may get, None for all) are the same
    person; everybody asked has an answer. `learn` has the vocabularies and attributes of the whole log. `ask.user`
    is −1 for somebody with no row in `learn`; `answer.user` names them all. `protocol` says how it was cut.
    """

    train: Interactions
    query: Histories
    target: Targets
    protocol: SplitSpec
    source: str
    """The fingerprint of the log it was cut from."""
    candidates: csr_array | None = None
    validation: Split | None = None
    """A stop fold that came with the data; None where it is carved out of `learn` on demand."""
    seen_targets_dropped: bool = False
    """Whether answers that stand in the asked history were taken out."""

    @cached_property
    def fingerprint(self) -> str:
        """The same for the same log, protocol, knobs and seed; runs are compared only when theirs are equal.

        The seed of a protocol that draws nothing does not count: its splits are the same.
        """
        protocol = {**self.protocol.to_dict(), "seed": self.protocol.effective_seed if self.protocol.is_random else 0}
        said = json.dumps(
            {"source": self.source, "fresh": self.seen_targets_dropped, "protocol": protocol}, sort_keys=True
        )
        return hashlib.sha256(said.encode()).hexdigest()

    def validation_split(self) -> Split:
        """The fold early stopping looks at: cut from `learn` by the same protocol, so `answer` stays unseen."""
        return (
            self.validation
            if self.validation is not None
            else self.protocol.validation_protocol(self.train).split(self.train)
        )

    def drop_seen_targets(self) -> Split:
        """The same question without the answers that stand in the asked history: fair where seen items are barred.

        People left without an answer are no longer asked. Nothing changes on a log without repeats.
        """
        answer, width = self.target, len(self.train.items)
        row = np.repeat(np.arange(len(answer)), answer.count)
        taken = np.repeat(np.arange(len(self.query)), np.diff(self.query.offsets)) * width + self.query.item
        new = ~np.isin(row * width + answer.item, taken)
        keep = np.flatnonzero(np.bincount(row[new], minlength=len(answer)))
        if len(keep) == 0:
            raise SplitError(
                "all answers stand in the asked histories", "somebody who took something new", "Set seen = 'include'."
            )
        fresh = Targets.from_rows(
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
            target=fresh,
            candidates=candidates,
            validation=valid,
            seen_targets_dropped=True,
        )


class SplitSpec(Spec):
    """A protocol: one file of `split/` defines one, its timeline drawn in the docstring."""

    may_query_new_users: ClassVar[bool] = False
    """Whether it holds out whole users, so that queries come from users without training interactions."""

    seed: Seed | None = None
    """Seed of the draws; nothing means the seed of the experiment, or 0."""

    @property
    def effective_seed(self) -> int:
        """The seed, 0 where none is set."""
        return self.seed or 0

    @property
    def is_random(self) -> bool:
        """Whether chance has a part in it, so that the seed matters."""
        return True

    @property
    def n_cuts(self) -> int:
        """How many splits of a log it describes; `cut` gives one of them."""
        return 1

    @abstractmethod
    def split(self, log: Interactions) -> Split:
        """Cut a log. Raises `SplitError` where the log cannot be cut so."""

    def validation_protocol(self, learn: Interactions) -> SplitSpec:
        """The protocol that carves the stop fold out of `learn`: the same knobs, another seed."""
        return self.model_copy(update={"seed": self.effective_seed + 1_000_003})


def assemble(
    log: Interactions,
    destination: NDArray[np.int8],
    protocol: SplitSpec,
    parts: tuple[str, ...],
    query_log: int = TRAIN,
) -> Split:
    """The split in which row i of the log goes where `held[i]` says: `LEARN`, `ASK_ONLY`, `OUT`, or a part ≥ 0.

    Histories are the rows of the people with answers that are `asked_from`. Raises `SplitError` if nobody has any.
    """
    learn = log.filter(destination == TRAIN)
    rows = np.flatnonzero(destination >= 0)
    user = log.user[rows]
    asked = np.flatnonzero(np.bincount(user, minlength=log.n_users)).astype(np.int32)
    if len(asked) == 0:
        raise no_test_users(log)
    row = np.searchsorted(asked, user)
    answer = Targets.from_rows(log.users, log.items, asked, row, log.item[rows], destination[rows], parts)
    past = learn if query_log == TRAIN else log.filter(destination == query_log)
    return Split(learn, query_histories(learn, past, asked), answer, protocol, log.fingerprint)


def query_histories(train: Interactions, query_log: Interactions, query_users: NDArray[np.int32]) -> Histories:
    """The rows of `past` of the asked users (m,); the user is −1 where `learn` has no row of them."""
    rows = query_log.histories() if len(query_users) == query_log.n_users else query_log.histories(query_users)
    known = np.diff(train.offsets)[query_users] > 0
    return rows if known.all() else replace(rows, user=np.where(known, query_users, np.int32(-1)).astype(np.int32))


def no_test_users(log: Interactions) -> SplitError:
    """The complaint about a log of which nobody can be asked."""
    longest = int(np.diff(log.offsets).max(initial=0))
    found = f"nobody can be asked among {log.n_users:,} users, the longest history has {longest} rows"
    return SplitError(found, "users with something to learn from and something to hold out", "Hold out less.")


def need_order(log: Interactions, protocol: SplitSpec, todo: str) -> None:
    """Refuse a log that does not say what came first."""
    if log.time_kind == "none":
        raise SplitError(f"the log has no times and {protocol.kind} holds out what came last", "a time column", todo)


def as_function(spec: Callable[P, SplitSpec]) -> Callable[Concatenate[Interactions, P], Split]:
    """`split.tail(log, k=3)` from the spec `Tail(k=3)`: the knobs, their types and defaults are those of the spec."""
    cls = cast("type[SplitSpec]", spec)

    def cut(log: Interactions, *args: P.args, **knobs: P.kwargs) -> Split:
        if not isinstance(log, Interactions):  # pyright: ignore[reportUnnecessaryIsInstance]
            todo = "Read tables and files with matinee.read."
            raise SpecError(f"split.{cut.__name__}", f"found {type(log).__name__}", "Interactions", todo)
        protocol = spec(*args, **knobs) if args else build(cls, knobs, f"split.{cut.__name__}")
        return protocol.split(log)

    module = sys.modules[cls.__module__]
    knobs = sorted(inspect.signature(cls).parameters.values(), key=lambda p: p.name == "seed")
    first = inspect.Parameter("log", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Interactions)
    lines = [f"    {name}: {field.description}" for name, field in cls.model_fields.items()]
    cut.__name__ = cut.__qualname__ = cls.__module__.rpartition(".")[2]
    cut.__module__ = cls.__module__
    cut.__doc__ = "\n".join([(module.__doc__ or "").rstrip(), "", "Knobs:", *lines])
    cut.__signature__ = inspect.Signature([first, *knobs], return_annotation=Split)  # pyright: ignore[reportFunctionMemberAccess]
    return cut


def exactly_one_of(where: str, **given: object) -> None:
    """Refuse unless exactly one of these knobs is given."""
    names, there = list(given), [name for name, value in given.items() if value is not None]
    if len(there) != 1:
        found = "none is given" if not there else f"{' and '.join(there)} are given"
        raise SpecError(where, found, f"exactly one of {', '.join(names)}")
