"""From the text of a variable to its value; each raises ``ValueError`` with what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
#: A name or an address; not the beginning of a URL.
_HOST = re.compile(r"[^\s/@?#\[\]]+")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def without_password(text: str) -> str:
    """A value as it may be shown: an address without the user and password that it may name."""
    return re.sub(r"[^/@\s]+@", "***@", text)


def boolean(text: str) -> bool:
    """Parse ``true`` or ``false`` in any of their usual spellings."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("true or false")


def level(text: str) -> str:
    """Parse the name of a stdlib logging level."""
    word = text.strip().upper()
    if word == "WARN":
        word = "WARNING"
    if word not in _LEVELS:
        raise ValueError("one of " + ", ".join(_LEVELS))
    return word


def level_or_off(text: str) -> str:
    """Parse the name of a stdlib logging level, or ``off``."""
    if text.strip().lower() in _FALSE | {"none"}:
        return "off"
    try:
        return level(text)
    except ValueError as wanted:
        raise ValueError(f"off, or {wanted}") from None


def log_file(text: str) -> str:
    """Parse the path of the log file; ``true`` is the usual one, and ``false`` is none."""
    word = text.strip().lower()
    if word in _TRUE:
        return "logs/ada_app.log"
    return "" if word in _FALSE else text.strip()


def seconds(text: str) -> float:
    """Parse a length of time in seconds, from 0 to one hour."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise ValueError("a number of seconds from 0 to 3600")
    return value


def count(low: int, high: int) -> Callable[[str], int]:
    """Make a parser for a whole number within bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return parse


def choice(*words: str) -> Callable[[str], str]:
    """Make a parser for one of several words."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError("one of " + ", ".join(words))
        return word

    return parse


def endpoints(text: str) -> tuple[tuple[str, str, int], ...]:
    """Parse ``name=host:port,…`` into names, hosts and ports; an IPv6 address is in brackets."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, address = part.partition("=")
        host, _, port = address.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        right = port.isascii() and port.isdecimal() and 0 < int(port) < 65536 and _HOST.fullmatch(host)
        if not name.strip() or not right:
            raise ValueError("a list like database=db.internal:5432,mail=[::1]:25")
        found.append((name.strip(), host, int(port)))
    if len({name for name, _, _ in found}) < len(found):
        raise ValueError("a list with a name of its own for each")
    if len(found) > 20:
        raise ValueError("at most 20 dependencies")
    return tuple(found)


def number(low: float, high: float) -> Callable[[str], float]:
    """Make a parser for a number within bounds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return value

    return parse


def words(text: str) -> tuple[str, ...]:
    """Parse a list of words with commas between; ``none`` is the empty list."""
    found = tuple(filter(None, (part.strip().lower() for part in text.split(","))))
    return () if found == ("none",) else found


def words_of(*known: str) -> Callable[[str], tuple[str, ...]]:
    """Make a parser for a list of some of several words, with commas between; ``none`` is the empty list."""

    def parse(text: str) -> tuple[str, ...]:
        found = words(text)
        if not set(found) <= set(known):
            raise ValueError("none, or some of " + ", ".join(known) + ", with commas between")
        return found

    return parse


def path(text: str) -> str:
    """Parse the path of a page, without a slash at its end."""
    found = text.rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+", found):
        raise ValueError("a path like /health, of letters, digits and marks that need no escape")
    return found


def redis_url(text: str) -> str:
    """Parse the address of a Redis server; empty for none."""
    from urllib.parse import urlsplit

    if not text:
        return ""
    try:
        url = urlsplit(text)
        right = url.path != "" if url.scheme == "unix" else bool(url.hostname) and url.port != 0
    except ValueError:
        right = False
    if not right or url.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("an address like redis://redis:6379/3, rediss://… or unix:///run/redis.sock")
    return text


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parse a list of addresses and networks."""
    try:
        return tuple(
            ip_network(part, strict=False)
            for part in filter(None, (part.strip() for part in text.split(",")))
        )
    except ValueError:
        raise ValueError("a list of addresses and networks like 10.1.0.0/16,fd00::/8") from None


def name_prefix(text: str) -> str:
    """Parse the beginning of Prometheus names; ``none`` is the empty one, ``auto`` is left to the caller."""
    word = text.strip()
    if word.lower() in {"auto", "none"}:
        return "" if word.lower() == "none" else "auto"
    if not word.replace("_", "a").isalnum() or not word.isascii() or word[0].isdigit():
        raise ValueError("auto, none, or letters, digits and _ after a letter")
    return word
