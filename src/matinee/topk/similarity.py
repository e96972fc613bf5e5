"""Similarity of two sets: the weight they share, divided by a function of their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from matinee.kernel import kernel

F64: TypeAlias = NDArray[np.float64]
Measure: TypeAlias = Literal["cosine", "jaccard", "dice"]


class Denominator(NamedTuple):
    """A rule applied to sizes: both sides, (s,) of sources and (t,) of targets, with the rest of the rule.

    product: source_i · target_j + shrink;   sum: source_i + target_j − twice · G_ij + shrink.
    """

    source: NDArray[np.floating]
    target: NDArray[np.floating]
    shrink: float
    product: bool
    twice: float


@dataclass(frozen=True)
class SimilarityRule:
    """The denominator of a shared weight G_ij, for sizes a_i of sources and b_j of targets.

    product: a_i^source · b_j^target + shrink;   sum: source · a_i + target · b_j − twice · G_ij + shrink.
    """

    source: float
    target: float
    shrink: float = 0.0
    product: bool = True
    twice: float = 0.0

    def transposed(self) -> SimilarityRule:
        """The rule of the transposed matrix."""
        return SimilarityRule(self.target, self.source, self.shrink, self.product, self.twice)

    def source_side(self, size: F64) -> F64:
        """What sources of these sizes (s,) contribute to the denominator."""
        return powers(size, self.source) if self.product else self.source * size

    def target_side(self, size: F64) -> F64:
        """What targets of these sizes (t,) contribute to the denominator."""
        return self.transposed().source_side(size)

    def denominator(self, source: NDArray[np.floating], target: NDArray[np.floating]) -> Denominator:
        """The rule for compiled loops; `source` and `target` are both sides."""
        return Denominator(source, target, float(self.shrink), self.product, float(self.twice))


def similarity_rule(name: Measure, alpha: float, shrink: float) -> SimilarityRule:
    """The similarity `name` with asymmetry `alpha`.

    cosine: G / (source^α target^(1−α)), α = ½ is the symmetric cosine (others: Aiolli, RecSys 2013). jaccard:
    G / (2α source + 2(1−α) target − G), α = ½ is intersection over union. dice: G / (α source + (1−α) target). The last
    two are Tversky's.
    """
    if name == "cosine":
        return SimilarityRule(alpha, 1 - alpha, float(shrink))
    both = 2.0 if name == "jaccard" else 1.0
    return SimilarityRule(both * alpha, both * (1 - alpha), float(shrink), product=False, twice=both - 1.0)


def powers(size: F64, exponent: float) -> F64:
    """size^exponent; 1 where the size is 0."""
    return np.power(size, exponent, where=size > 0, out=np.ones(len(size)))


@kernel
def divide(shared: Any, source: Any, target: Any, rule: Denominator) -> np.float32:
    """The similarity of a source and a target, numbers of either float type, that share a weight."""
    below = source * target if rule.product else source + target - rule.twice * shared
    return np.float32(shared / (below + rule.shrink))
