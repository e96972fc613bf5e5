"""Ranked lists, and the only code that makes them from scores."""

from matinee.topk.lists import TopK
from matinee.topk.rank import recommend, top_k_of_scores

__all__ = ["TopK", "recommend", "top_k_of_scores"]
