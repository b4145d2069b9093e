"""The network dependencies of this process: those of the setting, and those that instrumentation finds."""

from __future__ import annotations

from dataclasses import dataclass

#: The most dependencies that are tried.
MOST = 20

_found: dict[tuple[str, int], Target] = {}


@dataclass(frozen=True)
class Target:
    """Something that the app needs over TCP.

    Attributes:
        name: ``ada.dependency.name``.
        host: A host name or an address.
        port: A TCP port.
    """

    name: str
    host: str
    port: int


def configure(name: str, host: str, port: int) -> None:
    """Add a dependency under a name of the user's; one that was found before is renamed."""
    _found[host, port] = Target(name, host, port)


def note(kind: str, host: str | None, port: int | None) -> None:
    """Add a dependency that an engine or a client was made for, unless it is known; cheap to repeat.

    The first of a kind is called by the kind, further ones ``kind_2``, ``kind_3`` and so on.

    Args:
        kind: ``database`` or ``redis``.
        host: Where it is; without one it is no network dependency.
        port: Its TCP port.
    """
    if not host or not port or host.startswith("/") or (host, port) in _found or len(_found) >= MOST:
        return
    names = {target.name for target in list(_found.values())}
    name, number = kind, 2
    while name in names:
        name, number = f"{kind}_{number}", number + 1
    _found[host, port] = Target(name, host, port)


def all_targets() -> list[Target]:
    """The dependencies that are known so far."""
    return list(_found.values())


def forget() -> None:
    """Forget all of them; for tests."""
    _found.clear()
