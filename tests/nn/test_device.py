"""Where networks live: named on the command line, refused where the machine lacks it, handed to every fit."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from matinee.contract import FitContext
from matinee.data import Histories
from matinee.errors import InsufficientMemoryError, MatineeError
from matinee.models import load
from matinee.models.mult_vae import MultVAE
from matinee.nn.device import check_gpu_memory, resolve_device
from matinee.observer import SILENT
from matinee.runs import RunOptions
from matinee.storage import save
from tests.logs import random_log
from tests.test_trained_contract import KINDS
from tests.toys import toy


def test_the_cpu_is_always_there():
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["cuda:99", "gpu", ""])
def test_another_is_refused_with_what_there_is(name):
    with pytest.raises(MatineeError, match="what this machine has: cpu"):
        resolve_device(name)


def test_the_command_line_refuses_it_before_anything_is_computed(tmp_path):
    code = "import sys; from matinee.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", "--device", "cuda:99", "--runs", str(tmp_path / "runs")]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 2
    assert "cuda:99" in made.stderr
    assert not (tmp_path / "runs").exists()


def test_every_fit_of_a_stage_gets_its_device_and_a_folder_of_its_own(tmp_path):
    ctx = RunOptions(tmp_path, device="cuda:1").context(5, tmp_path / "kept", SILENT)
    assert (ctx.seed, ctx.device, ctx.checkpoint_dir, ctx.validate) == (5, "cuda:1", tmp_path / "kept", None)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_learns_what_the_cpu_learns(kind, tmp_path):
    """Noise and order are drawn on the CPU, so only roundings differ; a kept model is scored where it is loaded."""
    log = random_log()
    spec = toy(kind).model_copy(update={"epochs": 3})
    one, other, again = (spec.fit(log, FitContext(seed=3, device=device)) for device in ("cpu", "cuda", "cuda"))
    asked = Histories.of([[0, 3, 5], [], [1]], log.items)
    np.testing.assert_array_equal(other.score(asked), again.score(asked))
    for ours, theirs in zip(one.score(asked), other.score(asked), strict=True):
        assert np.corrcoef(ours, theirs)[0, 1] > 0.98
    save(other, tmp_path / "m")
    np.testing.assert_allclose(load(tmp_path / "m").score(asked), other.score(asked), rtol=1e-4, atol=1e-4)


def test_a_model_kept_from_a_larger_machine_is_scored_where_there_is_a_place(monkeypatch):
    """One GPU here; it was trained on the second of two."""
    log = random_log()
    fitted = MultVAE(factors=8, hidden=32, epochs=1).fit(log)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert replace(fitted, device="cuda:1")._device == "cpu"
    assert replace(fitted, device="cuda:0")._device == "cuda:0"


def test_what_no_gpu_has_room_for_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1_000, 2_000))
    with pytest.raises(InsufficientMemoryError, match="elsa on cuda:0"):
        check_gpu_memory("elsa", 1_001, "cuda:0", "Use a k-core.")
    check_gpu_memory("elsa", 1_000, "cuda:0", "Use a k-core.")
    check_gpu_memory("elsa", 2**62, "cpu", "Use a k-core.")
