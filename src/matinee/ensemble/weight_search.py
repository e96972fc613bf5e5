"""What a chooser is: points of all members and a judge in, a weight for every member out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.contract import FitContext
from matinee.ensemble.objective import FusionObjective
from matinee.spec import Spec

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]


class WeightSearch(Spec):
    """How members and weights are found: one file of `ensemble/choosers/` defines one."""

    @abstractmethod
    def weights(self, judge: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """Weights (M,) ≥ 0 of sum 1 for the members' points (M, c), good for the people of `judge`."""
