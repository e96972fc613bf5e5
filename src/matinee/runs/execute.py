"""From an experiment to finished run folders: one a model, written once, picked up where a killed run stopped."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from matinee import fitted, models
from matinee.contract import Context, Fitted, ModelSpec, Progress, silent
from matinee.data import Interactions
from matinee.errors import CannotDo, RunError, SpecError, SplitError
from matinee.metrics import Evaluation, evaluate, parse
from matinee.runs import folder as run_folder
from matinee.runs import guards
from matinee.runs.experiment import Experiment
from matinee.runs.folder import FORMAT, Run, open_run
from matinee.runs.stopping import mask_of, settle
from matinee.split import Split
from matinee.threads import available, checked, limit_threads
from matinee.topk import TopK, recommend

PARTIAL = ".partial"
"""Where runs grow before they are moved, whole, to their place."""


@dataclass(frozen=True)
class Stage:
    """How an execution talks to whoever started it."""

    root: Path
    """Where run folders go."""

    progress: Progress = silent
    say: Callable[[str], None] = lambda line: None

    device: str = "cpu"
    """Where networks are trained: "cpu", "cuda", or "cuda:1"."""

    threads: int | None = None
    """Threads of fits and of their lists; None means all cores this process may use."""

    def __post_init__(self) -> None:
        checked(self.threads)

    def context(self, seed: int, kept: Path) -> Context:
        """What a fit is given here; it keeps its state in the folder `kept`, so that it goes on after a kill."""
        return Context(seed=seed, device=self.device, progress=self.progress, threads=self.threads, checkpoint=kept)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What all models of an experiment share."""

    experiment: Experiment
    log: Interactions
    split: Split


def prepare(experiment: Experiment) -> Prepared:
    """Read the log and cut it; refuse now what would fail later: cut-offs, needs of models, memory."""
    log = experiment.data.read()
    task = experiment.task
    longest = max([task.k, *(m.k for name in (task.metric, *task.also) for m in parse(name).metrics)])
    if longest > log.n_items:
        found = f"lists of {longest} items are asked for"
        raise SpecError("task.k", found, f"at most the {log.n_items:,} items of the log", "Lower k or read more items.")
    for spec in experiment.model:
        Context(seed=experiment.seed).admit(spec, log)
    task.allowed(log)  # refuses what the log cannot answer
    split = experiment.split.cut(log)
    unknown = int((split.ask.user < 0).sum())
    for spec in experiment.model:
        if spec.query_by == "user_id" and unknown:
            wanted = f"score {unknown:,} of {len(split.ask):,} users, who have no training interactions"
            raise CannotDo(spec.kind, wanted, "Leave them out of the test files, or use a model of histories.")
    return Prepared(experiment, log, split.without_seen() if task.seen == "exclude" else split)


def execute(prepared: Prepared, stage: Stage) -> list[Run]:
    """Fit, rank and judge every model of the experiment that has no finished run yet; all runs, in its order."""
    (stage.root / PARTIAL).mkdir(parents=True, exist_ok=True)
    runs: list[Run] = []
    baseline: Run | None = None
    for spec, seed in sorted(prepared.experiment.fits(), key=lambda one: one[0].kind != "popularity"):
        name = f"{spec.kind}-{key(prepared, spec.written(), seed)[:10]}"
        run = finished(name, stage)
        if run is None:
            run = _one(prepared, (spec, seed), stage.root / PARTIAL / name, stage, baseline)
            for warning in run.said["warnings"]:
                stage.say(f"{name}: warning: {warning}")
        baseline = baseline or run
        runs.append(run)
    return runs


def finished(name: str, stage: Stage) -> Run | None:
    """The run of that name, if it was finished before."""
    if not (stage.root / name / "run.json").is_file():
        return None
    stage.say(f"{name}: done before, nothing to compute")
    return open_run(stage.root / name)


def key(prepared: Prepared, made: dict[str, Any], seed: int) -> str:
    """The cache key of a run: everything that decides its content, the log's included."""
    decides = {
        "format": FORMAT,
        "version": version("matinee"),
        "split": prepared.split.fingerprint,
        "task": prepared.experiment.task.knobs(),
        "model": made,
        "seed": seed,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _one(prepared: Prepared, what: tuple[ModelSpec, int], work: Path, stage: Stage, baseline: Run | None) -> Run:
    """One run, grown in `work` and moved to its place at the end; finished steps found there are not repeated."""
    spec, seed = what
    work.mkdir(parents=True, exist_ok=True)
    task, split = prepared.experiment.task, prepared.split
    model, fit_seconds = _fit(prepared, what, work, stage)
    started = time.perf_counter()
    depth = min(max(task.depth, task.k), prepared.log.n_items)
    with limit_threads(stage.threads):
        ranked = recommend(model, split.ask, depth, mask_of(task, split), stage.progress)
    lists = replace(ranked, user=split.answer.user)  # somebody held out entirely is new to the model, not to us
    score_seconds = time.perf_counter() - started
    note(work, "score", seconds=round(score_seconds, 4))
    warnings = guards.check(task, lists, split.ask, personal=spec.personal) + guards.learnt(noted(work, "training"))
    made = Made(spec.written(), model.refit_spec().written(), seed, fit_seconds, score_seconds, warnings)
    return record(prepared, lists, made, work, stage, baseline)


@dataclass(frozen=True)
class Made:
    """Where lists come from, as run.json says it."""

    model: dict[str, Any]
    """Kind and knobs."""

    refit: dict[str, Any]
    """What to fit on everything, with what validation decided frozen in."""

    seed: int
    fit_seconds: float
    score_seconds: float
    warnings: list[str]
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    """What only this kind of run has to say."""


def record(prepared: Prepared, lists: TopK, made: Made, work: Path, stage: Stage, baseline: Run | None) -> Run:
    """Judge lists and write them as a run folder; it appears in its place whole or not at all."""
    task, split = prepared.experiment.task, prepared.split
    work.mkdir(parents=True, exist_ok=True)
    with stage.progress(f"evaluating {work.name}", 1) as advance:
        evaluation, seconds = judged(lists, prepared)
        advance(1)
    note(work, "evaluate", seconds=round(seconds, 4))
    kept, about = run_folder.metrics_frame(evaluation), run_folder.evaluation_said(evaluation)
    warnings = list(made.warnings)
    if baseline is not None:
        warnings += guards.beats(run_folder.read_evaluation(kept, about), baseline.evaluation, task.metric)
    run_folder.lists_frame(lists).write_parquet(work / "lists.parquet")
    kept.write_parquet(work / "metrics.parquet")
    said = {
        "format": FORMAT,
        "matinee": version("matinee"),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": made.model,
        "refit": made.refit,
        "task": task.knobs(),
        "seed": made.seed,
        "split": {"fingerprint": split.fingerprint, "source": split.source, **split.protocol.written()},
        "log": prepared.log.summary(),
        "fit_seconds": made.fit_seconds,
        "score_seconds": made.score_seconds,
        "metrics": numbers(evaluation),
        "evaluation": about,
        "warnings": warnings,
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "threads": stage.threads or available(),
        },
        "experiment": prepared.experiment.written(),
        **made.more,
    }
    return _finish(work, stage.root / work.name, said, keep_model=prepared.experiment.keep_models)


def judged(lists: TopK, prepared: Prepared) -> tuple[Evaluation, float]:
    """The evaluation the task asks for, and the seconds it took."""
    task, started = prepared.experiment.task, time.perf_counter()
    names = list(dict.fromkeys([task.metric, *task.also]))
    popularity = prepared.split.learn.popularity
    evaluation = evaluate(lists, prepared.split.answer, names, task.profile, popularity, seed=prepared.experiment.seed)
    return evaluation, time.perf_counter() - started


def _fit(prepared: Prepared, what: tuple[ModelSpec, int], work: Path, stage: Stage) -> tuple[Fitted, float]:
    """The fitted model and the seconds it took; kept in `work` as soon as it exists."""
    kept, timing = work / "model", work / "fit.json"
    if kept.is_dir() and timing.is_file():
        stage.say(f"{work.name}: fitted before it was stopped, going on from there")
        return models.load(kept), json.loads(timing.read_text())["seconds"]
    started = time.perf_counter()
    with stage.progress(f"fitting {what[0].kind}", 1) as advance:
        model = _learn(prepared, what, work / "checkpoint", stage)
        advance(1)
    seconds = time.perf_counter() - started
    note(work, "fit", seconds=round(seconds, 4))
    half = work / "model.half"
    shutil.rmtree(half, ignore_errors=True)
    fitted.save(model, half)
    timing.write_text(json.dumps({"seconds": seconds}))
    shutil.rmtree(kept, ignore_errors=True)
    half.rename(kept)
    shutil.rmtree(work / "checkpoint", ignore_errors=True)
    return model, seconds


def _learn(prepared: Prepared, what: tuple[ModelSpec, int], kept: Path, stage: Stage) -> Fitted:
    """Fit on the learn part, with what the model leaves to validation settled beforehand.

    The stop fold is cut out of the learn part and costs a fit of its own; the model that is judged learns from the
    whole part, like one that validates nothing. A killed run goes on from what lies in `kept`.
    """
    spec, seed = what
    if spec.uses_validation:
        settled = kept / "settled.json"
        if not settled.is_file():
            decided = _decided(prepared, spec, seed, kept, stage)
            kept.mkdir(parents=True, exist_ok=True)
            half = kept / "settled.half"
            half.write_text(json.dumps(decided.written()))
            half.replace(settled)
        spec = models.CATALOGUE.read(json.loads(settled.read_text()), str(settled))
    return spec.fit(prepared.split.learn, _heard(stage.context(seed, kept / "fit"), kept.parent, "learn"))


def _decided(prepared: Prepared, spec: ModelSpec, seed: int, kept: Path, stage: Stage) -> ModelSpec:
    """The spec settled by the stop fold; as it is, with a warning, where the log is too small for one."""
    try:
        ctx = _heard(stage.context(seed, kept / "stop"), kept.parent, "stop")
        return settle(spec, prepared.split, prepared.experiment.task, ctx)
    except SplitError as error:
        stage.say(f"{spec.kind}: warning: no stop fold, so it learns as long as its knobs say ({error})")
        return spec


def _heard(ctx: Context, work: Path, fold: str) -> Context:
    """The context, with what a fit on `fold` says of itself kept in the run's log."""

    def heard(what: str, said: Mapping[str, Any]) -> None:
        note(work, what, fold=fold, **said)

    return replace(ctx, note=heard)


def _finish(work: Path, place: Path, said: dict[str, Any], *, keep_model: bool) -> Run:
    (work / "fit.json").unlink(missing_ok=True)
    if not keep_model:
        shutil.rmtree(work / "model", ignore_errors=True)
    (work / "run.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    try:
        work.rename(place)
    except OSError:
        if not (place / "run.json").is_file():
            found = "it is in the way of a finished run and is none itself"
            raise RunError(place, found, "Move it away and run again.") from None
        shutil.rmtree(work)  # another process finished the same run first
    return open_run(place)


def numbers(evaluation: Evaluation) -> dict[str, Any]:
    """Mean, low and high of every metric, and of every part where there are several."""
    found: dict[str, Any] = {}
    for row in evaluation.frame().iter_rows(named=True):
        here = {name: row[name] for name in ("mean", "low", "high")}
        if row["part"] == "all":
            found.setdefault(row["metric"], {}).update(here)
        else:
            found[row["metric"]].setdefault("parts", {})[row["part"]] = here
    return found


def note(work: Path, stage: str, **said: Any) -> None:
    """One line in the run's log: when, which stage, and what is said of it, such as its seconds."""
    line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "stage": stage, **said}
    with (work / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def noted(work: Path, stage: str) -> list[dict[str, Any]]:
    """The lines of a run's log about a stage."""
    lines = (json.loads(line) for line in (work / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["stage"] == stage]
