"""Points in time, lengths of time, and histogram intervals, as users write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from ada_otel.analysis.errors import QueryError

__all__ = [
    "format_time",
    "from_milliseconds",
    "milliseconds",
    "parse_length",
    "parse_time",
    "parse_timestamp",
    "period",
]

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:[.,](\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
#: From here on a bare number is milliseconds since 1970; smaller ones are seconds. 10^11 s is the year 5138.
_FIRST_MILLISECONDS = 1e11


def parse_length(text: str, name: str = "length of time") -> timedelta:
    """A length of time such as ``90s``, ``15m``, ``2h``, ``7d`` or ``1.5h``.

    Args:
        text: What the user wrote.
        name: The option, for the message.

    Raises:
        QueryError: It is none, or zero.
    """
    match = _LENGTH.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < seconds <= 36500 * 86400:
        raise QueryError(
            f"{name}: {text!r} is no length of time; write a number and a unit: 90s, 15m, 2h, 7d, 4w"
        )
    return timedelta(seconds=seconds)


def parse_time(text: str | datetime, now: datetime, name: str = "time") -> datetime:
    """A point in time: ``2h`` (ago), ``now-15m``, ``2026-11-23``, ``2026-11-23T10:00:00Z``, or epoch seconds.

    Args:
        text: What the user wrote. A time without a zone is UTC.
        now: What ``now`` and "ago" count from.
        name: The option, for the message.

    Raises:
        QueryError: It is none of these.
    """
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    word = text.strip()
    if word == "now":
        return now
    ago = word.removeprefix("now").strip()
    if _LENGTH.fullmatch(ago.removeprefix("-")):
        try:
            return now - parse_length(ago.removeprefix("-"))
        except (OverflowError, QueryError):
            pass
    found = parse_timestamp(word)
    if found is None:
        raise QueryError(
            f"{name}: {text!r} is no time; write how long ago (2h, 7d), now, or a date "
            "(2026-11-23, 2026-11-23T10:00:00Z)"
        )
    return found


def parse_timestamp(value: object) -> datetime | None:
    """The time in a document or a log line: ISO 8601, or a number of seconds or milliseconds, also as text.

    Returns:
        ``None`` if it is no time. A time without a zone is UTC.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        match = _ISO.fullmatch(value.strip())
        if match:
            return _from_iso(match)
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number is refused below
    except (TypeError, ValueError):
        return None
    try:
        return EPOCH + timedelta(seconds=number / 1000 if abs(number) >= _FIRST_MILLISECONDS else number)
    except (OverflowError, ValueError):
        return None


def _from_iso(match: re.Match[str]) -> datetime | None:
    day, clock, fraction, zone = match.groups()
    clock = clock or "00:00:00"
    clock = clock if len(clock) == 8 else f"{clock}:00"
    zone = "+00:00" if zone in {None, "Z"} else zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded down, as Elasticsearch's ``date`` type keeps them."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(number: float) -> datetime:
    """The time that is ``number`` milliseconds after 1970."""
    return EPOCH + timedelta(milliseconds=number)


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC, with milliseconds and ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_PART_OF_ISO = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:T(\d{2})(?::(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?)?)?)?(Z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
_NOW = re.compile(r"now([+-]\d+(?:ms|[smhdw]))?(?:/([smhdM]))?")
_ROUND = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def period(text: str, now: datetime) -> tuple[int, int]:
    """The first and the last millisecond that a time in a query stands for: a whole day for ``2026-11-23``.

    Args:
        text: ISO 8601 down to any part, milliseconds since 1970, or ``now`` with ``-2h``, ``/d`` or both.
        now: What ``now`` stands for.

    Raises:
        QueryError: It is none of these.
    """
    if match := _NOW.fullmatch(text):
        return _period_around(now, match[1], match[2])
    if re.fullmatch(r"-?\d{5,15}", text, re.ASCII):
        return int(text), int(text)
    match = _PART_OF_ISO.fullmatch(text)
    try:
        if match:
            return _period_of(match)
    except (ValueError, OverflowError):
        pass
    raise QueryError(
        f"query: {text!r} is no time; write 2026-11-23, 2026-11-23T10:00:00Z, now-2h, or epoch milliseconds"
    )


def _period_around(now: datetime, shift: str | None, unit: str | None) -> tuple[int, int]:
    moment = now
    if shift:
        length = parse_length(shift[1:], "query")
        moment = now + length if shift[0] == "+" else now - length
    at = milliseconds(moment)
    if unit == "M":
        return _period_of_month(moment.year, moment.month, timedelta())
    if unit is None:
        return at, at
    first = at - at % _ROUND[unit]
    return first, first + _ROUND[unit] - 1


def _period_of(match: re.Match[str]) -> tuple[int, int]:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    offset = timedelta()
    if zone not in {None, "Z"}:
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:])) * (-1 if zone[0] == "-" else 1)
    if month is None:
        first, _ = _period_of_month(int(year), 1, offset)
        return first, _period_of_month(int(year), 12, offset)[1]
    if day is None:
        return _period_of_month(int(year), int(month), offset)
    parts = [int(part or 0) for part in (year, month, day, hour, minute, second)]
    first = milliseconds(datetime(*parts, tzinfo=UTC) - offset)  # type: ignore[arg-type,misc]  # six whole numbers
    if fraction is not None:
        at = first + int(f"{fraction:0<3}"[:3])
        return at, at
    unit = "s" if second else "m" if minute else "h" if hour else "d"
    return first, first + _ROUND[unit] - 1


def _period_of_month(year: int, month: int, offset: timedelta) -> tuple[int, int]:
    first = datetime(year, month, 1, tzinfo=UTC)
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return milliseconds(first - offset), milliseconds(after - offset) - 1
