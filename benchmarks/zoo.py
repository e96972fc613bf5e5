"""Every model of the zoo at its defaults on one log: seconds to fit and to list everybody, peak memory, quality.

    python benchmarks/zoo.py                         simulated, 31,360 × 6,807 × 5,154,471
    python benchmarks/zoo.py --log FILE --kinds ease slim

Each model has a process of its own, so that memory is its own; a first fit on a small log compiles its kernels before
the clock starts. Memory is the process's peak, the log and the libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matinee
from matinee.data.simulation.spec import Simulate

RESULTS = Path(__file__).parent / "results"
METRICS = ["recall@10", "ndcg@10", "coverage@10"]


def one(kind: str, path: Path, order: bool) -> dict[str, Any]:
    """Fit, list and judge one model."""
    spec = matinee.models.get(kind)()
    small = Simulate(users=300, items=200, rows=9000).read()
    matinee.recommend(spec.fit(small), small, 10)
    log = matinee.read(path, **({"time_unit": "order"} if order else {}))
    split = matinee.split.mixture(log, n_random=7, n_last=3, seed=7)
    started = time.perf_counter()
    model = spec.fit(split.train)
    fitted = time.perf_counter()
    lists = matinee.recommend(model, split.query, 10)
    listed = time.perf_counter()
    evaluation = matinee.evaluate(lists, split.target, METRICS)
    return {
        "kind": kind,
        "fit_seconds": fitted - started,
        "list_seconds": listed - fitted,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        **{name: evaluation[name] for name in METRICS},
        "interval": evaluation.interval("recall@10"),
        "random": evaluation.part("random")["recall@10"],
        "tail": evaluation.part("tail")["recall@10"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--log", type=Path, help="user,item,time rows; nothing means the simulated log")
    parser.add_argument("--order", action="store_true", help="times are positions")
    parser.add_argument("--kinds", nargs="*", default=matinee.models.kinds())
    parser.add_argument("--out", type=Path, default=RESULTS / "zoo.json")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(asked.one, asked.log, asked.order)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = asked.log
        if path is None:
            path = Path(folder) / "log.csv"
            size = ["--users", "31360", "--items", "6807", "--rows", "5154471", "--seed", "7"]
            subprocess.run([sys.executable, "-m", "matinee", "simulate", str(path), *size], check=True)
        rows = [_in_its_own_process(kind, path, order=asked.order) for kind in asked.kinds]
    rows = sorted((row for row in rows if row), key=lambda row: -row["recall@10"])
    said = {"date": datetime.epoch(UTC).isoformat(timespec="seconds"), "load": os.getloadavg()[0], "models": rows}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(said, indent=2) + "\n")


def _in_its_own_process(kind: str, path: Path, *, order: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--one", kind, "--log", str(path), *(["--order"] if order else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{kind}: {done.stderr.strip().splitlines()[-1]}")
        return {}
    row = json.loads(done.stdout.splitlines()[-1])
    low, high = row["interval"]
    print(
        f"{kind:14s} recall@10 {row['recall@10']:.4f} [{low:.4f}, {high:.4f}] random {row['random']:.4f} tail "
        f"{row['tail']:.4f} ndcg@10 {row['ndcg@10']:.4f} coverage {row['coverage@10']:.3f} "
        f"fit {row['fit_seconds']:7.2f} s lists {row['list_seconds']:6.2f} s {row['peak_gb']:.2f} GB",
        flush=True,
    )
    return row


if __name__ == "__main__":
    main()
