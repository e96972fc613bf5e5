"""RecBole: EASE and ItemKNN through its own data set, trainer and evaluation. It makes lists inside its evaluation
only, one user a batch for EASE, so `recommend` is left out and `evaluate` holds both.
"""

from __future__ import annotations

import tempfile
from logging import getLogger
from pathlib import Path

import numpy as np
import pandas as pd
from protocol import Job

for name, old in {"float": float, "int": int, "bool": bool, "object": object, "float_": np.float64}.items():
    if not hasattr(np, name):
        setattr(np, name, old)  # RecBole 1.2.1 was written for NumPy 1.23


def benchmark_files(job, folder: Path) -> None:
    for part in ("learn", "answer"):
        frame = pd.read_csv(job.folder / f"{part}.csv")
        frame.columns = ["user_id:token", "item_id:token"]
        frame.to_csv(folder / "log" / f"log.{part}.inter", sep="\t", index=False)


def plain(folder: Path) -> dict:
    return {
        "data_path": str(folder),
        "benchmark_filename": ["learn", "answer", "answer"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "topk": [10],
        "metrics": ["Recall", "NDCG"],
        "valid_metric": "Recall@10",
        "eval_args": {"group_by": "user", "order": "RO", "mode": "full", "split": {"RS": [8, 1, 1]}},
        "show_progress": False,
        "state": "ERROR",
        "epochs": 1,
        "checkpoint_dir": str(folder),
        "eval_batch_size": 2**24,
    }


def epochs(job, folder: Path) -> None:
    """Seconds of the quickest epoch after the first. Its Mult-VAE halves latent_dimension for the mean."""
    import time

    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer

    own = {
        "vae": ("MultiVAE", {"mlp_hidden_dimension": [600], "latent_dimension": 400, "dropout_prob": 0.5}),
        "recvae": ("RecVAE", {"hidden_dimension": 600, "latent_dimension": 200, "dropout_prob": 0.5}),
    }
    name, knobs = own[job.model]
    more = {"train_batch_size": 500, "learning_rate": 1e-3, "train_neg_sample_args": None}
    config = Config(model=name, dataset="log", config_dict={**plain(folder), **knobs, **more})
    dataset = create_dataset(config)
    train, _, _ = data_preparation(config, dataset)
    model = get_model(name)(config, train._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
    seconds = []
    for epoch in range(3):
        started = time.perf_counter()
        trainer._train_epoch(train, epoch, show_progress=False)
        seconds.append(time.perf_counter() - started)
    job.to_dict[f"{job.model} epoch"] = {"seconds": min(seconds[1:])}


def main() -> None:
    job = Job()
    import recbole
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer

    folder = Path(tempfile.mkdtemp())
    (folder / "log").mkdir()
    benchmark_files(job, folder)
    getLogger().setLevel("ERROR")
    if job.model in ("vae", "recvae"):
        epochs(job, folder)
        job.answer(version=recbole.__version__)
        return
    knobs = {"ease": ("EASE", {"reg_weight": job.l2}), "knn": ("ItemKNN", {"k": job.neighbours, "shrink": 0.0})}
    for name, (model_name, own) in knobs.items():
        if not job.wants(name):
            continue
        config = Config(
            model=model_name,
            dataset="log",
            config_dict={**plain(folder), **own},
        )
        with job.stage("read"):
            dataset = create_dataset(config)
            train, _, test = data_preparation(config, dataset)
        with job.stage(f"{name} fit"):
            model = get_model(config["model"])(config, train._dataset)  # EASE and ItemKNN are solved when made
        trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
        with job.stage(f"{name} evaluate"):
            result = trainer.evaluate(test, load_best_model=False, show_progress=False)
        job.to_dict.setdefault(f"{name} evaluate", {})["recall@10"] = float(result["recall@10"])
    job.answer(version=recbole.__version__)


main()
