"""matinee, asked as any peer is."""

from __future__ import annotations

import time
from contextlib import contextmanager

import numpy as np
import polars as pl
from protocol import Job

import matinee
from matinee.runs.submission import write_lists

METRICS = ["recall@10", "ndcg@10"]


def compiled(job) -> None:
    """Kernels are compiled before the clock starts, as those of the peers are when they are installed."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"user": rng.integers(0, 50, 900), "item": rng.integers(0, 40, 900)}).unique()
    split = matinee.split.predefined(matinee.read(frame), frame.sample(50, seed=0))
    for kind in ("ease", "item_knn", "slim"):
        lists = matinee.recommend(matinee.models.get(kind)().fit(split.train), split.query, 10)
        matinee.evaluate(lists, split.target, METRICS).interval(METRICS[0])


def end_to_end(job) -> None:
    """The whole way of a competition: read, hold out the last ten, fit, score with intervals, refit, deliver."""
    log = matinee.read(job.folder / "log.csv")
    split = matinee.split.last_n(log, n=10)
    spec = matinee.models.get("ease")(l2=job.l2)
    lists = matinee.recommend(spec.fit(split.train), split.query, 10)
    scored = matinee.evaluate(lists, split.target, METRICS)
    job.to_dict["end to end"] = {"interval": scored.interval(METRICS[0])}  # the bootstrap is part of the work
    write_lists(matinee.recommend(spec.fit(log), log, 10), job.folder / "submission.csv")


def epochs(job) -> None:
    """Seconds of the quickest epoch after the first, batches and updates; RecVAE's is four passes over the people."""
    knobs = {"hidden": 600, "factors": 200, "batch_size": 500, "epochs": 3}
    spec = matinee.models.get({"vae": "mult_vae", "recvae": "rec_vae"}[job.model])(**knobs)
    log = matinee.read(job.folder / "learn.csv")
    seconds = []

    @contextmanager
    def clocked(what, total):
        started = time.perf_counter()
        yield lambda done: None
        seconds.append(time.perf_counter() - started)

    spec.fit(log, matinee.FitContext(progress=clocked))
    job.to_dict[f"{job.model} epoch"] = {"seconds": min(seconds[1:])}


def main() -> None:
    job = Job()
    if job.model in ("vae", "recvae"):
        epochs(job)
        job.answer(version=matinee.__version__)
        return
    compiled(job)
    if job.wants("end"):
        with job.stage("end to end"):
            end_to_end(job)
        job.answer(version=matinee.__version__)
        return
    specs = {
        "ease": matinee.models.get("ease")(l2=job.l2),
        "knn": matinee.models.get("item_knn")(neighbours=job.neighbours, shrink=0.0),
        "slim": matinee.models.get("slim")(l1=job.l1, l2=job.l2, neighbours=job.items),
    }
    with job.stage("read"):
        split = matinee.split.predefined(
            matinee.read(job.folder / "learn.csv"), matinee.read(job.folder / "answer.csv")
        )
    for name, spec in specs.items():
        if not job.wants(name):
            continue
        with job.stage(f"{name} fit"):
            model = spec.fit(split.train)
        with job.stage(f"{name} recommend"):
            lists = matinee.recommend(model, split.train, 10)
        with job.stage(f"{name} evaluate"):
            asked = matinee.recommend(model, split.query, 10)
            matinee.evaluate(asked, split.target, METRICS)
        users = lists.users.decode(lists.user).to_numpy()
        item = lists.item.copy()
        item[item >= 0] = lists.items.ids.to_numpy()[item[item >= 0]]
        whole = np.full((job.users, 10), -1)
        whole[users] = item
        job.judged(f"{name} recommend", whole)
    job.answer(version=matinee.__version__)


main()
