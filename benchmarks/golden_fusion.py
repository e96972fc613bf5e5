"""Fused scores by ranx 0.3.21 (Bassani, CIKM 2022) of small random runs: tests/candidates/golden_ranx.json.

python benchmarks/golden_fusion.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ranx import Run, fuse

ITEMS, PEOPLE = 9, 5
OUT = Path(__file__).parents[1] / "tests" / "candidates" / "golden_ranx.json"
WEIGHTS = [0.5, 2.0, 1.25]
CASES = [  # name, our kind, our knobs, ranx's norm, ranx's method, ranx's knobs, runs
    ("rrf", "rrf", {"k": 60}, None, "rrf", {"k": 60}, "ragged"),
    ("rrf-10", "rrf", {"k": 10}, None, "rrf", {"k": 10}, "ragged"),
    ("borda", "borda", {}, None, "bordafuse", {}, "ragged"),
    ("borda-weighted", "borda", {}, None, "w_bordafuse", {"weights": WEIGHTS}, "ragged"),
    ("sum-min-max", "comb_sum", {"norm": "min_max"}, "min-max", "sum", {}, "ragged"),
    ("sum-rank", "comb_sum", {"norm": "rank"}, "rank", "sum", {}, "ragged"),
    ("sum-z-score", "comb_sum", {"norm": "z_score"}, "zmuv", "sum", {}, "full"),
    ("mnz-min-max", "comb_mnz", {"norm": "min_max"}, "min-max", "mnz", {}, "ragged"),
    ("mnz-rank", "comb_mnz", {"norm": "rank"}, "rank", "mnz", {}, "ragged"),
    ("wsum-min-max", "comb_sum", {"norm": "min_max"}, "min-max", "wsum", {"weights": WEIGHTS}, "ragged"),
    ("wsum-rank", "comb_sum", {"norm": "rank"}, "rank", "wsum", {"weights": WEIGHTS}, "ragged"),
    ("wsum-z-score", "comb_sum", {"norm": "z_score"}, "zmuv", "wsum", {"weights": WEIGHTS}, "full"),
]


def members(lengths: list[int], seed: int) -> list[list[list[tuple[int, float]]]]:
    """Three members' lists of (item, score), best first; scores are quarters, all different within a list."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(3):
        rows = []
        for _ in range(PEOPLE):
            n = int(rng.choice(lengths))
            score = np.sort(rng.permutation(np.arange(-20, 40))[:n])[::-1] / 4
            rows.append(list(zip(rng.permutation(ITEMS)[:n].tolist(), score.tolist(), strict=True)))
        out.append(rows)
    return out


def main() -> None:
    given = {"ragged": members([2, 4, 5, 7], 1), "full": members([ITEMS], 2)}
    cases = []
    for name, kind, knobs, norm, method, params, on in CASES:
        runs = [Run({f"q{r}": {str(i): s for i, s in row} for r, row in enumerate(own)}) for own in given[on]]
        fused = fuse(runs=runs, norm=norm, method=method, params=dict(params))
        scores = [{item: float(score) for item, score in fused[f"q{r}"].items()} for r in range(PEOPLE)]
        weights = params.get("weights", [1.0] * 3)
        cases.append({"name": name, "kind": kind, "knobs": knobs, "on": on, "weights": weights, "scores": scores})
    said = {"made_by": f"ranx {version('ranx')}", "items": ITEMS, "members": given, "cases": cases}
    OUT.write_text(json.dumps(said, separators=(",", ":")) + "\n")
    print(f"{len(cases)} cases, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
