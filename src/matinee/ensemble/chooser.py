"""What a chooser is: points of all members and a judge in, a weight for every member out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.contract import Context
from matinee.ensemble.judge import Judge
from matinee.spec import Spec

F32: TypeAlias = NDArray[np.float32]
F64: TypeAlias = NDArray[np.float64]


class Chooser(Spec):
    """How members and weights are found: one file of `ensemble/choosers/` defines one."""

    @abstractmethod
    def weights(self, judge: Judge, points: F32, ctx: Context = Context()) -> F64:
        """Weights (M,) ≥ 0 of sum 1 for the members' points (M, c), good for the people of `judge`."""
