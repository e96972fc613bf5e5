"""Compiled loops make the first example of a property slow: no deadline."""

from hypothesis import settings

settings.register_profile("compiled", deadline=None, max_examples=40)
settings.load_profile("compiled")
