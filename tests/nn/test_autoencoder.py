"""The shape of a trained auto-encoder: kept without torch being imported for others, blind to batches and devices."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from matinee import models
from matinee.contract import FitContext, Mask
from matinee.data import Histories, Interactions, Vocabulary
from matinee.errors import RunError
from matinee.models.mult_dae import MultDAE
from matinee.models.mult_vae import MultVAE
from matinee.nn import autoencoder
from matinee.storage import save
from matinee.topk import top_k_of_scores
from tests.logs import random_log

SPEC = MultDAE(factors=4, epochs=3)


@pytest.fixture(scope="module")
def fitted():
    return SPEC.fit(random_log(), FitContext(seed=1))


def test_it_is_kept_as_arrays_by_name(fitted, tmp_path):
    save(fitted, tmp_path / "m")
    said = json.loads((tmp_path / "m" / "model.json").read_text())
    assert said["type"] == "TrainedAutoEncoder"
    assert said["fields"]["state"] == {"arrays": ["first.weight", "first.bias", "output.weight", "output.bias"]}
    again = models.load(tmp_path / "m")
    assert again.spec.epochs == 3
    for name, array in fitted.state.items():
        np.testing.assert_array_equal(again.state[name], array)
    histories = random_log().histories()
    np.testing.assert_array_equal(again.score(histories), fitted.score(histories))


@pytest.mark.parametrize(
    "shape", ["os.system", "nn.autoencoder.TrainedAutoEncoder", "TrainedAutoEncodr", "matinee.nn.autoencoder"]
)
def test_a_file_names_no_module(fitted, tmp_path, shape):
    save(fitted, tmp_path / "m")
    said = json.loads((tmp_path / "m" / "model.json").read_text())
    (tmp_path / "m" / "model.json").write_text(json.dumps({**said, "type": shape}))
    with pytest.raises(RunError, match="KeyError"):
        models.load(tmp_path / "m")


def test_a_missing_array_is_refused(fitted, tmp_path):
    save(fitted, tmp_path / "m")
    said = json.loads((tmp_path / "m" / "model.json").read_text())
    said["fields"]["state"]["arrays"].append("output.scale")
    (tmp_path / "m" / "model.json").write_text(json.dumps(said))
    with pytest.raises(RunError, match="KeyError"):
        models.load(tmp_path / "m")


def test_a_linear_model_is_loaded_without_torch(tmp_path):
    from matinee.models.ease import EASE

    save(EASE().fit(random_log()), tmp_path / "m")
    code = (
        f"import sys; from matinee import models; models.load({str(tmp_path / 'm')!r}); print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_blocks_of_people_change_nothing(fitted, monkeypatch):
    histories = random_log().histories()
    together = fitted.score(histories)
    monkeypatch.setattr(autoencoder, "BLOCK", 7)
    np.testing.assert_allclose(fitted.score(histories), together, rtol=1e-5, atol=1e-6)


def test_an_item_nobody_took_comes_last():
    log = random_log()
    wide = Interactions.of((log.users, Vocabulary.of(pl.Series([*log.items.ids, 9999]))), log.user, log.item, log.time)
    fitted = SPEC.fit(wide)
    scores = fitted.score(wide.histories())
    np.testing.assert_array_equal(scores[:, -1], scores.min(axis=1))
    item, _ = top_k_of_scores(fitted.score(wide.histories()), wide.histories(), 41, Mask(seen=False), "test")
    assert (item[:, -1] == 40).all()


def test_an_empty_history_is_scored_by_popularity_and_alone(fitted):
    log = random_log()
    asked = Histories.of([[3], [], [3]], log.items)
    scores = fitted.score(asked)
    np.testing.assert_array_equal(scores[1], log.popularity)
    np.testing.assert_array_equal(scores[0], scores[2])


def test_a_score_does_not_know_how_long_a_history_counts(fitted):
    """Input is divided by its length: the only thing that counts of x is its direction."""
    log = random_log()
    once, twice = Histories.of([[3, 5]], log.items), Histories.of([[3, 5, 3, 5]], log.items)
    np.testing.assert_array_equal(fitted.score(once), fitted.score(twice))


def test_every_epoch_draws_anew_by_its_number_alone(monkeypatch):
    """Order of people, what is dropped, and noise: other in each epoch, the same in the same epoch of another fit."""
    import torch

    drawn, bound = [], MultVAE.negative_elbo

    def noting(self, net, batch, moment):
        noise = moment.randn_like(torch.empty(3))
        drawn.append((int(moment.epoch), tuple(batch.user.tolist()), len(batch.input_item), *noise.tolist()))
        return bound(self, net, batch, moment)

    monkeypatch.setattr(MultVAE, "negative_elbo", noting)
    for _ in range(2):
        MultVAE(factors=2, hidden=3, epochs=3, batch_size=20).fit(random_log(), FitContext(seed=8))
    assert drawn[:9] == drawn[9:]
    for part in (1, 2, 3):
        epochs = [tuple(one[part] for one in drawn[:9] if one[0] == epoch) for epoch in range(3)]
        assert len(set(epochs)) == 3
        assert all(len(set(epoch)) == 3 for epoch in epochs)


def test_training_leaves_torchs_own_generator_alone():
    import torch

    before = torch.random.get_rng_state()
    SPEC.fit(random_log())
    assert torch.equal(before, torch.random.get_rng_state())
