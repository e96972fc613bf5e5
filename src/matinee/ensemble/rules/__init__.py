"""Fusion rules: one file per rule; the kind is the file name."""

from __future__ import annotations

import sys

from matinee.ensemble.rule import Rule
from matinee.spec import Registry

RULES: Registry[Rule] = Registry(sys.modules[__name__], Rule, "fusion rule")
