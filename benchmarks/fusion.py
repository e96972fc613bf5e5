"""Every fusion rule, chooser and gate on the same members, with intervals; and how long a search takes.

    python benchmarks/fusion.py                       ML-1M where it is; a made-up log of two kinds of people
    python benchmarks/fusion.py --logs competition    31,360 people, 30 members: the clock

Members' lists are runs under the user's cache, fitted once. Writes `results/fusion.json` and `docs/fusion.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import matinee
from matinee.data import Targets, Vocabulary
from matinee.data.simulation.spec import Simulate
from matinee.ensemble import CandidatePool
from matinee.ensemble.ensemble_spec import read_ensemble as read_plan
from matinee.ensemble.objective import FusionObjective
from matinee.ensemble.rules.dcg_points import DCGPoints
from matinee.ensemble.search import Objective, SearchResult, UserContext, search
from matinee.metrics import Evaluation, compare
from matinee.runs import RunOptions, execute, prepare
from matinee.runs.execute import PreparedExperiment
from matinee.runs.experiment import read_experiment as read_experiment
from matinee.topk import TopK

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared" / "data"
CACHE = Path(os.environ.get("MATINEE_FUSION", Path.home() / ".cache" / "matinee" / "fusion"))
METRIC = "recall@10"

MEMBERS = [
    {"kind": "ease"}, {"kind": "slim"}, {"kind": "rdlae"}, {"kind": "pure_svd"}, {"kind": "gf_cf"},
    {"kind": "rp3beta"}, {"kind": "item_knn"}, {"kind": "directional"},
    {"kind": "directional", "set_weight": 0.0, "history_decay": 5.0}, {"kind": "directional", "set_weight": 0.9},
]  # fmt: skip
MANY = [
    *MEMBERS,
    *({"kind": "ease", "l2": l2} for l2 in (50, 150, 1500, 5000)),
    *({"kind": "edlae", "dropout": p} for p in (0.2, 0.5, 0.8)),
    *({"kind": "pure_svd", "factors": d} for d in (32, 128)),
    *({"kind": "item_knn", "neighbours": k} for k in (20, 50)),
    *({"kind": "rp3beta", "beta": b} for b in (0.2, 0.5)),
    *({"kind": "p3alpha", "alpha": a} for a in (0.5, 1.0)),
    *({"kind": "directional", "target_decay": r} for r in (0.5, 3.0, 10.0)),
    {"kind": "popularity", "half_life_days": 30.0},
]
RULES = [
    "top_n_vote", "dcg_points", "rrf", {"kind": "rrf", "k": 60}, "borda", "linear_rank", "two_tier",
    "comb_sum", {"kind": "comb_sum", "norm": "min_max"}, "comb_mnz", "product",
    {"kind": "quota", "quotas": [7, 3]}, "interleave", "consensus_first", "cascade",
]  # fmt: skip
SEARCHES = [
    {"kind": "best_subset"}, {"kind": "greedy"}, {"kind": "greedy", "bags": 10},
    {"kind": "coordinate_ascent"}, {"kind": "listnet"},
    {"kind": "stacking"}, {"kind": "greedy", "rule": "rrf"}, {"kind": "greedy", "rule": "comb_sum"},
    {"kind": "greedy", "rules": ["dcg_points", "rrf", "comb_sum"], "depths": [20, 100]},
    {"kind": "listnet", "gate": "segments"}, {"kind": "listnet", "gate": "logit"},
]  # fmt: skip


def two_kinds() -> pl.DataFrame:
    """Half of the people choose by taste, in any order and all in one day; the others go from item to item along paths.

    A path leads from an item to one that has nothing to do with it in taste; two times out of three it is followed.
    """
    frame = Simulate(users=3_000, items=1_500, rows=240_000, series=0.0, seed=3).read().frame()
    rng = np.random.default_rng(0)
    taken = frame.select(
        pl.col("user"), pl.col("item"), time=pl.lit(1_600_000_000) + 5 * pl.Series(rng.permutation(len(frame)))
    )
    items = frame["item"].unique().sort().to_numpy()
    following = rng.permutation(len(items))
    law = np.sort(frame["item"].value_counts()["count"].to_numpy())[::-1].cumsum() / len(frame)
    at = np.searchsorted(law, rng.random((3_000, 80)))
    for step in range(1, 80):
        at[:, step] = np.where(rng.random(3_000) < 2 / 3, following[at[:, step - 1]], at[:, step])
    walks = pl.DataFrame({
        "user": np.repeat(np.arange(3_000) + 10_000_000, 80).astype(np.int64),
        "item": items[np.minimum(at, len(items) - 1)].ravel(),
        "time": 1_500_000_000 + rng.integers(0, 10**7, 3_000).repeat(80) + 40_000 * np.tile(np.arange(80), 3_000),
    }).unique(["user", "item"], keep="first", maintain_order=True)  # fmt: skip
    return pl.concat([taken.cast({"user": pl.Int64}), walks])


def source(name: str) -> dict[str, Any] | None:
    """The [data] table of a log, or None where it is absent."""
    if name == "competition":
        return {"kind": "simulate", "users": 31_360, "items": 6_807, "rows": 5_154_471, "seed": 7}
    path = CACHE / f"{name}.csv"
    if name == "ml-1m":
        if not (SHARED / "ml-1m").is_dir():
            return None
        rows = np.load(SHARED / "ml-1m" / "ratings_ordered.npz")
        frame = pl.DataFrame({"user": rows["user"], "item": rows["item"], "time": rows["rank"]})
    else:
        frame = two_kinds()
    CACHE.mkdir(parents=True, exist_ok=True)
    frame.write_csv(path)
    return {"kind": "delimited", "path": str(path), **({"time_unit": "order"} if name == "ml-1m" else {})}


def ready(name: str) -> tuple[PreparedExperiment, dict[str, TopK]] | None:
    """The split and the members' lists; what was fitted before is read."""
    data = source(name)
    if data is None:
        return None
    tables = {
        "seed": 7,
        "data": data,
        "task": {"k": 10, "metric": METRIC, "depth": 100},
        "split": {"kind": "mixture", "n_random": 7, "n_last": 3},
        "model": MANY if name == "competition" else MEMBERS,
        "keep_models": False,
    }
    prepared = prepare(read_experiment(tables, "fusion"))
    runs = execute(prepared, RunOptions(CACHE / name, say=lambda line: print(line, flush=True)))
    answer = prepared.split.target
    named = {}
    for run in runs:
        knobs = "-".join(str(v) for k, v in run.params.items() if v != matinee.models.get(run.kind)().params()[k])
        named[run.kind + (f"-{knobs}" if knobs else "")] = run.lists(answer.users, answer.items)
    return prepared, named


def judged(lists: TopK, prepared: PreparedExperiment) -> Evaluation:
    return matinee.evaluate(lists, prepared.split.target, [METRIC])


def drawn(people: int = 31_360, members: int = 30, near: int = 400) -> tuple[dict[str, TopK], Targets]:
    """Members by chance, for the clock: each sees what `near` items are worth to a person through noise of its own."""
    rng = np.random.default_rng(0)
    users, items = (Vocabulary.of(pl.Series(range(n))) for n in (people, 6_807))
    code = (rng.integers(0, 17, (people, near)) + 17 * np.arange(near)).astype(np.int32)
    worth = rng.standard_normal((people, near), dtype=np.float32)
    found = {}
    for m in range(members):
        seen = worth + (0.4 + 0.02 * m) * rng.standard_normal((people, near), dtype=np.float32)
        order = np.argsort(-seen, axis=1)[:, :100]
        item, score = np.take_along_axis(code, order, 1), np.take_along_axis(seen, order, 1)
        found[f"m{m}"] = TopK(np.arange(people, dtype=np.int32), item, score, users, items)
    taken = np.argsort(-(worth + rng.standard_normal((people, near), dtype=np.float32)), axis=1)[:, :10]
    whose, row = (np.arange(people, dtype=np.int32), users, items), np.repeat(np.arange(people), 10)
    answer = np.take_along_axis(code, taken, 1).ravel()
    return found, Targets.from_rows(whose[1], whose[2], whose[0], row, answer, np.zeros(10 * people, int), ("all",))


def clocked() -> dict[str, Any]:
    """Seconds of the parts of a search over 30 members and 31,360 people."""
    members, answer = drawn()
    seconds: dict[str, Any] = {}
    for some in (dict(list(members.items())[:3]), members):  # the first round compiles
        started = time.perf_counter()
        pool = CandidatePool.of(some, 50)
        seconds["pool"] = time.perf_counter() - started
        seconds["(candidates a person)"] = len(pool.item) / len(pool)
        judge = FusionObjective(pool, answer, METRIC)
        points = DCGPoints().points(pool)
        judge.single(points[:1])
        started = time.perf_counter()
        judge.trial_values(np.zeros(points.shape[1], dtype=np.float32), points, np.arange(len(points)))
        seconds["one combination"] = (time.perf_counter() - started) / len(points)
        for table in ({"kind": "greedy"}, {"kind": "listnet"}, {"kind": "stacking"}):
            started = time.perf_counter()
            read_plan(table, "fusion").weight_search.weights(judge, points)
            seconds[f"weights by {label(table)}"] = time.perf_counter() - started
        started = time.perf_counter()
        search(some, answer, read_plan({"kind": "greedy"}, "fusion"), Objective(METRIC))
        seconds["whole search, four folds and all: greedy"] = time.perf_counter() - started
    return seconds


def row(
    what: str, found: SearchResult, best: Evaluation, prepared: PreparedExperiment, seconds: float
) -> dict[str, Any]:
    """One line of a table."""
    ours = judged(found.lists, prepared)
    gap = compare(ours, best, METRIC)
    return {
        "what": what, "honest": found.out_of_fold, "interval": ours.interval(METRIC), "apparent": found.in_sample,
        "random": ours.part("random")[METRIC], "tail": ours.part("tail")[METRIC],
        "gain": [gap.mean, gap.low, gap.high], "significant": gap.significant, "seconds": seconds,
        "gate": None if found.recipe.gate is None else found.recipe.gate.kind,
        "weights": dict(zip(found.recipe.members, np.round(found.recipe.weight, 3).tolist(), strict=True)),
    }  # fmt: skip


def label(table: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" if k != "kind" else str(v) for k, v in table.items())


def tried(name: str) -> dict[str, Any] | None:
    """All rules, searches and gates on one log."""
    prepared_members = ready(name)
    if prepared_members is None:
        return None
    prepared, members = prepared_members
    split = prepared.split
    people = UserContext(split.query, split.train.popularity, real_time=split.train.time_kind == "seconds")
    alone = {member: judged(lists, prepared) for member, lists in members.items()}
    best = max(alone.values(), key=lambda one: one[METRIC])
    two = {member: members[member] for member in ("ease", "directional")}
    tables = [("rules", two, {"kind": "fixed", "rule": rule}) for rule in RULES]
    tables += [("searches", members, one) for one in SEARCHES]
    if name == "competition":
        tables = [("searches", members, one) for one in SEARCHES if one["kind"] != "best_subset"]
    rows: dict[str, list[dict[str, Any]]] = {"rules": [], "searches": []}
    for group, some, table in tables:
        started = time.perf_counter()
        found = search(some, split.target, read_plan(table, "fusion"), Objective(METRIC), people)
        seconds = time.perf_counter() - started
        what = (
            label(table["rule"] if isinstance(table["rule"], dict) else {"kind": table["rule"]})
            if (group == "rules")
            else label(table)
        )
        rows[group].append(row(what, found, best, prepared, seconds))
        print(name, json.dumps(rows[group][-1]), flush=True)
    return {
        "people": len(split.target),
        "members": {m: [e[METRIC], e.part("random")[METRIC], e.part("tail")[METRIC]] for m, e in alone.items()},
        **rows,
    }


def page(results: dict[str, Any]) -> str:
    """The tables as Markdown."""
    lines = ["# Fusion: rules, searches and gates on the same members", ""]
    lines += [
        "Written by `benchmarks/fusion.py`. Every number is out of fold: a list is judged under weights found without"
    ]
    lines += [
        "its person. `apparent` is the same on the people the weights were found on. Gains are over the best single"
    ]
    lines += [
        "member, paired, with 95 % bootstrap intervals. `seconds` is a whole search: five of them, one a fold and all."
    ]
    for name, said in results.items():
        if name == "clock":
            title = f"## The clock: 30 members by chance, 31,360 people, {said['date']}, load {said['load']:.1f}"
            lines += ["", title, "", "| what | s |", "|---|---|"]
            lines += [f"| {what} | {one:.3g} |" for what, one in said["seconds"].items()]
            continue
        lines += ["", f"## {name}: {said['people']:,} people, {said['date']}, load {said['load']:.1f}", ""]
        lines += ["| member | recall@10 | random | tail |", "|---|---|---|---|"]
        for member, (mean, random, tail) in sorted(said["members"].items(), key=lambda one: -one[1][0]):
            lines.append(f"| {member} | {mean:.4f} | {random:.4f} | {tail:.4f} |")
        for group, title in (("rules", "Rules on ease + directional, equal weights"), ("searches", "Searches on all")):
            if not said[group]:
                continue
            lines += [
                "",
                f"{title}:",
                "",
                "| | recall@10 | apparent | random | tail | gain | s |",
                "|---|---|---|---|---|---|---|",
            ]
            for one in said[group]:
                low, high = one["gain"][1:]
                gain = f"{one['gain'][0]:+.4f} [{low:+.4f}, {high:+.4f}]" + (
                    "" if one["significant"] else " not significant"
                )
                gate = "" if "gate=" not in one["what"] else (" (used)" if one["gate"] else " (not used)")
                lines.append(
                    f"| {one['what']}{gate} | {one['honest']:.4f} | {one['apparent']:.4f} | {one['random']:.4f} | "
                    f"{one['tail']:.4f} | {gain} | {one['seconds']:.1f} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--logs",
        nargs="+",
        default=["ml-1m", "two-kinds", "clock"],
        choices=["ml-1m", "two-kinds", "clock", "competition"],
    )
    asked = parser.parse_args()
    path = HERE / "results" / "fusion.json"
    results = json.loads(path.read_text()) if path.is_file() else {}
    for name in asked.logs:
        load = os.getloadavg()[0]
        said = {"seconds": clocked()} if name == "clock" else tried(name)
        if said is None:
            print(f"{name}: not here, left out")
            continue
        results[name] = {**said, "date": f"{datetime.epoch(UTC):%Y-%m-%d}", "load": load}
        path.write_text(json.dumps(results, indent=2) + "\n")
        (HERE.parent / "docs" / "fusion.md").write_text(page(results))


if __name__ == "__main__":
    main()
