"""matinee beside other libraries: the same log, the same work, the same machine, the same minutes.

    python benchmarks/peers.py                          simulated log of 3,000 users; ML-1M where it lies in ../shared
    python benchmarks/peers.py --logs competition       31,360 × 6,807 × 5.15 million
    python benchmarks/peers.py --peers irspack --models ease --rounds 3

Every peer lives in a virtual environment of its own under the user's cache, made on first use from PyPI. A round runs
matinee, then the peer, each in a fresh process; the ratio of a stage is the peer's seconds over matinee's of the same
round, so that a busy machine slows both. The smallest, middle and largest ratio of the rounds are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import matinee
from matinee.data.simulate import Simulate
from matinee.data.simulate_write import write

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("MATINEE_PEERS", Path.home() / ".cache" / "matinee" / "peers"))
SHARED = HERE.parents[1] / "shared" / "data"
PEERS = {
    "irspack": ["irspack==0.5.2", "pandas"],
    "implicit": ["implicit==0.7.3", "pandas"],
    "rectools": ["rectools==0.19.0"],
    "lenskit": ["lenskit==2025.8.1"],
    "recbole": ["numpy==1.26.4", "scipy==1.10.1", "pandas==1.5.3", "torch<2.6", "setuptools<70", "recbole==1.2.1"],
}
SIMULATED = {"small": (3_000, 1_000, 300_000), "competition": (31_360, 6_807, 5_154_471)}
LIMIT = 900
"""Seconds after which a process is stopped; the table then says so."""


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made where it is missing."""
    python = CACHE / peer / "bin" / "python"
    if not python.is_file():
        print(f"{peer}: making {CACHE / peer} from PyPI", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(CACHE / peer)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS[peer]], check=True)
    return python


def log_of(name: str) -> matinee.Interactions | None:
    """The log, or None where it is absent."""
    if name == "ml-1m":
        if not (SHARED / "ml-1m").is_dir():
            return None
        rows = np.load(SHARED / "ml-1m" / "ratings_ordered.npz")
        frame = pl.DataFrame({"user": rows["user"], "item": rows["item"], "time": rows["rank"]})
        return matinee.read(frame, time_unit="order")
    users, items, rows = SIMULATED[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.csv"
        write(Simulate(users=users, items=items, rows=rows, seed=7).read(), path)
        return matinee.read(path)


def prepare(log: matinee.Interactions, folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """The folder an adapter reads; the log's size."""
    split = matinee.split.mixture(log, seed=11)
    learn = pl.DataFrame({"user": split.learn.user, "item": split.learn.item})
    answer = split.answer
    rows = np.repeat(answer.user, np.diff(answer.offsets))
    pairs = np.column_stack([rows, answer.item])
    learn.write_csv(folder / "learn.csv")
    pl.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1]}).write_csv(folder / "answer.csv")
    np.save(folder / "answer.npy", pairs)
    size = {"users": log.n_users, "items": log.n_items}
    (folder / "job.json").write_text(json.dumps({**size, **job}))
    return {**size, "learn": len(learn), "answers": len(pairs)}


def ask(peer: str, folder: Path) -> dict[str, Any]:
    """What an adapter answers, or why it does not."""
    python = Path(sys.executable) if peer == "matinee" else python_of(peer)
    words = [str(python), str(HERE / "peers" / f"ask_{peer}.py"), str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=folder)
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {LIMIT} s", "stages": {}}
    lines = [line for line in done.stdout.splitlines() if line.startswith("PEER ")]
    if not lines:
        return {"failed": (done.stderr.strip().splitlines() or ["no answer"])[-1][:200], "stages": {}}
    said = json.loads(lines[-1].removeprefix("PEER "))
    stages = said["stages"]
    for model in ("ease", "knn", "slim"):
        own = [f"{model} {part}" for part in ("fit", "evaluate")]
        if all(name in stages for name in own):
            total = stages["read"]["seconds"] + sum(stages[name]["seconds"] for name in own)
            stages[f"{model} file to metrics"] = {"seconds": total}
    return said


def compare(log: str, peer: str, pairs: list[tuple[dict, dict]]) -> list[dict[str, Any]]:
    """A row a stage: seconds, ratios, recalls, peak memory."""
    rows = []
    good = [(ours, theirs) for ours, theirs in pairs if "failed" not in ours and "failed" not in theirs]
    if not good:
        why = next((one["failed"] for pair in pairs for one in pair if "failed" in one), "")
        return [{"log": log, "peer": peer, "failed": why}]
    for stage in good[0][1]["stages"]:
        seconds = [(o["stages"][stage]["seconds"], t["stages"][stage]["seconds"]) for o, t in good]
        ratios = sorted(theirs / ours for ours, theirs in seconds)
        ours, theirs = good[-1][0], good[-1][1]
        rows.append(
            {
                "log": log, "peer": peer, "version": theirs.get("version", ""), "stage": stage,
                "matinee_s": min(a for a, _ in seconds), "peer_s": min(b for _, b in seconds),
                "ratio": [ratios[0], statistics.median(ratios), ratios[-1]],
                "recall": [one["stages"][stage].get("recall@10") for one in (ours, theirs)],
                "peak_gb": [one["peak_bytes"] / 1e9 for one in (ours, theirs)],
            }
        )  # fmt: skip
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| log | peer | stage | matinee s | peer s | ratio: min, median, max | recall@10, both | peak GB, both |",
        "|---|---|---|---:|---:|---|---|---|",
    ]
    for row in rows:
        if "failed" in row:
            lines.append(f"| {row['log']} | {row['peer']} | – | – | – | {row['failed']} | – | – |")
            continue
        recall = " / ".join("–" if r is None else f"{r:.4f}" for r in row["recall"])
        peak = " / ".join(f"{gb:.2f}" for gb in row["peak_gb"])
        ratio = ", ".join(f"{r:.1f}" for r in row["ratio"])
        lines.append(
            f"| {row['log']} | {row['peer']} {row['version']} | {row['stage']} | {row['matinee_s']:.2f} | "
            f"{row['peer_s']:.2f} | {ratio} | {recall} | {peak} |"
        )
    return "\n".join(lines)


def keep(rows: list[dict[str, Any]], sizes: dict[str, Any], rounds: int, load: float) -> None:
    """Write what is known so far: `results/peers.json` and `docs/peers.md`."""
    machine = {"cores": os.cpu_count(), "load before": load, "load after": os.getloadavg()[0]}
    said = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "rounds": rounds, "machine": machine}
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / "peers.json").write_text(json.dumps({**said, "logs": sizes, "rows": rows}, indent=2) + "\n")
    page = f"""# matinee beside other libraries

Written by `benchmarks/peers.py` on {said["date"][:10]}, {machine["cores"]} cores, load {load:.1f} before and
{machine["load after"]:.1f} after, {rounds} rounds of matinee and peer in turn, each in a fresh process. Seconds
are the least of the rounds; the ratio is peer over matinee in one round: above 1, matinee is faster. Recall is
computed by the same lines of code for everybody. `recommend` is the top 10 of all users with what they took barred;
`evaluate` makes the lists of the people with answers once more and computes recall and nDCG; `file to metrics` is read,
fit and evaluate. EASE and SLIM with l2 = 500, SLIM with l1 = 10; ItemKNN is the cosine of the 200 nearest. The peak
is that of the whole process.

{table(rows)}

Logs: {"; ".join(f"{name}, {' '.join(f'{k} {v:,}' for k, v in size.items())}" for name, size in sizes.items())}.
"""
    (HERE.parent / "docs" / "peers.md").write_text(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logs", nargs="+", default=["small", "ml-1m"], choices=[*SIMULATED, "ml-1m"])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--models", nargs="+", default=["ease", "knn", "slim"], choices=["ease", "knn", "slim"])
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    job = {"models": asked.models, "l2": 500.0, "l1": 10.0, "neighbours": 200}
    rows: list[dict[str, Any]] = []
    sizes: dict[str, Any] = {}
    load = os.getloadavg()[0]
    for name in asked.logs:
        log = log_of(name)
        if log is None:
            print(f"{name}: not here, left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            sizes[name] = prepare(log, Path(folder), job)
            for peer in asked.peers:
                pairs = [(ask("matinee", Path(folder)), ask(peer, Path(folder))) for _ in range(asked.rounds)]
                rows += compare(name, peer, pairs)
                keep(rows, sizes, asked.rounds, load)
                print(f"{name}, {peer}: done", flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
