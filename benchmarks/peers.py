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
import itertools
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
from matinee.data.simulation.spec import Simulate
from matinee.data.write import write_log

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
MODELS = ("ease", "knn", "slim", "end", "vae", "recvae")
"""`end`: file, hold out the last ten, EASE, metrics (with intervals here), EASE on everything, submission file.
`vae`, `recvae`: an epoch of Mult-VAE (600, 200, 600) and RecVAE, batches of 500."""

CAN = {
    "irspack": ("ease", "knn", "slim", "end"),
    "implicit": ("knn",),
    "rectools": ("ease", "knn", "end"),
    "lenskit": ("ease", "knn", "slim", "end"),
    "recbole": ("ease", "knn", "vae", "recvae"),
}
"""What each has a model and the verbs for."""

LIMIT = 420
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
        write_log(Simulate(users=users, items=items, rows=rows, seed=7).read(), path)
        return matinee.read(path)


def prepare(log: matinee.Interactions, folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    """The folder an adapter reads; the log's size."""
    split = matinee.split.mixture(log, seed=11)
    time = log.time if log.time_kind == "seconds" else log.time + 10**9  # every library reads seconds
    pl.DataFrame({"user": log.user, "item": log.item, "time": time}).write_csv(folder / "log.csv")
    learn = pl.DataFrame({"user": split.train.user, "item": split.train.item})
    answer = split.target
    rows = np.repeat(answer.user, np.diff(answer.offsets))
    pairs = np.column_stack([rows, answer.item])
    learn.write_csv(folder / "learn.csv")
    pl.DataFrame({"user": pairs[:, 0], "item": pairs[:, 1]}).write_csv(folder / "answer.csv")
    np.save(folder / "answer.npy", pairs)
    size = {"users": log.n_users, "items": log.n_items}
    (folder / "job.json").write_text(json.dumps({**size, **job}))
    return {**size, "learn": len(learn), "answers": len(pairs)}


def ask(peer: str, model: str, folder: Path) -> dict[str, Any]:
    """What an adapter answers, or why it does not."""
    python = Path(sys.executable) if peer == "matinee" else python_of(peer)
    words = [str(python), str(HERE / "peers" / f"ask_{peer}.py"), str(folder), model]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=folder)
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {LIMIT} s", "stages": {}}
    lines = [line for line in done.stdout.splitlines() if line.startswith("PEER ")]
    if not lines:
        return {"failed": (done.stderr.strip().splitlines() or ["no answer"])[-1][:200], "stages": {}}
    said = json.loads(lines[-1].removeprefix("PEER "))
    stages = said["stages"]
    own = [f"{model} {part}" for part in ("fit", "evaluate")]
    if all(name in stages for name in own):
        total = stages["read"]["seconds"] + sum(stages[name]["seconds"] for name in own)
        stages[f"{model} file to metrics"] = {"seconds": total}
    return said


def compare(log: str, peer: str, model: str, pairs: list[tuple[dict, dict]]) -> list[dict[str, Any]]:
    """A row a stage: seconds, ratios, recalls, peak memory."""
    good = [(ours, theirs) for ours, theirs in pairs if "failed" not in ours and "failed" not in theirs]
    if not good:
        why = next((one["failed"] for pair in pairs for one in pair if "failed" in one), "")
        return [{"log": log, "peer": peer, "stage": model, "failed": why}]
    return [row(log, peer, stage, good) for stage in good[0][1]["stages"] if stage in good[0][0]["stages"]]


def row(log: str, peer: str, stage: str, good: list[tuple[dict, dict]]) -> dict[str, Any]:
    """One stage of all rounds."""
    seconds = [(o["stages"][stage]["seconds"], t["stages"][stage]["seconds"]) for o, t in good]
    ratios = sorted(theirs / ours for ours, theirs in seconds)
    ours, theirs = good[-1]
    return {
        "log": log, "peer": peer, "version": theirs.get("version", ""), "stage": stage,
        "matinee_s": min(a for a, _ in seconds), "peer_s": min(b for _, b in seconds),
        "ratio": [ratios[0], statistics.median(ratios), ratios[-1]],
        "recall": [one["stages"][stage].get("recall@10") for one in (ours, theirs)],
        "peak_gb": [one["peak_bytes"] / 1e9 for one in (ours, theirs)],
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| log | peer | stage | matinee s | peer s | ratio: least, middle, most | recall@10 | peak GB | load |",
        "|---|---|---|---:|---:|---|---|---|---|",
    ]
    for row in rows:
        load = " – ".join(f"{one:.1f}" for one in row["load"])
        if "failed" in row:
            lines.append(
                f"| {row['log']} | {row['peer']} | {row['stage']} | – | – | {row['failed']} | – | – | {load} |"
            )
            continue
        recall = " / ".join("–" if r is None else f"{r:.4f}" for r in row["recall"])
        peak = " / ".join(f"{gb:.2f}" for gb in row["peak_gb"])
        ratio = ", ".join(f"{r:.1f}" for r in row["ratio"])
        lines.append(
            f"| {row['log']} | {row['peer']} {row['version']} | {row['stage']} | {row['matinee_s']:.2f} | "
            f"{row['peer_s']:.2f} | {ratio} | {recall} | {peak} | {load} |"
        )
    return "\n".join(lines)


def keep(rows: list[dict[str, Any]], sizes: dict[str, Any], rounds: int) -> None:
    """Write what is known so far, rows measured by earlier calls included: `results/peers.json`, `docs/peers.md`."""
    path = HERE / "results" / "peers.json"
    known = json.loads(path.read_text()) if path.is_file() else {"rows": [], "logs": {}}
    again = {(row["log"], row["peer"], row["stage"].split()[0]) for row in rows}
    rows = [row for row in known["rows"] if (row["log"], row["peer"], row["stage"].split()[0]) not in again] + rows
    order = [*SIMULATED, "ml-1m"]
    rows.sort(key=lambda row: (order.index(row["log"]), list(PEERS).index(row["peer"])))
    sizes = known["logs"] | sizes
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"rounds": rounds, "logs": sizes, "rows": rows}, indent=2) + "\n")
    page = f"""# matinee beside other libraries

Written by `benchmarks/peers.py`, {os.cpu_count()} cores, one round or more of matinee and peer in turn, each in a fresh
process, kernels compiled beforehand. Seconds are the least of the rounds; the ratio is peer over matinee in one round:
above 1, matinee is faster. `load` is what else the machine did before and after. Recall is computed by the same lines
of code for everybody. The peak is that of the whole process.

- `recommend` is the top 10 of all users, what they took barred; `evaluate` makes the lists of the people with answers
  once more and computes recall and nDCG (RecBole makes lists only there); `file to metrics` is read, fit and evaluate.
- `end to end`: read the file, hold out everybody's last ten, fit EASE, compute the metrics, fit on everything, write
  ten items for every user to a csv. matinee computes bootstrap intervals on the way; the others have none.
- EASE and SLIM with l2 = 500, SLIM with l1 = 10. ItemKNN is the cosine with 200 weights an item: irspack, implicit and
  RecTools keep the 200 largest each item *gives*, itself among them, matinee the 200 largest each item *receives*.
- `vae epoch`, `recvae epoch`: an epoch of Mult-VAE and of RecVAE (600 hidden, 200 latent, batches of 500; RecVAE's is
  three passes for the encoder and one for the decoder), the quicker of the second and third, batches included.
- RecTools {version_of(rows, "rectools")} scores EASE with the transpose of its weights, hence another recall.

{table(rows)}

Logs: {"; ".join(f"{name}, {' '.join(f'{k} {v:,}' for k, v in size.items())}" for name, size in sizes.items())}.
"""
    (HERE.parent / "docs" / "peers.md").write_text(page)


def version_of(rows: list[dict[str, Any]], peer: str) -> str:
    """The version of a peer that was measured."""
    return next((row["version"] for row in rows if row["peer"] == peer and "version" in row), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--logs", nargs="+", default=["small", "ml-1m"], choices=[*SIMULATED, "ml-1m"])
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    job = {"l2": 500.0, "l1": 10.0, "neighbours": 200}
    rows: list[dict[str, Any]] = []
    sizes: dict[str, Any] = {}
    for name in asked.logs:
        log = log_of(name)
        if log is None:
            print(f"{name}: not here, left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            sizes[name] = prepare(log, Path(folder), job)
            for peer, model in itertools.product(asked.peers, asked.models):
                if model not in CAN[peer]:
                    continue
                load, pairs = os.getloadavg()[0], []
                for _ in range(asked.rounds):
                    pairs.append((ask("matinee", model, Path(folder)), ask(peer, model, Path(folder))))
                    if "failed" in pairs[-1][1]:
                        break
                now = {"date": f"{datetime.epoch(UTC):%Y-%m-%d}", "load": [load, os.getloadavg()[0]]}
                rows += [{**row, **now} for row in compare(name, peer, model, pairs)]
                keep(rows, sizes, asked.rounds)
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
