"""Searches for members and weights: one file per search; the kind is the file name."""

from __future__ import annotations

import sys

from matinee.ensemble.weight_search import WeightSearch
from matinee.spec import Registry

WEIGHT_SEARCHES: Registry[WeightSearch] = Registry(sys.modules[__name__], WeightSearch, "weight search")
