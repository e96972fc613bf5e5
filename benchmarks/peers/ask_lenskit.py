"""LensKit: EASE and item k-nearest neighbours, through its standard pipeline, batch runner and analysis."""

from __future__ import annotations

import lenskit
import numpy as np
import pandas as pd
from lenskit import batch
from lenskit.data import ItemListCollection, from_interactions_df
from lenskit.knn import ItemKNNScorer
from lenskit.knn.ease import EASEScorer
from lenskit.knn.slim import SLIMScorer
from lenskit.metrics import NDCG, Recall, RunAnalysis
from lenskit.pipeline import topn_pipeline
from lenskit.splitting import LastN, sample_users
from protocol import Job

JOBS = 1
"""More than one spawns processes; on two cores it was slower for every log tried."""


def end_to_end(job) -> None:
    """As matinee's; its splitter holds out the last ten of every user, its summary has no intervals."""
    log = pd.read_csv(job.folder / "log.csv").rename(columns={"user": "user_id", "item": "item_id"})
    log["timestamp"] = pd.to_datetime(log.pop("time"), unit="s")
    data = from_interactions_df(log)
    split = sample_users(data, data.user_count, LastN(10))
    pipeline = topn_pipeline(EASEScorer(regularization=job.l2), n=10)
    pipeline.train(split.train)
    lists = batch.recommend(pipeline, list(split.test.keys()), n=10, n_jobs=JOBS)
    RunAnalysis(Recall(n=10), NDCG(n=10)).measure(lists, split.test)
    pipeline = topn_pipeline(EASEScorer(regularization=job.l2), n=10)
    pipeline.train(data)
    lists = batch.recommend(pipeline, data.users.ids(), n=10, n_jobs=JOBS)
    lists.to_df()[["user_id", "item_id"]].to_csv(job.folder / "submission.csv", index=False)


def main() -> None:
    job = Job()
    if job.wants("end"):
        with job.stage("end to end"):
            end_to_end(job)
        job.answer(version=lenskit.__version__)
        return
    names = {"user": "user_id", "item": "item_id"}
    with job.stage("read"):
        learn = pd.read_csv(job.folder / "learn.csv").rename(columns=names)
        answer = pd.read_csv(job.folder / "answer.csv").rename(columns=names)
        data = from_interactions_df(learn)
        test = ItemListCollection.from_df(answer, ["user_id"])
    made = {
        "ease": lambda: EASEScorer(regularization=job.l2),
        "knn": lambda: ItemKNNScorer(feedback="implicit", max_nbrs=job.neighbours, save_nbrs=job.neighbours),
        "slim": lambda: SLIMScorer(l1_reg=job.l1, l2_reg=job.l2),
    }
    for name, make in made.items():
        if not job.wants(name):
            continue
        with job.stage(f"{name} fit"):
            pipeline = topn_pipeline(make(), n=10)
            pipeline.train(data)
        with job.stage(f"{name} recommend"):
            lists = batch.recommend(pipeline, learn["user_id"].unique(), n=10, n_jobs=JOBS)
        with job.stage(f"{name} evaluate"):
            again = batch.recommend(pipeline, answer["user_id"].unique(), n=10, n_jobs=JOBS)
            RunAnalysis(Recall(n=10), NDCG(n=10)).measure(again, test)
        item = np.full((job.users, 10), -1, dtype=np.int64)
        for key, own in lists.items():
            ids = own.ids()
            item[int(key.user_id), : len(ids)] = ids
        job.judged(f"{name} recommend", item)
    job.answer(version=lenskit.__version__)


if __name__ == "__main__":
    main()
