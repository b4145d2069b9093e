"""Ones that are counted without a lock or a Python function, and added up when somebody looks.

Most of what a request adds to metrics is a 1. ``next()`` on an ``itertools.count`` is one call in C, which no
other thread can cut in two; recording a 1 by a handle takes five times as long. What has been counted goes
to the handle before each collection.
"""

from __future__ import annotations

import itertools
from _thread import RLock
from collections.abc import Callable, Iterator


class Tally:
    """A counter of ones.

    Args:
        take: Takes the sum; the handle's.
        each: What each one adds: 1 or -1.

    Attributes:
        ones: ``next(ones)`` counts one more.
    """

    __slots__ = ("_each", "_folding", "_lock", "_next", "_take", "ones")

    def __init__(self, take: Callable[[float], object], each: int) -> None:
        self._take = take
        self._each = each
        self.ones: Iterator[int] = itertools.count()
        self._next = 0  # what the iterator gives when nothing was counted since the last look
        self._lock = RLock()
        self._folding = False

    def fold(self) -> None:
        """Hand on what was counted since the last time."""
        with self._lock:
            if self._folding:
                return  # a signal handler has interrupted this very method
            self._folding = True
            try:
                found = next(self.ones)
                counted, self._next = found - self._next, found + 1
            finally:
                self._folding = False
        if counted:
            self._take(self._each * counted)

    def renew(self) -> None:
        """Begin again, in a forked process: what was counted before is the parent's."""
        self._lock = RLock()
        self._folding = False
        self._next = next(self.ones) + 1


class Forwarded:
    """In the place of a tally's ``ones``: hands each one on at once.

    For instruments that nobody asks us to collect, and where there would be too many tallies.

    Args:
        take: Takes it; the handle's.
        each: What each one adds.
    """

    __slots__ = ("_each", "_take")

    def __init__(self, take: Callable[[float], object], each: int) -> None:
        self._take = take
        self._each = each

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self._take(self._each)
        return 0
