"""Interaction logs as validated codes: vocabularies, interactions, attributes, histories, targets."""

from matinee.data.attributes import Attributes
from matinee.data.histories import Histories
from matinee.data.interactions import Interactions
from matinee.data.targets import Targets
from matinee.data.vocabulary import Vocabulary

__all__ = ["Attributes", "Histories", "Interactions", "Targets", "Vocabulary"]
