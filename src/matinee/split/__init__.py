"""Split protocols: `Interactions` → `Split(train, query, target)`.

Each file defines one protocol, its kind is the file name. `matinee.split.<kind>(log, …)` is the function of a protocol.
"""

from __future__ import annotations

import sys

from matinee.spec import Registry
from matinee.split._split import Split, SplitSpec, as_function
from matinee.split.last_n import LastN
from matinee.split.mixture import Mixture
from matinee.split.new_users import NewUsers
from matinee.split.predefined import predefined
from matinee.split.random import Random
from matinee.split.temporal import Temporal

PROTOCOLS: Registry[SplitSpec] = Registry(sys.modules[__name__], SplitSpec, "split")

mixture = as_function(Mixture)
random = as_function(Random)
last_n = as_function(LastN)
temporal = as_function(Temporal)
new_users = as_function(NewUsers)

__all__ = ["PROTOCOLS", "Split", "SplitSpec", "last_n", "mixture", "new_users", "predefined", "random", "temporal"]
