"""A process that runs an experiment and is killed, as by `kill -9`, when it opens or moves its n-th file to write."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

WRITES = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "shutil.rmtree", "os.truncate"}


def die_at(n: int, root: str) -> None:
    count = 0

    def hook(event: str, args: tuple) -> None:
        nonlocal count
        if event not in WRITES or not str(args[0]).startswith(root) or (event == "open" and args[1] in ("r", "rb")):
            return
        count += 1
        if count == n:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    file, root, n, often = sys.argv[1:]
    from matinee.runs import RunOptions, prepare
    from matinee.runs.experiment import read_experiment
    from matinee.runs.pipeline import run_experiment

    prepared = prepare(read_experiment(json.loads(Path(file).read_text()), file))
    if often == "often":  # a checkpoint after every epoch
        from itertools import count

        from matinee.nn import train

        train.monotonic = count(0, 100).__next__
    die_at(int(n), root)
    run_experiment(prepared, RunOptions(Path(root)))


if __name__ == "__main__":
    main()
