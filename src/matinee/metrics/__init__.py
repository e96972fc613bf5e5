"""Metrics per user from lists and targets; bootstrap intervals and paired comparison."""

from matinee.metrics.comparison import Difference, compare, compare_all, holm
from matinee.metrics.evaluation import Evaluation, check, evaluate
from matinee.metrics.metric import Blend, Metric, names, parse
from matinee.metrics.profile import Profile, profiles

__all__ = [
    "Blend",
    "Difference",
    "Evaluation",
    "Metric",
    "Profile",
    "check",
    "compare",
    "compare_all",
    "evaluate",
    "holm",
    "names",
    "parse",
    "profiles",
]
