"""What several models propose for a user: the pool of candidates, normalised scores, features of users."""

from matinee.candidates.pool import CandidatePool

__all__ = ["CandidatePool"]
