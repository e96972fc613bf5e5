"""What other libraries say about one and the same set of lists: the golden numbers of the metric profiles.

Every library runs in an environment of its own (`make_golden.sh` builds them), by its own evaluation code:

    python benchmarks/profiles/make_golden.py irspack tests/metrics/golden_profiles.json

adds or replaces that library's entry. This file must not import matinee.
"""

from __future__ import annotations

import json
import sys
import types
from enum import Enum
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "metrics"))
from profile_fixture import N_ITEMS, N_USERS, RECIPE, K, digest, fixture

LISTS, ANSWERS = fixture()


def irspack() -> tuple[str, dict[str, float]]:
    import scipy.sparse as sps
    from irspack import Evaluator

    truth = _matrix(ANSWERS, sps.csr_matrix)
    scores = np.full((N_USERS, N_ITEMS), -np.inf)
    for user, items in enumerate(LISTS):
        scores[user, items] = -np.arange(len(items), dtype=float)
    found = Evaluator(truth, cutoff=K, n_threads=1).get_score_from_score_matrix(scores)
    names = {"recall": "recall", "precision": "precision", "hit": "hit", "ndcg": "ndcg", "map": "map"}
    return "Evaluator.get_score_from_score_matrix, -inf where not listed", {a: found[b] for a, b in names.items()}


def implicit() -> tuple[str, dict[str, float]]:
    import scipy.sparse as sps
    from implicit.evaluation import ranking_metrics_at_k

    class Lists:
        def recommend(self, users, train, N=10, **_):
            ids = np.full((len(users), N), -1, dtype=np.int32)
            for row, user in enumerate(users):
                ids[row, : len(LISTS[user])] = LISTS[user]
            return ids, np.zeros((len(users), N), dtype=np.float32)

    truth = _matrix(ANSWERS, sps.csr_matrix)
    found = ranking_metrics_at_k(Lists(), sps.csr_matrix(truth.shape), truth, K=K, show_progress=False, num_threads=1)
    return "ranking_metrics_at_k", {name: found[name] for name in ("precision", "map", "ndcg")}


def rectools() -> tuple[str, dict[str, float]]:
    import pandas as pd
    from rectools.metrics import MAP, MRR, NDCG, HitRate, Precision, Recall

    reco = pd.DataFrame(_rows(LISTS), columns=["user_id", "item_id", "rank"])
    truth = pd.DataFrame(_rows(ANSWERS), columns=["user_id", "item_id", "rank"]).drop(columns="rank")
    plain = {"recall": Recall, "precision": Precision, "hit": HitRate}
    found = {name: metric(k=K).calc(reco, truth) for name, metric in plain.items()}
    found |= {name: metric(k=K).calc(reco, truth) for name, metric in {"ndcg": NDCG, "map": MAP, "mrr": MRR}.items()}
    return "metrics.*(k=10).calc, defaults", found


def recbole() -> tuple[str, dict[str, float]]:
    """The metric classes alone: the package's __init__ would pull in its trainer; NumPy 1.24 dropped np.float."""
    np.float = float  # noqa: NPY001 - what its source still says
    root = Path(find_spec("recbole").submodule_search_locations[0])
    for name in ("recbole", "recbole.evaluator", "recbole.utils", "torch"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(root.joinpath(*name.split(".")[1:]))]
    sys.modules["torch"].Tensor = type("Tensor", (), {})
    sys.modules["recbole.utils"].EvaluatorType = Enum("EvaluatorType", "RANKING VALUE")
    from recbole.evaluator import metrics

    hits = np.zeros((N_USERS, K), dtype=bool)
    for user, items in enumerate(LISTS):
        hits[user, : len(items)] = np.isin(items, ANSWERS[user])
    lengths = np.array([len(row) for row in ANSWERS])
    found = {}
    for name in ("Recall", "Precision", "Hit", "NDCG", "MAP", "MRR"):
        metric = getattr(metrics, name)({"topk": [K], "metric_decimal_place": 10})
        metric.used_info = lambda _: (hits, lengths)
        found[name.lower()] = metric.calculate_metric(None)[f"{name.lower()}@{K}"]
    taken = np.array([i for row in LISTS for i in row])
    gini = metrics.GiniIndex({"topk": [K], "metric_decimal_place": 10})
    found["gini"] = gini.get_gini(taken.reshape(1, -1), N_ITEMS)
    return "evaluator.metrics classes on the hit matrix", found


def lenskit() -> tuple[str, dict[str, float]]:
    from lenskit.data import ItemList, ItemListCollection, UserIDKey
    from lenskit.metrics import NDCG, Hit, Precision, RankingMetricBase, Recall, RecipRank, RunAnalysis
    from lenskit.metrics.ranking import AveragePrecision

    outputs, truth = ItemListCollection(UserIDKey), ItemListCollection(UserIDKey)
    for user in range(N_USERS):
        outputs.add(ItemList(item_ids=np.array(LISTS[user], dtype=np.int64), ordered=True), user_id=user)
        truth.add(ItemList(item_ids=np.array(ANSWERS[user], dtype=np.int64)), user_id=user)
    classes = {
        "recall": Recall,
        "precision": Precision,
        "hit": Hit,
        "ndcg": NDCG,
        "map": AveragePrecision,
        "mrr": RecipRank,
    }
    run = RunAnalysis()
    made: dict[str, RankingMetricBase] = {name: one(n=K) for name, one in classes.items()}
    for one in made.values():
        run.add_metric(one)
    summary = run.measure(outputs, truth).list_summary()
    return "RunAnalysis.measure(...).list_summary(), an empty ItemList for no list", {
        name: summary.loc[one.label, "mean"] for name, one in made.items()
    }


def ranx() -> tuple[str, dict[str, float]]:
    from ranx import Qrels, Run, evaluate

    qrels = Qrels({str(u): {str(i): 1 for i in row} for u, row in enumerate(ANSWERS)})
    run = Run({str(u): {str(i): 10.0 - r for r, i in enumerate(row)} for u, row in enumerate(LISTS) if row})
    names = {
        "recall": "recall",
        "precision": "precision",
        "hit": "hit_rate",
        "ndcg": "ndcg",
        "map": "map",
        "mrr": "mrr",
    }
    found = evaluate(qrels, run, [f"{name}@{K}" for name in names.values()], make_comparable=True)
    return "evaluate(make_comparable=True)", {ours: found[f"{name}@{K}"] for ours, name in names.items()}


def cornac() -> tuple[str, dict[str, float]]:
    """Its metric objects a user, averaged over users as its `ranking_eval` does."""
    from cornac.metrics import NDCG, HitRatio, Precision, Recall

    classes = {"recall": Recall, "precision": Precision, "hit": HitRatio, "ndcg": NDCG}
    return "metrics.*(k=10).compute a user, mean", {
        name: float(
            np.mean(
                [
                    one(k=K).compute(gt_pos=np.array(ANSWERS[u]), pd_rank=np.array(LISTS[u], dtype=int))
                    for u in range(N_USERS)
                ]
            )
        )
        for name, one in classes.items()
    }


def recommenders() -> tuple[str, dict[str, float]]:
    import pandas as pd
    from recommenders.evaluation import python_evaluation as measures

    reco = pd.DataFrame(_rows(LISTS), columns=["userID", "itemID", "prediction"])
    reco["prediction"] = -reco["prediction"].astype(float)
    truth = pd.DataFrame(_rows(ANSWERS), columns=["userID", "itemID", "rating"]).assign(rating=1.0)
    functions = {"recall": "recall_at_k", "precision": "precision_at_k", "ndcg": "ndcg_at_k", "map": "map_at_k"}
    found = {name: getattr(measures, function)(truth, reco, k=K) for name, function in functions.items()}
    return "evaluation.python_evaluation.*_at_k", found


ALL = (irspack, implicit, rectools, recbole, lenskit, ranx, cornac, recommenders)
LIBRARIES = {one.__name__: one for one in ALL}


def _rows(lists: list[list[int]]) -> list[tuple[int, int, int]]:
    return [(user, item, rank + 1) for user, row in enumerate(lists) for rank, item in enumerate(row)]


def _matrix(lists: list[list[int]], kind: type):
    rows = _rows(lists)
    return kind((np.ones(len(rows)), ([r[0] for r in rows], [r[1] for r in rows])), shape=(N_USERS, N_ITEMS))


def main(library: str, path: str) -> None:
    call, numbers = LIBRARIES[library]()
    file = Path(path)
    golden = json.loads(file.read_text()) if file.exists() else {"recipe": RECIPE, "digest": digest(), "libraries": {}}
    if golden["digest"] != digest():
        sys.exit(f"{library}: this environment builds another fixture ({digest()}, not {golden['digest']})")
    golden["libraries"][library] = {
        "version": version(library),
        "numpy": np.__version__,
        "call": call,
        "k": K,
        "numbers": {name: round(float(number), 8) for name, number in numbers.items()},
    }
    file.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
    print(library, version(library), golden["libraries"][library]["numbers"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
