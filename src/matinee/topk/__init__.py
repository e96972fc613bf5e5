"""Ranked lists, and the only code that makes them from scores."""

from matinee.topk.lists import TopK
from matinee.topk.rank import choose, recommend

__all__ = ["TopK", "choose", "recommend"]
