"""Interactions → (learn, ask, answer): one file a protocol. The kind is the file name, the verb is its function."""

from __future__ import annotations

import sys

from matinee.spec import Kinds
from matinee.split._cut import Split, SplitSpec, verb
from matinee.split.given import given
from matinee.split.mixture import Mixture
from matinee.split.new_users import NewUsers
from matinee.split.random import Random
from matinee.split.tail import Tail
from matinee.split.temporal import Temporal

PROTOCOLS: Kinds[SplitSpec] = Kinds(sys.modules[__name__], SplitSpec, "split")

mixture = verb(Mixture)
random = verb(Random)
tail = verb(Tail)
temporal = verb(Temporal)
new_users = verb(NewUsers)

__all__ = ["PROTOCOLS", "Split", "SplitSpec", "given", "mixture", "new_users", "random", "tail", "temporal"]
