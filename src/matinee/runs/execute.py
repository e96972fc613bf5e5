"""From an experiment to finished run folders: one a model, written once, picked up where a killed run stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from matinee import models, storage
from matinee.contract import FitContext, FittedModel, ModelSpec, Progress, no_progress
from matinee.data import Interactions
from matinee.errors import MatineeError, SpecError, SplitError, UnsupportedError
from matinee.metrics import Evaluation, evaluate, parse
from matinee.runs import folder as run_folder
from matinee.runs import guards
from matinee.runs.environment import current_environment
from matinee.runs.experiment import Experiment
from matinee.runs.fields import AnyModel
from matinee.runs.files import damaged_file, file_records, link_tree, read_checked, sync_tree, write_checked, writing
from matinee.runs.finding import Finding
from matinee.runs.folder import Run
from matinee.runs.keys import keys_of, of_model
from matinee.runs.log import LOG, append_log, last_lines, read_log, write_lines
from matinee.runs.producer import Producer
from matinee.runs.producers.model import ModelProducer
from matinee.runs.record import (
    FORMAT,
    EnsembleReport,
    FileRecord,
    Interval,
    Keys,
    MetricSummary,
    RunRecord,
    Seconds,
    SplitRecord,
)
from matinee.runs.split_store import keep_split
from matinee.runs.store import PARTIAL, donors, obtain, publish
from matinee.runs.text import warnings
from matinee.runs.validation import resolve_spec, task_mask
from matinee.spec import Spec
from matinee.split import Split
from matinee.threads import check_threads, limit_threads
from matinee.topk import TopK, recommend


@dataclass(frozen=True)
class RunOptions:
    """How an execution talks to whoever started it."""

    root: Path
    """Where run folders go."""

    progress: Progress = no_progress
    say: Callable[[str], None] = lambda line: None

    device: str = "cpu"
    """Where networks are trained: "cpu", "cuda", or "cuda:1"."""

    threads: int | None = None
    """Threads of fits and of their lists; None means all cores this process may use."""

    def __post_init__(self) -> None:
        check_threads(self.threads)

    def context(self, seed: int, kept: Path) -> FitContext:
        """What a fit is given here; it keeps its state in the folder `kept`, so that it goes on after a kill."""
        return FitContext(
            seed=seed, device=self.device, progress=self.progress, threads=self.threads, checkpoint_dir=kept
        )


@dataclass(frozen=True, eq=False)
class PreparedExperiment:
    """What all models of an experiment share."""

    experiment: Experiment
    log: Interactions
    split: Split

    @property
    def depth(self) -> int:
        """How many items a list has."""
        task = self.experiment.task
        return min(max(task.stored_k, task.k), self.log.n_items)

    def keys(self, made: Mapping[str, Any]) -> Keys:
        """The cache keys of lists that `made` decides."""
        return keys_of(made, self.split, self.experiment.task, self.log, self.experiment.seed)


def prepare(experiment: Experiment) -> PreparedExperiment:
    """Read the log and cut it; refuse now what would fail later: cut-offs, needs of models, memory."""
    log = experiment.data.read()
    task = experiment.task
    longest = max([task.k, *(m.k for name in (task.metric, *task.extra_metrics) for m in parse(name).metrics)])
    if longest > log.n_items:
        found = f"lists of {longest} items are asked for"
        raise SpecError("task.k", found, f"at most the {log.n_items:,} items of the log", "Lower k or read more items.")
    for spec in experiment.model:
        FitContext(seed=experiment.seed).check_memory(spec, log)
    task.available_items(log)  # refuses what the log cannot answer
    split = experiment.split.split(log)
    unknown = int((split.query.user < 0).sum())
    for spec in experiment.model:
        if spec.query_by == "user_id" and unknown:
            wanted = f"score {unknown:,} of {len(split.query):,} users, who have no training interactions"
            raise UnsupportedError(spec.kind, wanted, "Leave them out of the test files, or use a model of histories.")
    return PreparedExperiment(experiment, log, split.drop_seen_targets() if task.seen == "exclude" else split)


def execute(prepared: PreparedExperiment, stage: RunOptions) -> list[Run]:
    """Fit, rank and judge every model of the experiment that has no finished run yet; all runs, in its order."""
    keep_split(prepared.split, prepared.log, stage.root, stage.say)
    runs: list[Run] = []
    baseline: Run | None = None
    for spec, seed in sorted(prepared.experiment.fits(), key=lambda one: one[0].kind != "popularity"):
        job = ModelJob(prepared, spec, seed, stage)
        run = obtain_and_warn(job.name, job.work, stage, lambda job=job, known=baseline: job.compute(known))
        baseline = baseline or run
        runs.append(run)
    return runs


def obtain_and_warn(name: str, work: Path, stage: RunOptions, compute: Callable[[], Run]) -> Run:
    """The run of that name, computed where there is none yet; the warnings of a new one are shown."""

    def computed() -> Run:
        run = compute()
        for warning in warnings(run):
            stage.say(f"{name}: warning: {warning}")
        return run

    return obtain(stage.root / name, work, stage.say, computed)


class FitState(Spec):
    """A finished fit in the folder of a run in the making."""

    seconds: float
    refit: AnyModel
    """The model with what validation decided."""

    files: dict[str, FileRecord]
    """Of the model kept beside it; empty where none is."""


@dataclass(frozen=True, eq=False)
class ModelJob:
    """One model of an experiment on its way to a run folder; finished steps found in `work` are not repeated."""

    prepared: PreparedExperiment
    spec: ModelSpec
    seed: int
    stage: RunOptions

    @cached_property
    def keys(self) -> Keys:
        """What decides each of its stages."""
        task = self.prepared.experiment.task
        return self.prepared.keys(of_model(self.spec, self.seed, task))

    @property
    def name(self) -> str:
        """The run folder's name."""
        return f"{self.spec.kind}-{self.keys.metrics[:10]}"

    @property
    def work(self) -> Path:
        """Where it is computed: one folder for all runs of the same fit, so that they do not fit twice."""
        return self.stage.root / PARTIAL / f"{self.spec.kind}-{self.keys.fit[:10]}"

    def compute(self, baseline: Run | None) -> Run:
        """The run, with as little computed as other runs of the same fit allow."""
        lists = self._from_donor()
        state, model = self._fit(need_model=lists is None)
        if lists is None:
            lists = self._rank(model if model is not None else models.load(self.work / "model"))
        task, ask = self.prepared.experiment.task, self.prepared.split.query
        findings = guards.check_lists(task, lists[0], ask, personal=self.spec.personalized)
        findings += guards.check_training(read_log(self.work, "training"))
        producer = ModelProducer(spec=self.spec, refit=state.refit)
        draft = Draft(producer, self.seed, self.keys, (state.seconds, lists[1]), findings)
        keep = self.work / "model" if self.prepared.experiment.keep_models else None
        return write_run(self.prepared, lists[0], draft, self.work, self.stage, (baseline, keep))

    def _from_donor(self) -> tuple[TopK, float] | None:
        """Take over fit and model of another run of the same fit; its lists, with their seconds, where they fit too."""
        keep = self.prepared.experiment.keep_models
        for run in donors(self.stage.root, self.spec.kind, self.keys):
            same_lists = run.record.keys.lists == self.keys.lists
            if not isinstance(run.producer, ModelProducer) or not (run.has_model or (same_lists and not keep)):
                continue
            self.stage.say(f"{self.name}: {run.name} is the same fit, which is not repeated")
            with writing(self.work):
                if run.has_model:
                    link_tree(run.folder / "model", self.work / "model")
                write_lines([line for line in last_lines(run.folder) if line["stage"] != "evaluate"], self.work / LOG)
                self._keep_state(run.record.seconds.fit, run.producer.refit)
            if same_lists:
                lists = run.lists(self.prepared.log.users, self.prepared.log.items)
                return padded_lists(lists, self.prepared.depth), run.record.seconds.lists
            return None
        return None

    def _rank(self, model: FittedModel) -> tuple[TopK, float]:
        """The lists of a model, and the seconds it took."""
        split, started = self.prepared.split, time.perf_counter()
        mask = task_mask(self.prepared.experiment.task, split)
        with limit_threads(self.stage.threads):
            ranked = recommend(model, split.query, self.prepared.depth, mask, self.stage.progress)
        lists = replace(ranked, user=split.target.user)  # somebody held out entirely is new to the model, not to us
        seconds = time.perf_counter() - started
        append_log(self.work, "score", seconds=round(seconds, 4))
        return lists, seconds

    def _fit(self, *, need_model: bool) -> tuple[FitState, FittedModel | None]:
        """The state of the fit, and the model where it was fitted just now; kept in `work` as soon as it exists."""
        work = self.work
        state = self._kept_state()
        if state is not None and (state.files or not need_model):
            if need_model:
                self.stage.say(f"{work.name}: fitted before it was stopped, going on from there")
            return state, None
        started = time.perf_counter()
        with self.stage.progress(f"fitting {self.spec.kind}", 1) as advance:
            model = self._fit_resolved(work / "checkpoint")
            advance(1)
        seconds = time.perf_counter() - started
        append_log(work, "fit", seconds=round(seconds, 4))
        with writing(work):
            half = work / "model.half"
            shutil.rmtree(half, ignore_errors=True)
            shutil.rmtree(work / "model", ignore_errors=True)
            storage.save(model, half)
            sync_tree(half)
            half.rename(work / "model")
            state = self._keep_state(seconds, model.spec)
        shutil.rmtree(work / "checkpoint", ignore_errors=True)
        return state, model

    def _keep_state(self, seconds: float, refit: ModelSpec) -> FitState:
        folder = self.work / "model"
        state = FitState(seconds=seconds, refit=refit, files=file_records(folder) if folder.is_dir() else {})
        write_checked(self.work / "fit.json", state.model_dump(mode="json"))
        return state

    def _kept_state(self) -> FitState | None:
        """The fit that was finished before; None where it is missing or damaged."""
        values = read_checked(self.work / "fit.json")
        if values is None:
            return None
        try:
            state = FitState.model_validate(values)
        except (ValueError, MatineeError):
            return None
        return None if damaged_file(self.work / "model", state.files) else state

    def _fit_resolved(self, kept: Path) -> FittedModel:
        """Fit on the learn part, with what the model leaves to validation settled beforehand.

        The stop fold is cut out of the learn part and costs a fit of its own; the model that is judged learns from the
        whole part, like one that validates nothing. A killed run goes on from what lies in `kept`.
        """
        spec = self._resolved_spec(kept) if self.spec.uses_validation else self.spec
        return spec.fit(
            self.prepared.split.train, _logging_context(self.stage.context(self.seed, kept / "fit"), self.work, "learn")
        )

    def _resolved_spec(self, kept: Path) -> ModelSpec:
        """The settled spec; read from `kept` where it was settled before, unless that is damaged."""
        path = kept / "settled.json"
        values = read_checked(path)
        if values is not None:
            try:
                return models.CATALOGUE.read(values, str(path))
            except MatineeError:
                pass
        spec = self._validated_spec(kept)
        with writing(path):
            kept.mkdir(parents=True, exist_ok=True)
            write_checked(path, spec.to_dict())
        return spec

    def _validated_spec(self, kept: Path) -> ModelSpec:
        """The spec settled by the stop fold; as it is, with a warning, where the log is too small for one."""
        prepared, spec = self.prepared, self.spec
        try:
            ctx = _logging_context(self.stage.context(self.seed, kept / "stop"), self.work, "stop")
            return resolve_spec(spec, prepared.split, prepared.experiment.task, ctx)
        except SplitError as error:
            self.stage.say(f"{spec.kind}: warning: no stop fold, so it learns as long as its knobs say ({error})")
            return spec


def _logging_context(ctx: FitContext, work: Path, fold: str) -> FitContext:
    """The context, with what a fit on `fold` says of itself kept in the run's log."""

    def heard(what: str, said: Mapping[str, Any]) -> None:
        append_log(work, what, fold=fold, **said)

    return replace(ctx, log_event=heard)


@dataclass(frozen=True, eq=False)
class Draft:
    """Where lists come from, and what is known of them before they are evaluated."""

    producer: Producer
    seed: int
    keys: Keys
    seconds: tuple[float, float]
    """Of the fit and of the lists."""

    findings: list[Finding]
    ensemble: EnsembleReport | None = None


def write_run(
    prepared: PreparedExperiment,
    lists: TopK,
    draft: Draft,
    work: Path,
    stage: RunOptions,
    beside: tuple[Run | None, Path | None] = (None, None),
) -> Run:
    """Judge lists and write them as a run folder; it appears in its place whole or not at all.

    `beside` are the popularity run to compare with and the folder of the model to keep.
    """
    task, split = prepared.experiment.task, prepared.split
    evaluation, seconds = evaluate_lists(lists, prepared)
    append_log(work, "evaluate", seconds=round(seconds, 4))
    frame, meta = run_folder.metrics_frame(evaluation), run_folder.evaluation_meta(evaluation)
    findings, (baseline, model) = list(draft.findings), beside
    if baseline is not None:
        findings += guards.check_beats_popularity(
            run_folder.read_evaluation(frame, meta), baseline.evaluation, task.metric
        )
    kind = draft.producer.label
    made = RunRecord(
        format=FORMAT,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        producer=draft.producer,
        seed=draft.seed,
        task=task,
        split=SplitRecord(fingerprint=split.fingerprint, source=split.source, protocol=split.protocol),
        log=prepared.log.summary(),
        keys=draft.keys,
        seconds=Seconds(fit=draft.seconds[0], lists=draft.seconds[1], evaluate=seconds),
        metrics=metric_summary(evaluation),
        evaluation=meta,
        findings=tuple(findings),
        ensemble=draft.ensemble,
        environment=current_environment(stage.device, stage.threads),
        experiment=prepared.experiment.to_dict(),
        files={},
    )
    place = stage.root / f"{kind}-{draft.keys.metrics[:10]}"
    frames = {
        run_folder.LISTS: run_folder.lists_frame(lists),
        run_folder.METRICS: frame,
        run_folder.CATALOGUE: run_folder.catalogue_frame(split.train, task.available_items(split.train)),
    }
    return publish(work, place, made, frames, model)


def evaluate_lists(lists: TopK, prepared: PreparedExperiment) -> tuple[Evaluation, float]:
    """The evaluation the task asks for, and the seconds it took."""
    task, started = prepared.experiment.task, time.perf_counter()
    names = list(dict.fromkeys([task.metric, *task.extra_metrics]))
    popularity = prepared.split.train.popularity
    evaluation = evaluate(lists, prepared.split.target, names, task.profile, popularity, seed=prepared.experiment.seed)
    return evaluation, time.perf_counter() - started


def metric_summary(evaluation: Evaluation) -> dict[str, MetricSummary]:
    """Mean, low and high of every metric, and of every part where there are several."""
    rows = evaluation.frame().rows(named=True)
    intervals = {
        (row["metric"], row["part"]): Interval(mean=row["mean"], low=row["low"], high=row["high"]) for row in rows
    }
    found: dict[str, MetricSummary] = {}
    for (metric, part), whole in intervals.items():
        if part == "all":
            parts = {name: one for (other, name), one in intervals.items() if other == metric and name != "all"}
            found[metric] = MetricSummary(mean=whole.mean, low=whole.low, high=whole.high, parts=parts)
    return found


def padded_lists(lists: TopK, k: int) -> TopK:
    """Lists with room for at least k items, as they were before padding was left out of the file."""
    wide = ((0, 0), (0, max(k - lists.k, 0)))
    item = np.pad(lists.item, wide, constant_values=-1)
    return replace(lists, item=item, score=np.pad(lists.score, wide, constant_values=-np.inf))
