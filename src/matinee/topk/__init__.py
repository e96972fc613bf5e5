"""Ranked lists, and the only code that makes them from scores."""

from matinee.topk.lists import ItemsAndScores, TopK
from matinee.topk.rank import StreamsTopK, recommend, top_k_of_scores

__all__ = ["ItemsAndScores", "StreamsTopK", "TopK", "recommend", "top_k_of_scores"]
