"""One model of an experiment, from its spec to its run folder."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from matinee import models, storage
from matinee.contract import FitContext, FittedModel, ModelSpec
from matinee.errors import MatineeError, SplitError
from matinee.runs import guards
from matinee.runs.draft import Draft, pad_lists, write_run
from matinee.runs.fields import AnyModel
from matinee.runs.files import damaged_file, file_records, link_tree, read_checked, sync_tree, write_checked, writing
from matinee.runs.folder import Run
from matinee.runs.keys import of_model
from matinee.runs.log import LOG, LogObserver, merged_lines, read_log, write_lines
from matinee.runs.prepared import PreparedExperiment, RunOptions
from matinee.runs.producers.model import ModelProducer
from matinee.runs.record import FileRecord, Keys
from matinee.runs.store import PARTIAL, donors
from matinee.runs.timed import Timed
from matinee.runs.validation import task_mask, validate
from matinee.spec import Spec
from matinee.threads import limit_threads
from matinee.topk import TopK, recommend


class FitState(Spec):
    """A finished fit in the folder of an unfinished run."""

    seconds: float
    refit: AnyModel
    """The resolved spec."""

    files: dict[str, FileRecord]
    """The files of the model; empty if it is not kept."""


@dataclass(frozen=True, eq=False)
class _Fit:
    """A finished fit, and its model if it was fitted just now."""

    state: FitState
    model: FittedModel | None


@dataclass(frozen=True, eq=False)
class ModelJob:
    """One model of an experiment; stages that are finished in `work` are not repeated."""

    prepared: PreparedExperiment
    spec: ModelSpec
    seed: int
    options: RunOptions

    @cached_property
    def keys(self) -> Keys:
        """The cache keys of the fit, the lists and the metrics."""
        task = self.prepared.experiment.task
        return self.prepared.keys(of_model(self.spec, self.seed, task))

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return f"{self.spec.kind}-{self.keys.metrics[:10]}"

    @property
    def work(self) -> Path:
        """The folder of the computation, the same for all runs of one fit."""
        return self.options.root / PARTIAL / f"{self.spec.kind}-{self.keys.fit[:10]}"

    def compute(self) -> Run:
        """The run; the fit or lists of another run are reused."""
        lists = self._lists_of_donor()
        fit = self._fit(need_model=lists is None)
        if lists is None:
            lists = self._rank(fit.model if fit.model is not None else models.load(self.work / "model"))
        task, queries = self.prepared.experiment.task, self.prepared.split.query
        findings = guards.check_lists(task, lists.value, queries, personalized=self.spec.personalized)
        findings += guards.check_training(read_log(self.work, "epoch"))
        producer = ModelProducer(spec=self.spec, refit=fit.state.refit)
        draft = Draft(lists.value, producer, self.seed, self.keys, findings, fit.state.seconds, lists.seconds)
        model_folder = self.work / "model" if self.prepared.experiment.keep_models else None
        return write_run(self.prepared, draft, self.work, self.options, model_folder)

    def _log(self, split: str | None = None) -> LogObserver:
        """The observer of this run, which writes its log."""
        return LogObserver(self.options.observer, self.work, self.name, split)

    def _lists_of_donor(self) -> Timed[TopK] | None:
        """The lists of another run of the same fit, after its fit and model are linked; None if it has other lists."""
        keep_models = self.prepared.experiment.keep_models
        for run in donors(self.options.root, self.spec.kind, self.keys):
            same_lists = run.record.keys.lists == self.keys.lists
            complete = run.has_model or (same_lists and not keep_models)
            if not isinstance(run.producer, ModelProducer) or not complete:
                continue
            self.options.observer.message(f"{self.name}: {run.name} is the same fit, which is not repeated")
            with writing(self.work):
                if run.has_model:
                    link_tree(run.folder / "model", self.work / "model")
                lines = [line for line in merged_lines(run.folder) if line["event"] != "evaluate"]
                write_lines(lines, self.work / LOG)
                self._save_state(run.record.seconds.fit, run.producer.refit)
            if not same_lists:
                return None
            lists = run.lists(self.prepared.log.users, self.prepared.log.items)
            return Timed(pad_lists(lists, self.prepared.depth), run.record.seconds.lists)
        return None

    def _rank(self, model: FittedModel) -> Timed[TopK]:
        """The lists of a model."""
        split, started = self.prepared.split, time.perf_counter()
        mask = task_mask(self.prepared.experiment.task, split)
        with limit_threads(self.options.threads):
            ranked = recommend(model, split.query, self.prepared.depth, mask, self.options.observer)
        lists = replace(ranked, user=split.target.user)  # a user without training interactions has code −1 in queries
        seconds = time.perf_counter() - started
        self._log().event("lists", None, {"seconds": round(seconds, 4)})
        return Timed(lists, seconds)

    def _fit(self, *, need_model: bool) -> _Fit:
        """The fit; its state and its model are written to `work`."""
        work, observer = self.work, self.options.observer
        state = self._saved_state()
        if state is not None and (state.files or not need_model):
            if need_model:
                observer.message(f"{work.name}: resumed after its fit, which was finished before")
            return _Fit(state, None)
        started = time.perf_counter()
        with observer.progress(f"fitting {self.spec.kind}", 1) as advance:
            model = self._fitted_model(work / "checkpoint")
            advance(1)
        seconds = time.perf_counter() - started
        self._log().event("fit", None, {"seconds": round(seconds, 4)})
        with writing(work):
            half = work / "model.half"
            shutil.rmtree(half, ignore_errors=True)
            shutil.rmtree(work / "model", ignore_errors=True)
            storage.save(model, half)
            sync_tree(half)
            half.rename(work / "model")
            state = self._save_state(seconds, model.spec)
        shutil.rmtree(work / "checkpoint", ignore_errors=True)
        return _Fit(state, model)

    def _save_state(self, seconds: float, refit: ModelSpec) -> FitState:
        folder = self.work / "model"
        state = FitState(seconds=seconds, refit=refit, files=file_records(folder) if folder.is_dir() else {})
        write_checked(self.work / "fit.json", state.model_dump(mode="json"))
        return state

    def _saved_state(self) -> FitState | None:
        """The state of a fit that was finished before; None if it is missing or damaged."""
        values = read_checked(self.work / "fit.json")
        if values is None:
            return None
        try:
            state = FitState.model_validate(values)
        except (ValueError, MatineeError):
            return None
        return None if damaged_file(self.work / "model", state.files) else state

    def _fitted_model(self, checkpoints: Path) -> FittedModel:
        """The model, fitted on the whole training set by the resolved spec.

        The validation split is a split of the training set and needs a fit of its own. Both fits are resumed from
        `checkpoints`.
        """
        spec = self._resolved_spec(checkpoints) if self.spec.uses_validation else self.spec
        return spec.fit(self.prepared.split.train, self._context(checkpoints / "fit", "train"))

    def _context(self, checkpoints: Path, split: str) -> FitContext:
        return self.options.context(self.seed, checkpoints, self._log(split))

    def _resolved_spec(self, checkpoints: Path) -> ModelSpec:
        """The resolved spec; read from `checkpoints` if it was resolved before and is intact."""
        path = checkpoints / "resolved.json"
        values = read_checked(path)
        if values is not None:
            try:
                return models.CATALOGUE.read(values, str(path))
            except MatineeError:
                pass
        spec = self._validated_spec(checkpoints)
        with writing(path):
            checkpoints.mkdir(parents=True, exist_ok=True)
            write_checked(path, spec.to_dict())
        return spec

    def _validated_spec(self, checkpoints: Path) -> ModelSpec:
        """The spec resolved on the validation split; unchanged, with a warning, if the log is too small for one."""
        split, task = self.prepared.split, self.prepared.experiment.task
        ctx = self._context(checkpoints / "validation", "validation")
        try:
            validation = validate(self.spec, split, task, ctx)
        except SplitError as error:
            text = f"warning: the log is too small for a validation split, so all epochs are trained ({error})"
            self.options.observer.message(f"{self.name}: {text}")
            return self.spec
        values = {"metric": validation.metric, "seconds": round(validation.seconds, 4)}
        ctx.observer.event("validate", None, values)
        return validation.spec
