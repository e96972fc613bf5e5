"""Ensembles: fusion of the lists of several models into one, and the search for weights.

This package reads lists and loads no model.
"""

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import Rule, fuse
from matinee.ensemble.rules import RULES

__all__ = ["RULES", "CandidatePool", "Rule", "fuse"]
