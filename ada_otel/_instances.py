"""Finds the objects of a class that nobody keeps a list of."""

from __future__ import annotations

import gc
from typing import Any

#: An attribute of objects that are ours and not the app's: they are left out.
OWN = "_ada_otel_own"


def instances(kind: type) -> list[Any]:
    """The objects of a class written in Python, or of one derived from it, that the garbage collector knows.

    By who refers to the class: every object does to its own. ``gc.get_objects()`` is no way to do this beside
    an app that runs: it takes hold of tuples that other threads are still making, and that makes ``tuple(…)``
    of a generator raise SystemError there. It takes five times as long, too.

    Args:
        kind: The class.
    """
    kinds = {kind}
    new = [kind]
    while new:
        derived: list[type] = type.__subclasses__(new.pop())
        new.extend(set(derived) - kinds)
        kinds.update(derived)
    # type() and not isinstance(): a proxy's __class__ may run the app's code.
    return [found for found in gc.get_referrers(*kinds) if type(found) in kinds and not hasattr(found, OWN)]
