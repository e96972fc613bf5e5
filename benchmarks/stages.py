"""Each stage of the main job beside its floor, on a simulated log of the movie competition's size.

    python benchmarks/stages.py                      31,360 × 6,807 × 5,154,471, about a minute
    python benchmarks/stages.py --users 3000 --items 1000 --rows 300000

A floor is what the stage cannot do without, at rates measured here and now: bytes at the speed of a copy, adds at the
speed of the same loop on data in the first-level cache, multiply–adds at the speed of a matrix product. Kernels are
compiled before the clock starts. The machine is shared: read ratios, and run it twice.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import matinee
from matinee.contract import Mask
from matinee.data.simulation.spec import Simulate
from matinee.data.write import write_log
from matinee.linear.gram import gram
from matinee.linear.spd import invert
from matinee.topk import kernels

RESULTS = Path(__file__).parent / "results"
METRICS = ["recall@10", "ndcg@10", "precision@10", "hit@10", "map@10", "mrr@10", "coverage@10", "gini@10"]


def timed(work: Callable[[], Any], times: int = 1) -> tuple[Any, float]:
    """The result and the least seconds of a few tries."""
    least, result = float("inf"), None
    for _ in range(times):
        started = time.perf_counter()
        result = work()
        least = min(least, time.perf_counter() - started)
    return result, least


def rates() -> dict[str, float]:
    """What this machine does a second: bytes copied, float32 multiply–adds, float32 adds in the first-level cache."""
    big = np.ones(64_000_000, dtype=np.float32)
    target = np.empty_like(big)
    _, copy = timed(lambda: np.copyto(target, big), 3)
    A = np.ones((3000, 3000), dtype=np.float32)
    _, product = timed(lambda: A @ A, 3)
    items = np.tile(np.arange(16, dtype=np.int32), 40_000)
    rows = kernels.Rows(np.linspace(0, len(items), 4001).astype(np.int64), items)
    tile = np.ones((16, kernels.WIDE), dtype=np.float32)
    out, none = np.empty((4000, kernels.WIDE), dtype=np.float32), np.zeros(0, dtype=np.float32)
    _, adds = timed(lambda: kernels.score_tile(rows, none, tile, out, 0), 5)
    return {
        "bytes": 2 * big.nbytes / copy,
        "flops": 2 * 3000**3 / product,
        "adds": len(items) * kernels.WIDE / adds,
    }


def warm() -> None:
    """Compile every kernel on a small log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write_log(Simulate(users=300, items=200, rows=9000).read(), path)
        log = matinee.read(path)
        split = matinee.split.mixture(log, n_random=2, n_last=1)
        model = matinee.models.get("ease")().fit(split.train)
        matinee.evaluate(matinee.recommend(model, split.query, 10), split.target, METRICS)


def stages(path: Path, rate: dict[str, float]) -> list[dict[str, Any]]:
    """Run the main job once, stage by stage."""
    rows: list[dict[str, Any]] = []

    def stage(name: str, work: Callable[[], Any], floor: Callable[[Any], float], goal: float, what: str) -> Any:
        result, seconds = timed(work)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        least = floor(result)
        rows.append({"stage": name, "seconds": seconds, "floor": least, "goal": goal, "of": what, "peak_gb": peak})
        return result

    _, parse = timed(lambda: pl.read_csv(path))
    log = stage(
        "read csv, build Interactions", lambda: matinee.read(path), lambda _: parse, 3.0, "polars parses the file"
    )
    size = len(log)
    split = stage(
        "mixture split", lambda: matinee.split.mixture(log, n_random=7, n_last=3, seed=7),
        lambda _: 4 * 20 * size / rate["bytes"], 1.0, "log read twice and written twice",
    )  # fmt: skip
    X = split.train.matrix
    lengths = np.diff(X.indptr).astype(np.float64)
    n = split.train.n_items
    adds = 0.5 * float((lengths * (lengths + 1)).sum())
    _, scattered = timed(lambda: gram(X))
    inverse = _inverse_alone(X)
    model = stage(
        "EASE fit", lambda: matinee.models.get("ease")(l2=500).fit(split.train),
        lambda _: n**3 / rate["flops"] + adds / (rate["flops"] / 64), 5.0,
        f"n³ flops + ½ΣL² adds; alone: Gram {scattered:.2f} s, inverse {inverse:.2f} s",
    )  # fmt: skip
    lists = stage(
        "exact top-10 for everybody, seen masked", lambda: matinee.recommend(model, split.query, 10),
        lambda _: X.nnz * n / rate["adds"], 4.0, "nnz · n adds from the first-level cache",
    )  # fmt: skip
    stage(
        "metrics with 1,000 resamples",
        lambda: _all_intervals(matinee.evaluate(lists, split.target, METRICS)),
        lambda _: 1000 * len(lists) * 4 * 8 * 3 / rate["bytes"], 2.0, "a row of values read a draw",
    )  # fmt: skip
    stage(
        "top-100 for everybody", lambda: matinee.recommend(model, split.query, 100, Mask()),
        lambda _: X.nnz * n / rate["adds"], 8.0, "as above: what a run keeps",
    )  # fmt: skip
    return rows


def _inverse_alone(X: Any) -> float:
    """Seconds of the symmetric inverse inside EASE."""
    G = gram(X)
    G[np.diag_indices(len(G))] += 500.0
    return timed(lambda: invert(G))[1]


def _all_intervals(evaluation: Any) -> Any:
    return evaluation, evaluation.frame()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=31_360)
    parser.add_argument("--items", type=int, default=6_807)
    parser.add_argument("--rows", type=int, default=5_154_471)
    parser.add_argument("--out", type=Path, default=RESULTS / "stages.json")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train_ratings.csv"
        import subprocess
        import sys

        size = ["--users", str(asked.users), "--items", str(asked.items), "--rows", str(asked.rows), "--seed", "7"]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "matinee", "simulate", str(path), *size], check=True)
        simulated = time.perf_counter() - started
        warm()
        rate = rates()
        rows = stages(path, rate)
    said = {
        "date": datetime.epoch(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "processor": platform.processor() or platform.machine(),
            "load before": load,
        },
        "log": {"users": asked.users, "items": asked.items, "rows": asked.rows},
        "simulate_and_write_seconds": simulated,
        "rates": rate,
        "stages": rows,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(said, indent=2) + "\n")
    print(
        f"simulate and write: {simulated:.1f} s; rates a second: "
        + ", ".join(f"{k} {v / 1e9:.1f} G" for k, v in rate.items())
    )
    print(f"{'stage':42s}{'seconds':>9s}{'floor':>8s}{'ratio':>7s}{'goal':>6s}{'peak GB':>9s}   floor is")
    for row in rows:
        ratio = row["seconds"] / row["floor"]
        print(
            f"{row['stage']:42s}{row['seconds']:9.2f}{row['floor']:8.2f}{ratio:7.1f}{row['goal']:6.0f}"
            f"{row['peak_gb']:9.2f}   {row['of']}"
        )


if __name__ == "__main__":
    main()
