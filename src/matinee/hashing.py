"""splitmix64, the one hash and counter-based generator of 64-bit words.

Word i of the stream with the key s is mix64(s + (i + 1) · GOLDEN), modulo 2⁶⁴. All words are reachable in any order, so
draws keyed by (seed, user) or (seed, row) are the same on any number of threads.

Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from matinee.kernel import kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The increment of a stream: 2⁶⁴ divided by the golden ratio, odd."""

FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""The two multipliers of the finaliser."""


@kernel
def mix64(z: np.uint64) -> np.uint64:
    """The finaliser of splitmix64, a bijection of 64-bit words."""
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


def mix64_array(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`mix64` of each word of an array."""
    z = (z ^ (z >> np.uint64(30))) * FIRST
    z = (z ^ (z >> np.uint64(27))) * SECOND
    return z ^ (z >> np.uint64(31))


def uniform_array(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    """The upper 53 bits of each word as a number in [0, 1)."""
    return (word >> np.uint64(11)).astype(np.float64) * 2.0**-53
