"""Gates: weights per user. One file per gate; the kind is the file name."""

from __future__ import annotations

import sys

from matinee.ensemble.gate import Gate
from matinee.spec import Registry

GATES: Registry[Gate] = Registry(sys.modules[__name__], Gate, "gate")
