"""irspack: its own models and its own evaluator; lists are its scores without the seen, sorted."""

from __future__ import annotations

import irspack
import numpy as np
import pandas as pd
from irspack import CosineKNNRecommender, DenseSLIMRecommender, Evaluator, SLIMRecommender
from irspack.split import split_last_n_interaction_df
from protocol import Job, matrix, sparse


def lists(model, users: int) -> np.ndarray:
    out = np.empty((users, 10), dtype=np.int64)
    for start in range(0, users, 1024):
        scores = model.get_score_remove_seen_block(start, min(users, start + 1024))
        best = np.argpartition(scores, -10, axis=1)[:, -10:]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
        out[start : start + 1024] = np.take_along_axis(best, order, 1)
    return out


def end_to_end(job) -> None:
    """As matinee's, without intervals, which it does not have."""
    log = pd.read_csv(job.folder / "log.csv")
    learn, answer = split_last_n_interaction_df(log, "user", "time", n_heldout=10)
    shape = (job.users, job.items)
    model = DenseSLIMRecommender(matrix(learn, shape), reg=job.l2).learn()
    Evaluator(matrix(answer, shape), cutoff=10).get_scores(model, [10])
    item = lists(DenseSLIMRecommender(matrix(log, shape), reg=job.l2).learn(), job.users)
    frame = pd.DataFrame({"user": np.repeat(np.arange(job.users), 10), "item": item.ravel()})
    frame.to_csv(job.folder / "submission.csv", index=False)


def main() -> None:
    job = Job()
    if job.wants("end"):
        with job.stage("end to end"):
            end_to_end(job)
        job.answer(version=irspack.__version__)
        return
    with job.stage("read"):
        X = sparse(job.folder / "learn.csv", (job.users, job.items))
        Y = sparse(job.folder / "answer.csv", (job.users, job.items))
    made = {
        "ease": lambda: DenseSLIMRecommender(X, reg=job.l2),
        "knn": lambda: CosineKNNRecommender(X, normalize=True, top_k=job.neighbours),
        "slim": lambda: SLIMRecommender(X, alpha=(job.l1 + job.l2) / job.users, l1_ratio=job.l1 / (job.l1 + job.l2)),
    }
    for name, make in made.items():
        if not job.wants(name):
            continue
        with job.stage(f"{name} fit"):
            model = make().learn()
        with job.stage(f"{name} recommend"):
            item = lists(model, job.users)
        with job.stage(f"{name} evaluate"):
            Evaluator(Y, cutoff=10).get_scores(model, [10])
        job.judged(f"{name} recommend", item)
    job.answer(version=irspack.__version__)


main()
