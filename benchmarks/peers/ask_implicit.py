"""implicit: cosine neighbours; it has no EASE."""

from __future__ import annotations

import implicit
import numpy as np
from implicit.evaluation import ranking_metrics_at_k
from implicit.nearest_neighbours import CosineRecommender
from protocol import Job, sparse


def main() -> None:
    job = Job()
    with job.stage("read"):
        X = sparse(job.folder / "learn.csv", (job.users, job.items))
        Y = sparse(job.folder / "answer.csv", (job.users, job.items))
    if job.wants("knn"):
        model = CosineRecommender(K=job.neighbours)
        with job.stage("knn fit"):
            model.fit(X, show_progress=False)
        with job.stage("knn recommend"):
            item, _ = model.recommend(np.arange(job.users), X, N=10)
        with job.stage("knn evaluate"):
            ranking_metrics_at_k(model, X, Y, K=10, show_progress=False)
        job.judged("knn recommend", item)
    job.answer(version=implicit.__version__)


main()
