"""The log, checked and encoded."""

from matinee.data.answers import Answers
from matinee.data.attributes import Attributes
from matinee.data.histories import Histories
from matinee.data.interactions import Interactions
from matinee.data.vocabulary import Vocabulary

__all__ = ["Answers", "Attributes", "Histories", "Interactions", "Vocabulary"]
