"""The model interface: `Task`, `Mask`, `FitContext`, `ModelSpec` and `FittedModel`."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_array

from matinee.data import Histories, Interactions, Vocabulary
from matinee.data.codes import check_codes, check_offsets
from matinee.data.vocabulary import raw_ids
from matinee.errors import InsufficientMemoryError, SpecError, UnsupportedError
from matinee.memory import free_memory as free_memory
from matinee.observer import SILENT, StageObserver
from matinee.observer import Observer as Observer
from matinee.shared import SharedWork
from matinee.spec import Spec
from matinee.threads import limit_threads

MAX_SHOWN = 3
"""Maximum number of unknown ids in a message."""


class Task(Spec):
    """The recommendation task: list length, metrics, and items that may be recommended."""

    k: Annotated[int, Field(ge=1)] = 10
    """Number of items in each list."""

    metric: str = "recall@10"
    """The metric that ranks runs: one metric, or a weighted sum such as 0.75*recall@25+0.25*ndcg@25."""

    extra_metrics: tuple[str, ...] = ("ndcg@10", "hit@10", "coverage@10")
    """Further metrics to report."""

    profile: str = "matinee"
    """The library that defines the metrics; recall of the default profile is hits / min(k, targets)."""

    seen: Literal["exclude", "include"] = "exclude"
    """Whether items of the user's history may be recommended again."""

    available: Literal["all", "train", "recent"] = "all"
    """Items that may be recommended: all, those in the training set, or those with a recent interaction."""

    recent_days: Annotated[float, Field(gt=0)] = 90.0
    """With available = "recent": days before the end of the log with at least one interaction of the item."""

    stored_k: Annotated[int, Field(ge=1)] = 100
    """Number of items per user that a run stores, for ensembles and metrics with another cut-off."""

    def available_items(self, train: Interactions) -> NDArray[np.bool_] | None:
        """Items (n_items,) that may be recommended after training on `train`; None means all."""
        if self.available == "all":
            return None
        rows = train.item
        if self.available == "recent":
            if train.time_kind != "seconds":
                raise SpecError(
                    "task.available", "found 'recent', but the log has no times", "a log with times", "Use 'train'."
                )
            last = train.time.max(initial=0)
            rows = rows[train.time >= last - self.recent_days * 86400.0]
        return np.bincount(rows, minlength=train.n_items) > 0


def never_stop(epochs: int, metric: float) -> bool:
    """Whether to stop training: never, the default."""
    return False


@dataclass(frozen=True)
class FitContext:
    """All inputs of a fit other than data and hyperparameters."""

    seed: int = 0
    """The seed of all random numbers of the fit."""

    device: str = "cpu"
    """Device of the tensors, "cpu" or "cuda". Models without a network ignore it."""

    observer: Observer = SILENT
    """Receives the progress, the messages and the events of the fit."""

    validate: Callable[[FittedModel], float] | None = None
    """The task's metric on the validation split, larger is better; None means no validation."""

    should_stop: Callable[[int, float], bool] = never_stop
    """Called after each evaluation with (epochs, metric); training ends with its best weights if it returns True.

    A training that is resumed calls it again for its last evaluation.
    """

    threads: int | None = None
    """Threads of a fit and of its lists; None means all cores this process may use."""

    memory_limit: int | None = None
    """Maximum number of bytes of a fit; None means the free memory. A fit that is predicted to need more is refused."""

    checkpoint_dir: Path | None = None
    """Folder of the checkpoints from which an interrupted fit resumes; None means none are written."""

    stage: tuple[str, ...] = ()
    """Names of the stages from the whole fit to this part of it, see `child`."""

    shared: SharedWork | None = None
    """Intermediate results that fits share, such as a Gram matrix; None means that each fit computes its own."""

    def rng(self, *key: int) -> np.random.Generator:
        """A new generator for (seed, stage, key); equal keys give equal draws, in any order of calls."""
        stages = (int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) for name in self.stage)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(*stages, *key)))

    def child(self, name: str) -> FitContext:
        """The context of one stage of a fit, such as pre-training.

        It has its own checkpoint folder and random numbers; `name` precedes its events and progress texts. `validate`
        and `should_stop` are those of the fit: `replace(ctx.child(name), validate=None)` disables both.
        """
        return replace(
            self,
            stage=(*self.stage, name),
            checkpoint_dir=None if self.checkpoint_dir is None else self.checkpoint_dir / name,
            observer=StageObserver(self.observer, name),
        )

    def check_memory(self, spec: ModelSpec, data: Interactions) -> int:
        """The bytes that `spec` is predicted to need for `data`.

        Raises `UnsupportedError` if it cannot be fitted to `data`, `InsufficientMemoryError` if memory is insufficient.
        """
        if not isinstance(data, Interactions):  # pyright: ignore[reportUnnecessaryIsInstance]
            todo = "Read tables and files with matinee.read; of a split, use split.train."
            raise SpecError(f"{spec.kind}.fit", f"found {type(data).__name__}", "Interactions", todo)
        spec.check_data(data)
        needed = spec.estimate_memory(data.n_users, data.n_items, len(data))
        available = free_memory() if self.memory_limit is None else self.memory_limit
        if self.shared is not None and self.memory_limit is None:
            available += self.shared.n_bytes  # `set_limit` drops them where the fit needs their memory
        if needed > available:
            what = f"{spec.kind} on {data.n_users:,} users × {data.n_items:,} items"
            raise InsufficientMemoryError(what, needed, available, spec.memory_advice)
        if self.shared is not None:
            self.shared.set_limit(available - needed)
        return needed


@dataclass(frozen=True, eq=False)
class Mask:
    """Items that may be recommended in each row; the same for all models."""

    seen: bool = True
    """Whether items of the user's history are excluded."""

    available: NDArray[np.bool_] | None = None
    """Items (n_items,) that may be recommended to all users; None means all."""

    candidates: csr_array | None = None
    """Items (m, n_items) that may be recommended in each row of the histories, as non-zeros; None means all."""

    @staticmethod
    def only(ids: Iterable[int] | Iterable[str], items: Vocabulary, *, seen: bool = True) -> Mask:
        """The mask of these raw item ids only. Raises `SpecError` for unknown ids."""
        return Mask(seen, _item_mask(ids, items, "Mask.only"))

    @staticmethod
    def without(ids: Iterable[int] | Iterable[str], items: Vocabulary, *, seen: bool = True) -> Mask:
        """The mask of all items except these raw ids. Raises `SpecError` for unknown ids."""
        return Mask(seen, ~_item_mask(ids, items, "Mask.without"))

    def check(self, n_rows: int, n_items: int) -> None:
        """Raise `SpecError` unless `available` and `candidates` are valid.

        Valid means bool (n_items,), and a CSR (n_rows, n_items) without stored zeros or repeated columns.
        """
        todo = "Use Mask.only([ids], items) or Mask.without([ids], items) for raw ids."
        if self.available is not None:
            array = np.asarray(self.available)
            if array is not self.available or array.dtype != np.bool_ or array.shape != (n_items,):
                found = f"found {type(self.available).__name__} of {array.dtype} with the shape {array.shape}"
                raise SpecError("mask.available", found, f"an array of bool with the shape ({n_items},)", todo)
        candidates = self.candidates
        if candidates is not None:
            if not isinstance(candidates, csr_array) or candidates.shape != (n_rows, n_items):  # pyright: ignore[reportUnnecessaryIsInstance]
                found = f"found {type(candidates).__name__} with the shape {np.shape(candidates)}"
                raise SpecError("mask.candidates", found, f"a csr_array of the shape ({n_rows}, {n_items})", todo)
            check_offsets("mask.candidates.indptr", candidates.indptr.astype(np.int64), n_rows, len(candidates.indices))
            check_codes("mask.candidates.indices", candidates.indices.astype(np.int32, copy=False), n_items)
            if not candidates.has_canonical_format or not candidates.data.all():
                todo = "Call candidates.sum_duplicates() and candidates.eliminate_zeros()."
                raise SpecError("mask.candidates", "found stored zeros, repeats or unsorted columns", "none", todo)

    def slice(self, start: int, stop: int) -> Mask:
        """The mask of rows start to stop − 1."""
        return self if self.candidates is None else replace(self, candidates=self.candidates[start:stop])

    def available_or_all(self, n_items: int) -> NDArray[np.bool_]:
        """`available`, or all items (n_items,) if it is None."""
        return np.ones(n_items, dtype=np.bool_) if self.available is None else self.available


def _item_mask(ids: Iterable[int] | Iterable[str], items: Vocabulary, where: str) -> NDArray[np.bool_]:
    """Items (n_items,) with one of these raw ids."""
    if isinstance(ids, str):
        raise SpecError(where, f"found the text {ids!r}", "a list of item ids", f"Write [{ids!r}].")
    raw = raw_ids(ids)
    code = items.encode(raw)
    if (code < 0).any():
        unknown = raw.filter(pl.Series(code < 0)).to_list()
        more = f" and {len(unknown) - MAX_SHOWN:,} more" if len(unknown) > MAX_SHOWN else ""
        found = f"found the unknown ids {', '.join(map(repr, unknown[:MAX_SHOWN]))}{more}"
        raise SpecError(where, found, f"ids among the {len(items):,} items", "Remove them.")
    mask = np.zeros(len(items), dtype=np.bool_)
    mask[code] = True
    return mask


@dataclass(frozen=True)
class AttributeColumns:
    """Names of columns among the attributes of users and of items."""

    user: tuple[str, ...] = ()
    item: tuple[str, ...] = ()


def _with_thread_limit(fit: Callable[..., FittedModel]) -> Callable[..., FittedModel]:
    """A `fit` that uses at most `ctx.threads` threads."""

    @wraps(fit)
    def limited(self: ModelSpec, data: Interactions, ctx: FitContext = FitContext()) -> FittedModel:
        with limit_threads(ctx.threads):
            return fit(self, data, ctx)

    return limited


class ModelSpec(Spec):
    """The hyperparameters of a model; each file of `models/` defines one class."""

    field_noun: ClassVar[str] = "hyperparameter"

    uses_order: ClassVar[bool] = False
    """Whether scores depend on the order of a history."""

    uses_time: ClassVar[bool] = False
    """Whether a log with times is required; checked when the experiment is read."""

    uses_validation: ClassVar[bool] = False
    """Whether a validation split decides a hyperparameter, such as the number of epochs."""

    personalized: ClassVar[bool] = True
    """Whether lists should differ between users; a guard warns if they do not."""

    is_random: ClassVar[bool] = False
    """Whether `fit` draws random numbers; if not, scores do not depend on the seed."""

    query_by: ClassVar[Literal["history", "user_id", "both"]] = "history"
    """What scores depend on: the history alone; the user id, so that only users of the training set have scores; or
    both, the user id where it is known and the history for new users."""

    cold_items: ClassVar[bool] = False
    """Whether items without training interactions can be recommended."""

    memory_advice: ClassVar[str] = "Use a k-core, fewer items, or a machine with more memory."
    """Advice of the error that `estimate_memory` exceeds the limit."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "fit" in vars(cls):
            cls.fit = _with_thread_limit(cls.fit)

    @abstractmethod
    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> FittedModel:
        """Train on `data`. Every implementation calls `ctx.check_memory(self, data)` first."""

    def shared_key(self) -> tuple[Hashable, ...]:
        """Names and values that determine the work `fit` shares through `ctx.shared`; empty if it shares none.

        Specs with equal keys share all of it, specs with a common prefix a part: a search fits them in succession.
        """
        return ()

    def check_data(self, data: Interactions) -> None:
        """Raise `UnsupportedError` if `data` lacks times, order or attributes that the model needs."""
        if self.uses_time and data.time_kind != "seconds":
            raise UnsupportedError(self.kind, "train on a log without times", "Use a log with a time column.")
        if self.uses_order and data.time_kind == "none":
            raise UnsupportedError(
                self.kind, "train on a log without order", "Use a log with times, or another model such as ease."
            )
        needed = self.attribute_columns()
        for side, names, attributes in (
            ("user", needed.user, data.user_attributes),
            ("item", needed.item, data.item_attributes),
        ):
            missing = sorted(set(names) - set(attributes.columns if attributes is not None else ()))
            if missing:
                action = f"train on a log without the {side} attributes {', '.join(missing)}"
                raise UnsupportedError(self.kind, action, "Use a data set with these columns, or choose other columns.")

    def attribute_columns(self) -> AttributeColumns:
        """Attribute columns of users and items that the model needs; by default none."""
        return AttributeColumns()

    @abstractmethod
    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Peak bytes of `fit`, without the data."""


class FittedModel(Protocol):
    """A fitted model scores; `topk` ranks. `topk.StreamsTopK` is the extension of models that rank themselves."""

    @property
    def spec(self) -> ModelSpec:
        """Hyperparameters, fully resolved: fitting this spec on other data needs no validation."""
        ...

    @property
    def items(self) -> Vocabulary:
        """The catalogue of its scores."""
        ...

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Scores (m, n_items); larger is better, seen items are not masked."""
        ...
