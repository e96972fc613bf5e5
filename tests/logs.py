"""The small logs of `matinee.testing`, for the tests of the package itself."""

from __future__ import annotations

from matinee.testing.logs import checkerboard as checkerboard
from matinee.testing.logs import log_of as log_of
from matinee.testing.logs import random_log as random_log
from matinee.testing.logs import ring as ring
