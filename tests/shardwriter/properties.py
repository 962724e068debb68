"""Bounds on property tests."""

import functools

from hypothesis import settings

# The same examples on every run, and no deadline: the machine is shared.
bounded = functools.partial(settings, deadline=None, derandomize=True, database=None)
