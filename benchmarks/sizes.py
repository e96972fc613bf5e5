"""Default knobs at different sizes: do auto-encoders hold their place without being touched?

    python benchmarks/sizes.py                             people of MovieLens 1M, and simulated logs up to 100,000
    python benchmarks/sizes.py --logs ml-1m:1000 --kinds ease mult_dae
    python benchmarks/sizes.py --logs gowalla:29858 --kinds mult_vae,hidden=600 --stop

A tenth of the people, 1,000 at most, are held out whole; 80 % of each is shown. Nothing but epochs is decided, by the
stop fold, and they are frozen for a fit on all the others. A simulated log's knobs are the simulator's own. Rows are
kept in `results/sizes.json`; the table is written to `docs/sizes.md`. A kind with knobs behind it is a setting that a
default could have been: it is judged on the stop fold alone, as everything is with `--stop`.
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
from matinee.contract import FitContext, FittedModel
from matinee.data.simulation.spec import Simulate
from matinee.runs.validation import fit_early_stopped
from matinee.split import Split

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
SIMULATED = {1_000: (1_000, 100_000), 10_000: (2_000, 1_000_000), 100_000: (2_000, 5_000_000)}
"""People: items, rows."""

LOGS = ["ml-1m:1000", "ml-1m:3000", "ml-1m:6040", *(f"simulated:{people}" for people in SIMULATED)]
KINDS = ["popularity", "ease", "mult_dae", "mult_vae", "rec_vae"]
METRIC = "ndcg@10"


def log_of(name: str) -> matinee.Interactions | None:
    """Ratings of 4 and 5 of that many people of MovieLens 1M, a simulated log, or what people of Gowalla learn from in
    LightGCN's split; None where the data are absent."""
    source, _, many = name.partition(":")
    people = int(many)
    if source == "simulated":
        items, rows = SIMULATED[people]
        return Simulate(users=people, items=items, rows=rows, seed=7).read()
    if not DATA.is_dir():
        return None
    if source == "gowalla":
        return matinee.read(DATA / "gowalla" / "train.txt", kind="user_lists")
    rows = np.load(DATA / "ml-1m" / "ratings_ordered.npz")
    frame = pl.DataFrame({part: rows[part] for part in ("user", "item", "rank", "rating")}).filter(
        pl.col("rating") >= 4
    )
    some = np.random.default_rng(7).permutation(frame["user"].unique().sort().to_numpy())[:people]
    frame = frame.filter(pl.col("user").is_in(some)).rename({"rank": "time"}).drop("rating")
    return matinee.read(frame, time_unit="order", k_core=5)


def by(split: Split) -> Callable[[FittedModel], matinee.metrics.Evaluation]:
    """The metric of a model on the people of a split."""

    def judge(model: FittedModel) -> matinee.metrics.Evaluation:
        return matinee.evaluate(matinee.recommend(model, split.query, 10), split.target, [METRIC])

    return judge


def row(setting: str, split: Split, *, judge: bool) -> dict[str, Any]:
    """A model with the knobs given: epochs by the stop fold, then, to `judge` it, a fit on everybody who learns."""
    kind, *given = setting.split(",")
    knobs = {name: json.loads(value) for name, _, value in (one.partition("=") for one in given)}
    started = time.perf_counter()
    found = fit_early_stopped(matinee.models.get(kind)(**knobs), split, matinee.Task(metric=METRIC), FitContext(seed=7))
    spec, seen = found.spec, by(split.validation_split())(found)[METRIC]
    made: dict[str, Any] = {"stop fold": seen, "epochs": spec.params().get("epochs"), "spec": spec.to_dict()}
    if judge:
        judged = by(split)(spec.fit(split.train, FitContext(seed=7)))
        made |= {METRIC: judged[METRIC], "interval": list(judged.interval(METRIC))}
    return made | {
        "seconds": time.perf_counter() - started,
        "load": os.getloadavg()[0],
        "date": datetime.epoch(UTC).isoformat(timespec="seconds"),
    }


def page(said: dict[str, Any]) -> str:
    """The rows as Markdown."""
    lines = ["# Default knobs at different sizes", "", "`python benchmarks/sizes.py`; its docstring says how.", ""]
    lines += ["| log | people | items | rows | " + " | ".join(KINDS) + " |", "|---" * (4 + len(KINDS)) + "|"]
    for name, one in said.items():
        if not any(METRIC in row for row in one["rows"].values()):
            continue
        size = [f"{one['size'][part]:,}" for part in ("people", "items", "rows")]
        lines.append(f"| {' | '.join([name.partition(':')[0], *size, *(cell(one['rows'].get(k)) for k in KINDS)])} |")
    lines += [
        "",
        f"{METRIC} of held-out people with its interval, epochs found by the stop fold, seconds of both fits. The",
        "rules: a batch is a 64th of who learns, 16 to 500; Mult-DAE and Mult-VAE have a hidden layer of 600 from",
        "50,000 people on and none below; RecVAE's five layers stay as they are; the stop fold finds the epochs.",
    ]
    lines += [
        "",
        "## What a default could have been",
        "",
        "| log | setting | stop fold | epochs | s |",
        "|---" * 5 + "|",
    ]
    for name, one in said.items():
        for setting, row in one["rows"].items():
            if "," in setting or METRIC not in row:
                told = f"{row['stop fold']:.4f} | {row['epochs'] or ''} | {row['seconds']:.0f}"
                lines.append(f"| {name} | {setting} | {told} |")
    lines += ["", f"{METRIC} on the stop fold alone; no answer of the table above was looked at."]
    return "\n".join(lines) + "\n"


def cell(row: dict[str, Any] | None) -> str:
    """One model on one log."""
    if row is None:
        return "–"
    if METRIC not in row:
        return f"stop fold {row['stop fold']:.4f}, {row['epochs']} epochs, {row['seconds']:.0f} s"
    low, high = row["interval"]
    epochs = "" if row["epochs"] is None else f", {row['epochs']} epochs, {row['seconds']:.0f} s"
    return f"{row[METRIC]:.4f} [{low:.4f}, {high:.4f}]{epochs}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logs", nargs="*", default=LOGS)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    parser.add_argument("--stop", action="store_true", help="judge nothing on the answers of the report")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "sizes.json")
    asked = parser.parse_args()
    said = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    for name in asked.logs:
        log = log_of(name)
        if log is None:
            print(f"{name}: its data are absent")
            continue
        split = matinee.split.new_users(log, users=min(1000, log.n_users // 10), fold_in=0.8, seed=7)
        size = {"people": log.n_users, "items": log.n_items, "rows": len(log)}
        rows = said.setdefault(name, {"size": size, "rows": {}})["rows"]
        for kind in asked.kinds:
            if kind not in rows:
                rows[kind] = row(kind, split, judge=not asked.validation_split and "," not in kind)
                print(name, kind, cell(rows[kind]), flush=True)
                asked.out.write_text(json.dumps(said, indent=2) + "\n")
    (HERE.parent / "docs" / "sizes.md").write_text(page(said))


if __name__ == "__main__":
    main()
