"""Auto-encoders beside linear models on MovieLens 1M, by two published protocols, with intervals and times.

    python benchmarks/autoencoders.py                          both protocols, every row that is not there yet
    python benchmarks/autoencoders.py --protocols infae --kinds ease rec_vae

`infae`: the split of ∞-AE (Sachdeva et al., NeurIPS 2022), all ratings; knobs and epochs are chosen on its validation
rows, models learn from its training rows alone, are asked with both, and recall is hits / min(k, answers). `refit` is
the same model learnt from both. `strong`: ratings of 4 and 5, 600 people held out whole, 80 % of each shown (Liang et
al., 2018); knobs and epochs are chosen on other people held out of the rest. No answer of a report is looked at before.

Rows are kept in `results/autoencoders.json` and written out to `docs/autoencoders.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import matinee
from matinee.contract import FitContext, FittedModel, ModelSpec
from matinee.ensemble import CandidatePool
from matinee.ensemble.rule import Rule, fuse
from matinee.ensemble.rules import RULES
from matinee.metrics import Evaluation
from matinee.runs.validation import fit_early_stopped
from matinee.split import Split
from matinee.topk import TopK

HERE = Path(__file__).parent
ML_1M = HERE.parents[1] / "shared" / "data" / "ml-1m"
CACHE = Path.home() / ".cache" / "matinee" / "autoencoders"
METRICS = {
    "infae": ["ndcg@10", "recall@10", "recall@100", "coverage@10"],
    "strong": ["ndcg@100", "recall@20", "recall@50", "ndcg@10"],
}
DEPTH = 200

GRID: dict[str, list[dict[str, Any]]] = {
    "popularity": [{}],
    "item_knn": [{"neighbours": k} for k in (20, 50, 100, 200)],
    "ease": [{"l2": l2} for l2 in (100, 200, 500, 1000, 2000)],
    "edlae": [{"l2": l2, "dropout": p} for l2 in (200, 500, 1000) for p in (0.3, 0.5)],
    "autorec": [{}],
    "mult_dae": [{}, {"dropout": 0.7}, {"factors": 400}],
    "mult_vae": [{"hidden": 600}, {"hidden": 0}, {"hidden": 600, "dropout": 0.7}, {"hidden": 600, "beta": 0.5}],
    "cdae": [{}],
    "rec_vae": [{}],
    "vasp": [{}],
    "neural_ease": [{}],
    "multi_ease": [{}],
    "elsa": [{}],
    "item_vae": [{}],
}
FUSED: dict[str, tuple[tuple[str, str], str | dict[str, Any]]] = {
    "σ(EASE) ⊙ RecVAE": (("ease", "rec_vae"), {"kind": "product", "norms": ["sigmoid", "softmax"], "floor": 1e-6}),
    "EASE × RecVAE, min-max": (("ease", "rec_vae"), "product"),
    "log-rank of EASE, RecVAE": (("ease", "rec_vae"), "dcg_points"),
    "z-sum of EASE, RecVAE": (("ease", "rec_vae"), "comb_sum"),
    "z-sum of EASE, Mult-VAE": (("ease", "mult_vae"), "comb_sum"),
}


def frame(low: float = 0.0) -> pl.DataFrame:
    """The ratings with their place in the ∞-AE split (0 train, 1 valid, 2 test)."""
    rows = np.load(ML_1M / "ratings_ordered.npz")
    index = np.load(ML_1M / "infae_index.npz")
    part = index[index.files[0]]
    made = {"user": rows["user"], "item": rows["item"], "time": rows["rank"], "rating": rows["rating"], "part": part}
    return pl.DataFrame(made).filter(pl.col("rating") >= low)


def kept(name: str, rows: pl.DataFrame) -> Path:
    """Rows as a file of the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    rows.select("user", "item", "time").write_csv(CACHE / f"{name}.csv")
    return CACHE / f"{name}.csv"


def split_of(protocol: str) -> tuple[Split, matinee.Interactions | None]:
    """The split, and the log of a refit where the protocol has one."""
    if protocol == "strong":
        log = matinee.read(kept("strong", frame(4.0)), time_unit="order", k_core=5)
        return matinee.split.new_users(log, users=600, fold_in=0.8, seed=7), None
    rows = frame()
    parts = [matinee.read(kept(f"infae-{n}", rows.filter(pl.col("part") == n)), time_unit="order") for n in range(3)]
    split = matinee.split.predefined(parts[0], parts[2], validation=parts[1])
    both = matinee.read(kept("infae-both", rows.filter(pl.col("part") < 2)), time_unit="order")
    return split, matinee.split.predefined(both, parts[2]).train


def by(split: Split, metric: str) -> Callable[[FittedModel], float]:
    """The metric on the stop fold."""
    stop = split.validation_split()

    def validate(model: FittedModel) -> float:
        lists = matinee.recommend(model, stop.query, int(metric.partition("@")[2]))
        return matinee.evaluate(_of(lists, stop), stop.target, [metric])[metric]

    return validate


def chosen(kind: str, split: Split, metric: str) -> tuple[ModelSpec, FittedModel, list[dict[str, Any]]]:
    """The best setting of the grid on the stop fold, settled, its model of the stop fold, and what was tried."""
    validate = by(split, metric)
    tried: list[dict[str, Any]] = []
    best: tuple[float, ModelSpec, FittedModel] | None = None
    for knobs in GRID[kind]:
        started = time.perf_counter()
        spec = matinee.models.get(kind)(**knobs)
        model = fit_early_stopped(spec, split, matinee.Task(metric=metric), FitContext(seed=7))
        seconds, value = time.perf_counter() - started, validate(model)
        settled = model.spec
        tried.append({"knobs": knobs, metric: value, "seconds": seconds, "epochs": settled.params().get("epochs")})
        print(f"  {kind} {knobs}: {metric} {value:.4f} on the stop fold, {seconds:.0f} s", flush=True)
        if best is None or value > best[0]:
            best = (value, settled, model)
    assert best is not None
    return best[1], best[2], tried


def _of(lists: TopK, split: Split) -> TopK:
    """Lists under the names of the people who answer."""
    return TopK(split.target.user, lists.item, lists.score, lists.users, lists.items)


def row_of(evaluation: Evaluation, protocol: str, **more: Any) -> dict[str, Any]:
    """A line of the table."""
    metrics = METRICS[protocol]
    interval = evaluation.interval(metrics[0])
    return {**{name: evaluation[name] for name in metrics}, "interval": list(interval), **more}


def run(protocol: str, kinds: list[str], said: dict[str, Any], out: Path) -> None:
    """Every kind of one protocol that has no row yet."""
    split, both = split_of(protocol)
    metrics, rows = METRICS[protocol], said.setdefault(protocol, {})
    for kind in kinds:
        if kind in rows:
            continue
        spec, model, tried = chosen(kind, split, metrics[0])
        seconds = max(tried, key=lambda one: one[metrics[0]])["seconds"]
        if split.validation_split().train.fingerprint != split.train.fingerprint:
            started = time.perf_counter()
            model = spec.fit(split.train, FitContext(seed=7))
            seconds = time.perf_counter() - started
        lists = _of(matinee.recommend(model, split.query, DEPTH), split)
        lists.frame().write_parquet(CACHE / f"{protocol}-{kind}.parquet")
        np.savez(CACHE / f"{protocol}-{kind}.npz", item=lists.item, score=lists.score)
        more = {"seconds": seconds, "spec": spec.to_dict(), "tried": tried, "load": os.getloadavg()[0]}
        rows[kind] = row_of(matinee.evaluate(lists, split.target, metrics), protocol, **more)
        if both is not None:
            again = matinee.recommend(spec.fit(both, FitContext(seed=7)), split.query, DEPTH)
            rows[kind]["refit"] = matinee.evaluate(_of(again, split), split.target, metrics)[metrics[0]]
        rows[kind]["date"] = datetime.epoch(UTC).isoformat(timespec="seconds")
        print(protocol, kind, {k: v for k, v in rows[kind].items() if k not in ("tried", "spec")}, flush=True)
        out.write_text(json.dumps(said, indent=2) + "\n")
    compared(protocol, split, rows)
    out.write_text(json.dumps(said, indent=2) + "\n")


def compared(protocol: str, split: Split, rows: dict[str, Any]) -> None:
    """The fusions, and every row's difference to EASE over the same people."""
    metric = METRICS[protocol][0]
    lists = {}
    for kind in rows:
        path = CACHE / f"{protocol}-{kind}.npz"
        if path.is_file() and kind in GRID:
            held = np.load(path)
            asked = split.target
            lists[kind] = TopK(asked.user, held["item"], held["score"], asked.users, asked.items)
    for name, (members, rule) in FUSED.items():
        if all(member in lists for member in members):
            made: Rule = RULES.read({"kind": rule} if isinstance(rule, str) else rule, name)
            lists[name] = fuse(made, CandidatePool.of({member: lists[member] for member in members}), None, DEPTH)
            evaluation = matinee.evaluate(lists[name], split.target, METRICS[protocol])
            rows[name] = row_of(evaluation, protocol)
    judged = {name: matinee.evaluate(one, split.target, [metric]) for name, one in lists.items()}
    if "ease" in judged:
        for name, one in judged.items():
            difference = matinee.compare(one, judged["ease"], metric)
            rows[name]["to EASE"] = [difference.mean, difference.low, difference.high]


def page(said: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = ["# Auto-encoders on MovieLens 1M", "", "`python benchmarks/autoencoders.py`; its docstring says how."]
    for protocol, rows in said.items():
        metrics = METRICS[protocol]
        heads = ["model", *metrics, f"{metrics[0]} − EASE's", "refit", "fit s", "chosen of the grid"]
        lines += ["", f"## {protocol}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        ranked = sorted(rows.items(), key=lambda one: -one[1][metrics[0]])
        lines += [f"| {' | '.join(cells(name, row, metrics))} |" for name, row in ranked]
    return "\n".join(lines) + "\n"


def cells(name: str, row: dict[str, Any], metrics: list[str]) -> list[str]:
    """A row of the page."""
    low, high = row["interval"]
    gain = "" if "to EASE" not in row else "{:+.4f} [{:+.4f}, {:+.4f}]".format(*row["to EASE"])
    tried = row.get("tried", [])
    best = max(tried, key=lambda one: one[metrics[0]], default=None)
    knobs = {} if best is None else {**best["knobs"], "epochs": best["epochs"]}
    return [
        name,
        f"{row[metrics[0]]:.4f} [{low:.4f}, {high:.4f}]",
        *(f"{row[metric]:.4f}" for metric in metrics[1:]),
        gain,
        f"{row['refit']:.4f}" if "refit" in row else "",
        f"{row['seconds']:.0f}" if "seconds" in row else "",
        ", ".join(f"{knob} {value}" for knob, value in knobs.items() if value is not None),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--protocols", nargs="*", default=["infae", "strong"])
    parser.add_argument("--kinds", nargs="*", default=list(GRID))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "autoencoders.json")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "autoencoders.md")
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    said = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    for protocol in asked.protocols:
        run(protocol, asked.kinds, said, asked.out)
    asked.page.write_text(page(said))


if __name__ == "__main__":
    main()
