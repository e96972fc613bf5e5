"""Choosers of members and weights: one file a chooser, the kind is the file name."""

from __future__ import annotations

import sys

from matinee.ensemble.chooser import Chooser
from matinee.spec import Kinds

CHOOSERS: Kinds[Chooser] = Kinds(sys.modules[__name__], Chooser, "chooser")
