"""What every adapter shares: the log it is given, the clock it is timed by, and the one line of JSON it answers.

It runs in any peer's environment. A folder holds `learn.csv` and `answer.csv` (user,item: codes 0..n−1), the answers
again as `answer.npy`, `log.csv` (user,item,time: both together) and `job.json` (users, items, knobs). What is to be
done stands second on the command line: ease, knn, slim, or end (from file to submission). The lists of every peer are
judged by the same lines of NumPy: equal recall proves equal work.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np


class Job:
    def __init__(self) -> None:
        self.folder = Path(sys.argv[1])
        self.__dict__.update(json.loads((self.folder / "job.json").read_text()))
        self.to_dict: dict[str, dict] = {}
        self.model = sys.argv[2]

    @contextmanager
    def stage(self, name: str):
        started = time.perf_counter()
        yield
        self.to_dict.setdefault(name, {})["seconds"] = time.perf_counter() - started

    def wants(self, model: str) -> bool:
        return model == self.model

    def judged(self, name: str, item) -> None:
        """Recall@10, hits over answers, of lists item (users, 10), −1 padding, row u being user u."""
        answer = np.load(self.folder / "answer.npy")
        keys = np.sort(answer[:, 0].astype(np.int64) * self.items + answer[:, 1])
        item = np.asarray(item, dtype=np.int64)
        wanted = np.arange(len(item))[:, None] * self.items + item
        hit = np.isin(wanted, keys) & (item >= 0)
        answers = np.bincount(answer[:, 0], minlength=self.users)
        asked = answers > 0
        self.to_dict.setdefault(name, {})["recall@10"] = float((hit.sum(axis=1)[asked] / answers[asked]).mean())

    def answer(self, **more) -> None:
        status = Path("/proc/self/status").read_text()  # ru_maxrss would count the parent's memory before exec
        peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024
        sys.stdout.write("\nPEER " + json.dumps({"stages": self.to_dict, "peak_bytes": peak, **more}) + "\n")


def sparse(csv, shape):
    """A 0/1 CSR from a CSV, as the users of a library with matrices write it."""
    import pandas as pd

    return matrix(pd.read_csv(csv), shape)


def matrix(frame, shape):
    """A 0/1 CSR from a frame of codes."""
    from scipy.sparse import csr_matrix

    ones = np.ones(len(frame), dtype=np.float32)
    return csr_matrix((ones, (frame["user"].to_numpy(), frame["item"].to_numpy())), shape=shape)


def lists_of(frame, users: int, user="user_id", item="item_id", rank="rank"):
    """(users, 10) from a long frame."""
    out = np.full((users, 10), -1, dtype=np.int64)
    out[frame[user].to_numpy().astype(int), frame[rank].to_numpy().astype(int) - 1] = frame[item].to_numpy()
    return out
