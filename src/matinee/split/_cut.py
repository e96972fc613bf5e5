"""What a split is: three values with a fingerprint; and how a protocol becomes a verb on logs."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, ParamSpec

from scipy.sparse import csr_array

from matinee.data import Answers, Histories, Interactions
from matinee.spec import Spec

P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class Split:
    """What may be learnt from, who is asked, and what they really took.

    Row r of `ask`, `answer` and `candidates` (m, n_items; the only items a row may get, None for all) are the same
    person. `learn` has the vocabularies of the whole log. `protocol` says how it was cut, knobs and seed included.
    """

    learn: Interactions
    ask: Histories
    answer: Answers
    protocol: SplitSpec
    source: str
    """The fingerprint of the log it was cut from."""
    candidates: csr_array | None = None
    valid: Split | None = None
    """A stop fold that came with the data; None where it is carved out of `learn` on demand."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """The same for the same log, protocol, knobs and seed; runs are compared only when theirs are equal."""
        said = json.dumps({"source": self.source, **self.protocol.written()}, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def stop(self) -> Split:
        """The fold early stopping looks at: cut from `learn` by the same protocol, so `answer` stays unseen."""
        return self.valid if self.valid is not None else self.protocol.inner().cut(self.learn)


class SplitSpec(Spec):
    """A protocol: one file of `split/` defines one, its timeline drawn in the docstring."""

    seed: int | None = None
    """Seed of the draws; nothing means the seed of the experiment, or 0."""

    def cut(self, log: Interactions) -> Split:
        """Cut a log. Raises `SplitError` where the log cannot be cut so."""
        raise NotImplementedError

    def inner(self) -> SplitSpec:
        """The protocol that carves the stop fold: the same knobs, another seed."""
        return self.model_copy(update={"seed": (self.seed or 0) + 1_000_003})


def verb(spec: Callable[P, SplitSpec]) -> Callable[Concatenate[Interactions, P], Split]:
    """`split.tail(log, k=3)` from the spec `Tail(k=3)`: the knobs, their types and defaults are those of the spec."""

    @functools.wraps(spec, updated=())
    def cut(log: Interactions, *args: P.args, **knobs: P.kwargs) -> Split:
        return spec(*args, **knobs).cut(log)

    return cut
