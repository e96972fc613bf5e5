"""Golden numbers on a real log: a two-sided band, so that a change for the better is looked at too.

`python -m tests.test_golden` prints what the numbers are now beside what they were.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import matinee

DATA = Path(__file__).parents[2] / "shared" / "data" / "ml-latest-small"
GOLDEN = json.loads((Path(__file__).parent / "golden" / "ml-latest-small.json").read_text())
BAND = 0.002
"""About two standard errors of a paired difference on these 610 people."""
TRAINED = 0.012
"""For models trained step by step, whose roundings differ with machine and threads, and grow: about another seed's."""

EPOCHS = 5


def now(kind: str) -> dict[str, float]:
    """Mean and parts at default knobs; a model that is told when to stop learns for `EPOCHS` here."""
    log = matinee.read(DATA, min_weight=3, k_core=3)
    split = matinee.split.mixture(log, n_random=7, n_last=3, seed=7)
    spec = matinee.models.get(kind)()
    if spec.uses_validation:
        spec = spec.model_copy(update={"epochs": EPOCHS})
    lists = matinee.recommend(spec.fit(split.train), split.query, k=10)
    evaluation = matinee.evaluate(lists, split.target, ["recall@10", "ndcg@10"])
    return {
        "recall@10": evaluation["recall@10"],
        "ndcg@10": evaluation["ndcg@10"],
        "recall@10 last": evaluation.part("last")["recall@10"],
    }


@pytest.mark.real
@pytest.mark.skipif(not DATA.is_dir(), reason="the research data is not beside the project")
@pytest.mark.parametrize("kind", matinee.models.kinds())
def test_numbers_stay_where_they_were(kind):
    assert kind in GOLDEN, f"no golden numbers for {kind}: python -m tests.test_golden prints them"
    band = TRAINED if matinee.models.get(kind).uses_validation else BAND
    assert now(kind) == pytest.approx(GOLDEN[kind], abs=band)


def main() -> None:
    """Print the numbers of every kind as JSON, ready to be put into the golden file once they are understood."""
    import sys

    sys.stdout.write(json.dumps({kind: now(kind) for kind in matinee.models.kinds()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
