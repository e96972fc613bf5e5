"""RecTools: EASE, and implicit's cosine neighbours in its wrapper."""

from __future__ import annotations

import pandas as pd
import rectools
from implicit.nearest_neighbours import CosineRecommender
from protocol import Job, lists_of
from rectools.dataset import Dataset
from rectools.metrics import NDCG, Recall, calc_metrics
from rectools.model_selection import LastNSplitter
from rectools.models import EASEModel, ImplicitItemKNNWrapperModel


def frame(path) -> pd.DataFrame:
    read = pd.read_csv(path).rename(columns={"user": "user_id", "item": "item_id"})
    return read.assign(weight=1.0, datetime=pd.Timestamp("2020-01-01"))


def end_to_end(job) -> None:
    """As matinee's, without intervals, which it does not have."""
    log = pd.read_csv(job.folder / "log.csv")
    log = log.rename(columns={"user": "user_id", "item": "item_id"}).assign(weight=1.0)
    log["datetime"] = pd.to_datetime(log.pop("time"), unit="s")
    dataset = Dataset.construct(log)
    splitter = LastNSplitter(n=10, filter_cold_users=False, filter_cold_items=False, filter_already_seen=False)
    learn, answer, _ = next(splitter.split(dataset.interactions))
    kept = Dataset.construct(log.iloc[learn])
    test = log.iloc[answer]
    model = EASEModel(regularization=job.l2).fit(kept)
    reco = model.recommend(kept.user_id_map.external_ids, kept, k=10, filter_viewed=True)
    calc_metrics({"recall@10": Recall(10), "ndcg@10": NDCG(10)}, reco, test)
    model = EASEModel(regularization=job.l2).fit(dataset)
    reco = model.recommend(dataset.user_id_map.external_ids, dataset, k=10, filter_viewed=True)
    reco[["user_id", "item_id"]].to_csv(job.folder / "submission.csv", index=False)


def main() -> None:
    job = Job()
    if job.wants("end"):
        with job.stage("end to end"):
            end_to_end(job)
        job.answer(version=rectools.__version__)
        return
    with job.stage("read"):
        learn, answer = frame(job.folder / "learn.csv"), frame(job.folder / "answer.csv")
        dataset = Dataset.construct(learn)
    made = {
        "ease": lambda: EASEModel(regularization=job.l2),
        "knn": lambda: ImplicitItemKNNWrapperModel(CosineRecommender(K=job.neighbours)),
    }
    for name, make in made.items():
        if not job.wants(name):
            continue
        with job.stage(f"{name} fit"):
            model = make().fit(dataset)
        with job.stage(f"{name} recommend"):
            reco = model.recommend(learn["user_id"].unique(), dataset, k=10, filter_viewed=True)
        with job.stage(f"{name} evaluate"):
            again = model.recommend(answer["user_id"].unique(), dataset, k=10, filter_viewed=True)
            calc_metrics({"recall@10": Recall(10), "ndcg@10": NDCG(10)}, again, answer)
        job.judged(f"{name} recommend", lists_of(reco, job.users))
    job.answer(version=rectools.__version__)


main()
