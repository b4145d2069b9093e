"""Figures of Linux, from ``/proc`` itself: one open and one read for each file, which gives several figures.

The figures are psutil's, to the digit (a test compares them), at about a third of its time. Nothing is kept
open, and ``/proc/self`` is looked up anew each time, so that a fork has nothing to inherit.
"""

from __future__ import annotations

import os
import resource
import time

from ada_otel.observers._figures import LOOPBACK, Memory, Network, Process, whole_disk

_DESCRIPTORS = "/proc/self/fd"
_SECTOR = 512
_KIB = 1024
#: The kernel writes at most this much at a time of the files that it makes line by line.
_CHUNK = 1 << 16


def read(path: str) -> bytes:
    """All of a file of ``/proc``."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _CHUNK):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


class LinuxHost:
    """The host's figures from ``/proc``."""

    def __init__(self) -> None:
        """Try each of the files.

        Raises:
            OSError: One cannot be read.
            ValueError: One has another form than is known.
        """
        self._tick = float(os.sysconf("SC_CLK_TCK"))
        self._mounts = b""
        self.cpu()
        self.memory()
        self.disk()
        self.network()

    def cpu(self) -> dict[str, float]:
        """See :class:`~ada_otel.observers._figures.Host`."""
        descriptor = os.open("/proc/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            line = os.read(descriptor, 512).partition(b"\n")[0].split()
        finally:
            os.close(descriptor)
        user, nice, system, idle, iowait, irq, softirq, steal = map(int, line[1:9])
        tick = self._tick
        return {
            "user": user / tick,
            "nice": nice / tick,
            "system": system / tick,
            "idle": idle / tick,
            "iowait": iowait / tick,
            "interrupt": irq / tick + softirq / tick,
            "steal": steal / tick,
        }

    def memory(self) -> Memory:
        """See :class:`~ada_otel.observers._figures.Host`."""
        # Up to here each line is a name, a number and "kB".
        words = read("/proc/meminfo").partition(b"SUnreclaim:")[0].split()
        found = dict(zip(words[::3], words[1::3], strict=False))
        try:
            total, available = int(found[b"MemTotal:"]) * _KIB, int(found[b"MemAvailable:"]) * _KIB
            free = int(found[b"MemFree:"]) * _KIB
            cached = (int(found[b"Cached:"]) + int(found[b"SReclaimable:"])) * _KIB
            buffers = int(found[b"Buffers:"]) * _KIB
        except KeyError as missing:
            raise ValueError(f"/proc/meminfo has no {missing}") from None
        # In an LXC container it can be the host's; psutil takes what is free then.
        usable = available if 0 < available <= total else free
        return Memory(total, usable, {"free": free, "cached": cached, "buffers": buffers})

    def disk(self) -> tuple[int, int] | None:
        """See :class:`~ada_otel.observers._figures.Host`."""
        try:
            text = read("/proc/diskstats").decode(errors="replace")
        except OSError:
            return None  # no statistics of disks in this container
        sectors_read = sectors_written = disks = 0
        for line in text.splitlines():
            fields = line.split(None, 10)
            if len(fields) > 10 and whole_disk(fields[2]):  # as far as the sectors written
                disks += 1
                sectors_read += int(fields[5])
                sectors_written += int(fields[9])
        return (sectors_read * _SECTOR, sectors_written * _SECTOR) if disks else None

    def network(self) -> Network | None:
        """See :class:`~ada_otel.observers._figures.Host`."""
        received = sent = receive_errors = send_errors = 0
        for line in read("/proc/net/dev").decode(errors="replace").splitlines()[2:]:
            name, _, rest = line.rpartition(":")
            if name.strip() in LOOPBACK:
                continue
            fields = rest.split()
            received += int(fields[0])
            receive_errors += int(fields[2])
            sent += int(fields[8])
            send_errors += int(fields[10])
        return Network(received, sent, receive_errors, send_errors)

    def uptime(self) -> float:
        """See :class:`~ada_otel.observers._figures.Host`."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def mounted(self) -> list[tuple[str, str, str]] | None:
        """See :class:`~ada_otel.observers._figures.Host`."""
        # What is mounted changes seldom; working it out takes longer than all else.
        text = read("/proc/self/mounts")
        if text == self._mounts:
            return None
        from ada_otel.observers._portable import partitions

        self._mounts = text
        return partitions()


class LinuxProcess:
    """The figures of whichever process reads them."""

    def __init__(self) -> None:
        """Read once.

        Raises:
            OSError: A file cannot be read.
            ValueError: One has another form than is known.
        """
        self._page = os.sysconf("SC_PAGE_SIZE")
        self.read()
        begun = int(_stat()[19]) / os.sysconf("SC_CLK_TCK")
        #: Seconds that the process is old.
        self.age = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - begun)

    def read(self) -> Process:
        """The figures now."""
        # Of all threads; /proc/self/status has the switches of the first thread only.
        used = resource.getrusage(resource.RUSAGE_SELF)
        virtual, resident = read("/proc/self/statm").split()[:2]
        return Process(
            used.ru_utime,
            used.ru_stime,
            int(resident) * self._page,
            int(virtual) * self._page,
            int(_stat()[17]),
            _descriptors(),
            used.ru_nvcsw,
            used.ru_nivcsw,
        )


def _stat() -> list[bytes]:
    """The fields of ``/proc/self/stat`` from the third on; the second, a name, may hold spaces."""
    fields = read("/proc/self/stat").rpartition(b")")[2].split()
    if len(fields) < 20:  # as far as the time at which the process began
        raise ValueError("/proc/self/stat is shorter than proc(5) has it")
    return fields


def _descriptors() -> int:
    """Open file descriptors."""
    # Since Linux 6.2 the folder's size is their number; before, it is 0, and the folder has to be read, for
    # which one more is open.
    return os.stat(_DESCRIPTORS).st_size or len(os.listdir(_DESCRIPTORS)) - 1  # noqa: PTH116, PTH208
