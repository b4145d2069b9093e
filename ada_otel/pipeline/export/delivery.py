"""What a processor and an exporter of ours say to each other beyond the standard interfaces.

A standard exporter says success or failure. One that is :class:`Delivers` says what became of each item, so
that what may still arrive goes back to the queue, where the least important is dropped first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable


@dataclass
class Delivery:
    """What became of a batch.

    Attributes:
        sent: How many items arrived.
        dropped: How many are lost for good, by reason (``rejected``, ``encode``).
        kept: The items that may still be sent.
        error: The kind of the last trouble, as in ``error.type``; empty if there was none.
    """

    sent: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    kept: list[Any] = field(default_factory=list)
    error: str = ""

    def drop(self, reason: str, count: int) -> None:
        """Count items that are lost."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def add(self, other: Delivery) -> None:
        """Take in what became of another part of the batch."""
        self.sent += other.sent
        for reason, count in other.dropped.items():
            self.drop(reason, count)
        self.kept += other.kept
        self.error = other.error or self.error


@runtime_checkable
class Delivers(Protocol):
    """An exporter that tells items which are lost from those which may still be sent."""

    def deliver(self, items: Sequence[Any], within: float, *, once: bool = False) -> Delivery:
        """Send ``items``, trying again for at most ``within`` seconds, or not again if ``once``."""

    def hurry(self, deadline: float) -> None:
        """End all sending by ``deadline``, on ``time.monotonic()``; waiting is cut short."""

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed, so that the next batch should be a small one."""

    @property
    def pause(self) -> float:
        """Seconds until the next attempt may be made; 0 if it may be made now."""
