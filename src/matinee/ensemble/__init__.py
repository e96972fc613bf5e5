"""Lists → list: fusion rules, and the search over what to combine. A model is never loaded here."""

from matinee.candidates.pool import CandidatePool
from matinee.ensemble.rule import Rule, fuse
from matinee.ensemble.rules import RULES

__all__ = ["RULES", "CandidatePool", "Rule", "fuse"]
