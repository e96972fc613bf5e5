"""Candidates of several models: the pool, normalized scores, user features."""

from matinee.candidates.pool import CandidatePool

__all__ = ["CandidatePool"]
