"""A queue bounded by count and by bytes, which drops the least important first and never makes anyone wait.

Two deques: important items (errors) and plain ones. Adding is one append and two comparisons, with no lock:
appending to a deque is atomic. Weighing an item costs as much as adding three, so only each sixteenth that
waits is weighed; their moving mean over the length of the queue turns the bound in bytes into one on the
length.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ada_otel.pipeline import fork
from ada_otel.pipeline.grouped import GroupedAttributes

#: An item without its strings: the span or record, its context, its dicts. By tracemalloc, SDK 1.45.
_BASE_BYTES = 900
_ATTRIBUTE_BYTES = 120

#: So many items at most are dropped for one that is added: nobody's request clears the whole queue.
_MOST_DROPPED_AT_ONCE = 32

#: Each item is weighed that comes to this place in the queue, or to a multiple of it; of a full queue, one
#: in so many.
_WEIGHED = 16

#: Threads that are exporting: what they record themselves is not exported, or it would never end.
exporting_threads: set[int] = set()
_getpid = os.getpid


def exporting() -> bool:
    """Whether this thread is one that exports."""
    return threading.get_ident() in exporting_threads


class ErrorTraces:
    """The ids of the last traces that were seen to hold an error; shared by spans and log records."""

    def __init__(self, size: int = 1024) -> None:
        self._size = size
        self.clear()

    def add(self, trace_id: int) -> None:
        """Remember a trace; the oldest is forgotten when there are too many."""
        if trace_id in self._ids:
            return
        self._ids.add(trace_id)
        self._order.append(trace_id)
        if len(self._order) > self._size:
            self._ids.discard(self._order.popleft())

    def __contains__(self, trace_id: object) -> bool:
        return trace_id in self._ids

    def clear(self) -> None:
        """Forget all."""
        self._ids: set[int] = set()
        self._order: deque[int] = deque()


class ItemQueue:
    """Items on their way to the worker.

    Args:
        capacity: The most items.
        max_bytes: The most bytes, as estimated by ``weigh``.
        weigh: The estimated bytes of an item.
        trace_of: The trace id of an item, 0 if it has none.
        error_traces: The traces whose items count as important.
        drop: Called with the reason for which an item is dropped.

    Attributes:
        closed: Whether what comes is dropped, as the pipeline is shut down.
        wake: Called with the length when an item makes it ``wake_at`` or more.
        wake_at: The length at which the worker has something to do.
    """

    def __init__(
        self,
        capacity: int,
        max_bytes: int,
        *,
        weigh: Callable[[Any], int],
        trace_of: Callable[[Any], int],
        error_traces: ErrorTraces,
        drop: Callable[[str], None],
    ) -> None:
        self.capacity = capacity
        self._max_bytes = max_bytes
        self._weigh = weigh
        self._trace_of = trace_of
        self._error_traces = error_traces
        self._drop = drop
        self.closed = False
        self.wake: Callable[[int], None] = _nobody
        self.wake_at = 1
        self._mean = 2.0 * _BASE_BYTES
        self._ticks = 0
        self._limit = self._limit_now()
        self._plain: deque[Any] = deque()
        self._important: deque[Any] = deque()

    def clear(self) -> int:
        """Forget all items; returns how many there were."""
        before = len(self)
        self._plain = deque()
        self._important = deque()
        return before

    def __len__(self) -> int:
        return len(self._plain) + len(self._important)

    @property
    def estimated_bytes(self) -> int:
        """What the items weigh together, by the mean."""
        return int(len(self) * self._mean)

    def add(self, item: Any, important: bool) -> None:
        """Append; drops what is least important if there is no space.

        Written out in one piece: each call that is spared is 0.1 µs of each span and log line.
        """
        if exporting_threads and exporting():
            return
        if _getpid() != fork._pid:
            fork.check_pid()
        if self.closed:
            self._drop("already_shutdown")
            return
        length = len(self._plain) + len(self._important) + 1
        if not length % _WEIGHED and length <= self._limit:
            self._sample(item, length)
        if length > self._limit and not self._make_room(item, important):
            self._drop("queue_full")
        else:
            (self._important if important else self._plain).append(item)
        if length >= self.wake_at:
            self.wake(length)

    def take(self, count: int, *, plain_first: bool = False) -> list[Any]:
        """Remove up to ``count`` items: errors first, or last while it is uncertain whether they arrive."""
        first, second = self._important, self._plain
        if plain_first:
            first, second = second, first
        taken: list[Any] = []
        _move(first, taken, count)
        _move(second, taken, count)
        return taken

    def restore(self, items: Sequence[Any], is_important: Callable[[Any], bool]) -> None:
        """Put back what ``take`` gave, at the front, and drop the least important if there is no space."""
        for item in reversed(items):
            matters = is_important(item) or self._trace_of(item) in self._error_traces
            (self._important if matters else self._plain).appendleft(item)
        while len(self) > self._limit and self._drop_one(also_important=True):
            pass

    def _sample(self, item: Any, length: int) -> None:
        self._mean += (self._weigh(item) - self._mean) / max(2.0, length / _WEIGHED)
        self._limit = self._limit_now()

    def _limit_now(self) -> int:
        return max(1, min(self.capacity, int(self._max_bytes / self._mean)))

    def _make_room(self, item: Any, important: bool) -> bool:
        """Drop until one more fits; false if what comes is itself the least important."""
        # Its length stays as it is now.
        self._ticks += 1
        if not self._ticks % _WEIGHED:
            self._sample(item, len(self))
        for _ in range(_MOST_DROPPED_AT_ONCE):
            if not self._drop_one(also_important=important):
                return False
            if len(self) < self._limit:
                return True
        return True

    def _drop_one(self, *, also_important: bool) -> bool:
        """Drop the oldest plain item, or the oldest important one if there is no other and it may be."""
        try:
            for _ in range(_MOST_DROPPED_AT_ONCE):
                item = self._plain.popleft()
                if self._trace_of(item) not in self._error_traces:
                    self._drop("queue_full")
                    return True
                self._important.append(item)
        except IndexError:
            pass  # nothing plain is left
        try:
            (self._important if also_important else self._plain).popleft()
        except IndexError:
            return False
        self._drop("queue_full")
        return True


def _nobody(_length: int) -> None:
    """In the place of the worker until it is there."""


def _move(items: deque[Any], taken: list[Any], count: int) -> None:
    """Fill ``taken`` up to ``count``; a producer that drops at the same moment may be faster."""
    try:
        while len(taken) < count:
            taken.append(items.popleft())
    except IndexError:
        return


def weight(attributes: Any, text: Any = None) -> int:
    """An estimate of what an item takes in memory, in bytes.

    Args:
        attributes: Its attributes. The SDK's own mapping is looked into: its public interface takes a lock
            for each value and costs 7.7 µs for ten attributes, against 1.3 µs.
        text: A body, if it has one.
    """
    total = _BASE_BYTES
    if type(text) is str:
        total += len(text)
    if not attributes:
        return total
    if type(attributes) is GroupedAttributes:
        attributes = attributes.together()
    values = getattr(attributes, "_dict", attributes).values()
    total += _ATTRIBUTE_BYTES * len(values)
    for value in values:
        kind = type(value)
        if kind is str:
            total += len(value)
        elif kind is tuple or kind is list:
            total += sum([len(part) if isinstance(part, str) else 32 for part in value])
        elif kind is bytes:
            total += len(value)
    return total


def weight_of_parts(parts: Sequence[Any]) -> int:
    """The same of a log line that is not put together yet, which takes less than one that is."""
    total = _BASE_BYTES
    for part in parts:
        if type(part) is str:
            total += len(part)
        elif type(part) is dict:
            total += sum([_ATTRIBUTE_BYTES + len(value) for value in part.values() if type(value) is str])
    return total
