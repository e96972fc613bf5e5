"""Weight searches: a weight per member from the members' points and an objective."""

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
    """A search for members and weights; each file of `ensemble/weight_searches/` defines one."""

    @abstractmethod
    def weights(self, objective: FusionObjective, points: F32, ctx: FitContext = FitContext()) -> F64:
        """Weights (M,) ≥ 0 of sum 1 for points (M, c).

        They are fitted on the selected users of the objective.
        """
