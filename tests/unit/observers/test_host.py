"""The host's figures: against psutil itself, and against a made-up container.

The control groups of these tests are a folder that looks like ``/sys/fs/cgroup`` of a container; no container
is started.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ada_otel.observers import _linux
from ada_otel.observers._cgroup import Limits, usable_cpus
from ada_otel.observers._figures import whole_disk
from ada_otel.observers._filesystems import mount_points
from ada_otel.observers._host import HostReader, find
from ada_otel.observers._portable import PsutilHost, PsutilProcess

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _values(reading: Any, name: str, key: str) -> dict[Any, float]:
    return {point.attributes[key]: point.value for point in reading[name]}


def _container(folder: Path, *, own: str = "", **files: str) -> Limits:
    group = folder / "cgroup" / own
    group.mkdir(parents=True)
    (folder / "cgroup" / "cgroup.controllers").write_text("cpu memory\n")
    for name, text in files.items():
        (group / name.replace("_", ".", 1)).write_text(text)
    (folder / "membership").write_text(f"4:memory:/old\n0::/{own}\n")
    return Limits(folder / "cgroup", folder / "membership")


def test_without_a_container_the_figures_are_those_of_psutil(tmp_path: Path) -> None:
    reader = HostReader(lambda: True, lambda: Limits(tmp_path, tmp_path / "none"))
    reader.read()
    time.sleep(0.05)
    reading = reader.read()
    memory = psutil.virtual_memory()
    (limit,) = reading["system.memory.limit"]
    assert limit.value == memory.total
    assert sum(point.value for point in reading["system.memory.usage"]) == memory.total
    (cpus,) = reading["system.cpu.logical.count"]
    assert cpus.value == psutil.cpu_count()
    (share,) = reading["system.cpu.utilization"]
    assert 0 <= share.value <= 1
    modes = _values(reading, "system.cpu.time", "cpu.mode")
    assert modes["idle"] == pytest.approx(psutil.cpu_times().idle, abs=60)
    (uptime,) = reading["system.uptime"]
    assert uptime.value == pytest.approx(time.time() - psutil.boot_time(), abs=5)
    shares = _values(reading, "system.filesystem.utilization", "system.filesystem.mountpoint")
    assert shares["/"] == pytest.approx(psutil.disk_usage("/").percent / 100, abs=0.02)


def test_network_is_without_loopback() -> None:
    reading = HostReader(lambda: True).read()
    cards = psutil.net_io_counters(pernic=True)
    received = _values(reading, "system.network.io", "network.io.direction")["receive"]
    assert received <= sum(card.bytes_recv for name, card in cards.items() if name != "lo")


def test_a_process_that_does_not_speak_for_the_host_reports_nothing() -> None:
    assert HostReader(lambda: False).read() == {}


def test_in_a_container_shares_are_of_its_limits(tmp_path: Path) -> None:
    limits = _container(
        tmp_path,
        cpu_max="150000 100000\n",
        cpu_stat="usage_usec 2000000\nuser_usec 1\n",
        memory_max="1000000\n",
        memory_current="600000\n",
        memory_stat="anon 400000\ninactive_file 200000\n",
    )
    reader = HostReader(lambda: True, lambda: limits)
    reader.read()
    time.sleep(0.1)
    (tmp_path / "cgroup" / "cpu.stat").write_text("usage_usec 2010000\n")
    reading = reader.read()
    (share,) = reading["system.cpu.utilization"]
    cpus = min(1.5, psutil.cpu_count())
    assert 0 < share.value <= 0.01 / 0.1 / cpus
    assert [point.value for point in reading["system.cpu.logical.count"]] == [2 if cpus > 1 else 1]
    assert [point.value for point in reading["system.memory.limit"]] == [1_000_000]
    assert [point.value for point in reading["system.memory.utilization"]] == [0.4]
    states = _values(reading, "system.memory.usage", "system.memory.state")
    assert states == {"used": 400_000, "cached": 200_000, "free": 400_000}


def test_the_tightest_limit_of_the_groups_around_counts(tmp_path: Path) -> None:
    folder = tmp_path / "cgroup" / "pod"
    folder.mkdir(parents=True)
    (folder / "memory.max").write_text("500\n")
    (folder / "memory.current").write_text("100\n")
    limits = _container(tmp_path, own="pod/app", memory_max="max\n", cpu_max="max 100000\n")
    memory = limits.memory()
    assert memory is not None
    assert (memory.limit, memory.used) == (500, 100)
    assert limits.cpus is None
    assert limits.cpu_seconds() is None


def test_a_group_of_the_host_that_is_not_visible_here_means_the_root(tmp_path: Path) -> None:
    _container(tmp_path, memory_max="77\n", memory_current="7\n")
    (tmp_path / "membership").write_text("0::/../../system.slice/docker-1.scope\n")
    memory = Limits(tmp_path / "cgroup", tmp_path / "membership").memory()
    assert memory is not None
    assert memory.limit == 77


@pytest.mark.parametrize("quota", ["0 100000", "100000 0", "max", "", "-1 100000", "\x00"])
def test_a_quota_that_is_none_is_no_limit(quota: str, tmp_path: Path) -> None:
    limits = _container(tmp_path, cpu_max=quota, cpu_stat="usage_usec 1\n", memory_max="much\n")
    assert (limits.cpus, limits.cpu_seconds(), limits.memory()) == (None, None, None)
    reading = HostReader(lambda: True, lambda: limits).read()
    assert [point.value for point in reading["system.cpu.logical.count"]] == [psutil.cpu_count()]


def test_a_limit_beyond_the_memory_of_the_machine_is_none(tmp_path: Path) -> None:
    beyond = psutil.virtual_memory().total * 4
    limits = _container(tmp_path, memory_max=f"{beyond}\n", memory_current="600000\n")
    assert limits.memory() is None
    (limit,) = HostReader(lambda: True, lambda: limits).read()["system.memory.limit"]
    assert limit.value == psutil.virtual_memory().total


def test_version_1_has_no_limits(tmp_path: Path) -> None:
    limits = Limits(tmp_path, tmp_path / "none")
    assert (limits.cpus, limits.memory()) == (None, None)
    assert usable_cpus(limits) >= 1


def test_partitions_and_mapped_devices_are_not_counted_again() -> None:
    disks = [name for name in psutil.disk_io_counters(perdisk=True) or {} if whole_disk(name)]
    assert not [name for name in disks if name.startswith(("dm-", "loop", "md", "ram"))]
    assert all((Path("/sys/block") / name).exists() for name in disks)


def test_each_device_is_reported_once_and_the_root_always(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    file = tmp_path / "hosts"
    file.write_text("")
    found = mount_points(
        [
            ("/dev/a", str(inner), "ext4"),
            ("/dev/a", str(tmp_path), "ext4"),
            ("/dev/b", str(file), "ext4"),
            ("/dev/c", str(inner), "squashfs"),
        ]
    )
    assert found == ["/", str(tmp_path)]


@linux
def test_proc_gives_what_psutil_gives() -> None:
    ours, theirs = find(), PsutilHost()
    assert isinstance(ours, _linux.LinuxHost)
    before, cpu, after = theirs.cpu(), ours.cpu(), theirs.cpu()
    assert set(cpu) == set(before)
    for mode, seconds in cpu.items():
        # Of CPUs that sleep, Linux may take idle time and waits back by a little.
        assert before[mode] - 1 <= seconds <= after[mode] + 1
    assert cpu["idle"] > 1
    memory, other = ours.memory(), theirs.memory()
    assert (memory.total, set(memory.states)) == (other.total, set(other.states))
    assert memory.available == pytest.approx(other.available, abs=500 << 20)
    for state, value in memory.states.items():
        assert value == pytest.approx(other.states[state], abs=500 << 20)
    assert ours.uptime() == pytest.approx(theirs.uptime(), abs=5)
    for read in ("disk", "network"):
        first, found, last = getattr(theirs, read)(), getattr(ours, read)(), getattr(theirs, read)()
        assert (found is None) == (first is None)
        for index, value in enumerate(found or ()):
            assert first[index] <= value <= last[index]


@linux
def test_proc_gives_what_psutil_gives_for_a_process() -> None:
    ours, theirs = _linux.LinuxProcess(), PsutilProcess()
    assert ours.age == pytest.approx(theirs.age, abs=2)
    figures, other = ours.read(), theirs.read()
    assert figures.user + figures.system == pytest.approx(other.user + other.system, abs=0.5)
    assert figures.resident == pytest.approx(other.resident, abs=20_000_000)
    assert figures.virtual == pytest.approx(other.virtual, abs=20_000_000)
    assert figures.threads == other.threads
    assert figures.voluntary_switches >= other.voluntary_switches


@linux
def test_descriptors_are_those_that_psutil_counts() -> None:
    # In a child, which has no other thread: one in accept() has a descriptor that no listing shows.
    child = os.fork()
    if child == 0:
        more = 0
        try:
            ours, theirs = _linux.LinuxProcess().read().descriptors, PsutilProcess().read().descriptors
            more = 10 + (theirs or 0) - (ours or 0)
        finally:
            os._exit(more)
    # psutil's own listing is open while it counts.
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 10 + 1


@linux
def test_file_systems_are_looked_for_again_when_what_is_mounted_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = _linux.LinuxHost()
    assert host.mounted() is not None
    assert host.mounted() is None
    read = _linux.read

    def one_more(path: str) -> bytes:
        return read(path) + (b"/dev/z /z ext4 rw 0 0\n" if path == "/proc/self/mounts" else b"")

    monkeypatch.setattr(_linux, "read", one_more)
    assert host.mounted() is not None
    assert host.mounted() is None


@linux
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/proc/meminfo", b"MemTotal: 5 kB\n"),
        ("/proc/meminfo", b""),
        ("/proc/net/dev", b"a\nb\neth0: 1 2\n"),
        ("/proc/net/dev", b"a\nb\neth0: many\n"),
    ],
)
def test_where_proc_is_not_as_known_psutil_reads(
    path: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _linux.read
    monkeypatch.setattr(_linux, "read", lambda asked: content if asked == path else read(asked))
    assert isinstance(find(), PsutilHost)
    reading: Any = HostReader(lambda: True).read()
    assert reading["system.memory.limit"][0].value == psutil.virtual_memory().total


@linux
def test_a_container_without_figures_of_disks_has_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read = _linux.read

    def without(path: str) -> bytes:
        if path == "/proc/diskstats":
            raise FileNotFoundError(path)
        return read(path)

    monkeypatch.setattr(_linux, "read", without)
    reading = HostReader(lambda: True).read()
    assert reading["system.disk.io"] == ()
    assert reading["system.memory.limit"] != ()
