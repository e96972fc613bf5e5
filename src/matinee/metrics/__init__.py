"""Metrics per user from lists and targets; bootstrap intervals and paired comparison."""

from matinee.metrics.comparison import Difference, compare, compare_all, holm
from matinee.metrics.evaluation import Evaluation, check_metrics, evaluate
from matinee.metrics.metric import Metric, WeightedMetric, names, parse
from matinee.metrics.profile import Profile, profiles

__all__ = [
    "Difference",
    "Evaluation",
    "Metric",
    "Profile",
    "WeightedMetric",
    "check_metrics",
    "compare",
    "compare_all",
    "evaluate",
    "holm",
    "names",
    "parse",
    "profiles",
]
