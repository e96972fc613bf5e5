"""What is asked of a model and what it gets: `Task`, `Mask`, `Context`, `ModelSpec`, and the verbs of a `Fitted`."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeAlias

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
from matinee.spec import Spec
from matinee.threads import limit_threads

MAX_SHOWN = 3
"""Unknown ids that a message names."""

Advance: TypeAlias = Callable[[int], None]
Progress: TypeAlias = Callable[[str, int], AbstractContextManager[Advance]]
"""`with progress("scoring", n_users) as advance: advance(512)`."""
EventSink: TypeAlias = Callable[[str, Mapping[str, Any]], None]
"""`note("training", {"losses": [0.9, 0.7]})`."""


class Task(Spec):
    """What has to be delivered, and by what number it is judged."""

    k: Annotated[int, Field(ge=1)] = 10
    """Length of the list every user gets."""

    metric: str = "recall@10"
    """The number to win: a metric, or a blend such as 0.75*recall@25+0.25*ndcg@25."""

    extra_metrics: tuple[str, ...] = ("ndcg@10", "hit@10", "coverage@10")
    """Further metrics to report beside it."""

    profile: str = "matinee"
    """Whose definitions the metrics follow; recall of the default profile is hits / min(k, answers)."""

    seen: Literal["exclude", "include"] = "exclude"
    """Whether items of the user's history may be recommended again."""

    available: Literal["all", "train", "recent"] = "all"
    """Which items may be recommended: all known, those with a row in the learn part, or those taken recently."""

    recent_days: Annotated[float, Field(gt=0)] = 90.0
    """With available = "recent": an item counts while somebody took it within this many days of the log's end."""

    stored_k: Annotated[int, Field(ge=1)] = 100
    """How many items a user a run keeps, so that ensembles and other cut-offs need no model."""

    def available_items(self, train: Interactions) -> NDArray[np.bool_] | None:
        """Which items (n_items,) may be recommended after learning from `learn`; None means all."""
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


@contextmanager
def no_progress(what: str, total: int) -> Generator[Advance]:
    """Progress nobody sees: the default outside the command line."""
    yield lambda done: None


def ignore_event(what: str, said: Mapping[str, Any]) -> None:
    """Nobody keeps what a fit has to say: the default."""


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

    progress: Progress = no_progress
    """Called when a long step starts; it gives the function that counts its progress."""

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

    log_event: EventSink = ignore_event
    """Called with an event name and its values when a training stage ends."""

    checkpoint_dir: Path | None = None
    """Folder of the checkpoints from which an interrupted fit resumes; None means none are written."""

    stage: tuple[str, ...] = ()
    """Names of the stages from the whole fit to this part of it, see `child`."""

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
            progress=partial(_stage_progress, self.progress, name),
            log_event=partial(_log_stage_event, self.log_event, name),
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
        if needed > available:
            what = f"{spec.kind} on {data.n_users:,} users × {data.n_items:,} items"
            raise InsufficientMemoryError(what, needed, available, spec.memory_advice)
        return needed


def _stage_progress(progress: Progress, stage: str, what: str, total: int) -> AbstractContextManager[Advance]:
    return progress(f"{stage}: {what}", total)


def _log_stage_event(log_event: EventSink, stage: str, name: str, values: Mapping[str, Any]) -> None:
    log_event(f"{stage}/{name}", values)


@dataclass(frozen=True, eq=False)
class Mask:
    """Which items a person may get; the one policy for all models."""

    seen: bool = True
    """Whether items of the person's own history are barred."""

    available: NDArray[np.bool_] | None = None
    """(n_items,) items anybody may get; None means all."""

    candidates: csr_array | None = None
    """(m, n_items) items each row may get, any non-zero; None means all. The rows are those of the histories."""

    @staticmethod
    def only(ids: Iterable[int] | Iterable[str], items: Vocabulary, *, seen: bool = True) -> Mask:
        """The mask that allows these raw item ids alone; raises `SpecError` for ids that `items` does not have."""
        return Mask(seen, _item_mask(ids, items, "Mask.only"))

    @staticmethod
    def without(ids: Iterable[int] | Iterable[str], items: Vocabulary, *, seen: bool = True) -> Mask:
        """The mask that allows all items but these raw ids; raises `SpecError` for ids that `items` does not have."""
        return Mask(seen, ~_item_mask(ids, items, "Mask.without"))

    def check(self, n_rows: int, n_items: int) -> None:
        """Raise `SpecError` unless `available` is bool (n_items,) and `candidates` a sound CSR (n_rows, n_items)."""
        todo = "Mask.only([ids], items) and Mask.without([ids], items) take raw ids."
        if self.available is not None:
            array = np.asarray(self.available)
            if array is not self.available or array.dtype != np.bool_ or array.shape != (n_items,):
                found = f"found {type(self.available).__name__} of {array.dtype} with the shape {array.shape}"
                raise SpecError("mask.available", found, f"an array of bool with the shape ({n_items},)", todo)
        offered = self.candidates
        if offered is not None:
            if not isinstance(offered, csr_array) or offered.shape != (n_rows, n_items):  # pyright: ignore[reportUnnecessaryIsInstance]
                found = f"found {type(offered).__name__} with the shape {np.shape(offered)}"
                raise SpecError("mask.candidates", found, f"a csr_array of the shape ({n_rows}, {n_items})", todo)
            check_offsets("mask.candidates.indptr", offered.indptr.astype(np.int64), n_rows, len(offered.indices))
            check_codes("mask.candidates.indices", offered.indices.astype(np.int32, copy=False), n_items)
            if not offered.has_canonical_format or not offered.data.all():
                todo = "Call candidates.sum_duplicates() and candidates.eliminate_zeros()."
                raise SpecError("mask.candidates", "found stored zeros, repeats or unsorted columns", "none", todo)

    def slice(self, start: int, stop: int) -> Mask:
        """The mask of rows start..stop."""
        return self if self.candidates is None else replace(self, candidates=self.candidates[start:stop])

    def available_or_all(self, n_items: int) -> NDArray[np.bool_]:
        """`available` (n_items,), spelled out."""
        return np.ones(n_items, dtype=np.bool_) if self.available is None else self.available


def _item_mask(ids: Iterable[int] | Iterable[str], items: Vocabulary, where: str) -> NDArray[np.bool_]:
    """Which items (n_items,) have one of these raw ids."""
    if isinstance(ids, str):
        raise SpecError(where, f"found the text {ids!r}", "a list of item ids", f"Write [{ids!r}].")
    wanted = raw_ids(ids)
    code = items.encode(wanted)
    if (code < 0).any():
        unknown = wanted.filter(pl.Series(code < 0)).to_list()
        more = f" and {len(unknown) - MAX_SHOWN:,} more" if len(unknown) > MAX_SHOWN else ""
        found = f"found the unknown ids {', '.join(map(repr, unknown[:MAX_SHOWN]))}{more}"
        raise SpecError(where, found, f"ids among the {len(items):,} items", "Leave them out.")
    among = np.zeros(len(items), dtype=np.bool_)
    among[code] = True
    return among


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
    """A model's hyper-parameters: one file of `models/` defines one. `fit` returns a trained thing, never itself."""

    uses_order: ClassVar[bool] = False
    """Whether the order of a history changes its scores."""

    uses_time: ClassVar[bool] = False
    """Whether it needs real times: a log without them is refused when the experiment is read."""

    uses_validation: ClassVar[bool] = False
    """Whether it decides something (epochs, steps) on the stop fold."""

    personalized: ClassVar[bool] = True
    """Whether different people should get different lists; a guard warns when they do not."""

    is_random: ClassVar[bool] = False
    """Whether `fit` draws random numbers; where it does not, another seed gives the same scores."""

    query_by: ClassVar[Literal["history", "user_id", "both"]] = "history"
    """What scores depend on: the history alone; the user id, so that only users of the training set have scores; or
    both, the user id where it is known and the history for new users."""

    cold_items: ClassVar[bool] = False
    """Whether items without training interactions can be recommended."""

    memory_advice: ClassVar[str] = "Use a k-core, fewer items, or a machine with more memory."
    """The advice when `memory` is more than there is."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "fit" in vars(cls):
            cls.fit = _with_thread_limit(cls.fit)

    @abstractmethod
    def fit(self, data: Interactions, ctx: FitContext = FitContext()) -> FittedModel:
        """Learn from `data`, on `ctx.threads` threads; starts with `ctx.admit(self, data)`."""

    @classmethod
    def fit_path(
        cls, specs: Sequence[ModelSpec], data: Interactions, ctx: FitContext = FitContext()
    ) -> Iterator[FittedModel]:
        """What `fit` gives for each of several specs of this kind, in their order; a kind that can share work does."""
        for spec in specs:
            yield spec.fit(data, ctx)

    def check_data(self, data: Interactions) -> None:
        """Raise `CannotDo` where `data` lacks what this model, with these knobs, needs."""
        if self.uses_time and data.time_kind != "seconds":
            raise UnsupportedError(self.kind, "learn from a log without times", "Give it a log with a time column.")
        if self.uses_order and data.time_kind == "none":
            raise UnsupportedError(
                self.kind, "learn from a log without order", "Give it a log with times, or use ease."
            )
        needed = self.attribute_columns()
        for of, names, there in (
            ("user", needed.user, data.user_attributes),
            ("item", needed.item, data.item_attributes),
        ):
            missing = sorted(set(names) - set(there.columns if there is not None else ()))
            if missing:
                wanted = f"learn from a log without the {of} attributes {', '.join(missing)}"
                raise UnsupportedError(
                    self.kind, wanted, "Read a source whose files have these columns, or name others."
                )

    def attribute_columns(self) -> AttributeColumns:
        """The columns of user and item attributes that this model, with these knobs, needs; by default none."""
        return AttributeColumns()

    @abstractmethod
    def estimate_memory(self, n_users: int, n_items: int, n_rows: int) -> int:
        """Bytes at the peak of `fit`, beside the data."""


class FittedModel(Protocol):
    """A trained model: what every shape in `fitted.py` can do."""

    @property
    def fused(self) -> bool:
        """Whether `top` works without holding (m, n_items) scores, so that all rows can be asked at once."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The hyper-parameters it was fitted with."""
        ...

    @property
    def items(self) -> Vocabulary:
        """The catalogue its scores are about."""
        ...

    def score(self, histories: Histories) -> NDArray[np.float32]:
        """Scores (m, n_items); larger is better, seen items are not masked."""
        ...

    def top(self, histories: Histories, k: int, mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The best k allowed items (m, k) and their scores, best first, ties by item code, padded with −1 and −inf."""
        ...

    def refit_spec(self) -> ModelSpec:
        """The spec with what validation decided frozen in, so that a fit on all data needs no validation."""
        ...
