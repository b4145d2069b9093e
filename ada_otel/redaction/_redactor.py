"""Texts, values and mappings without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ada_otel.pipeline.grouped import Group
from ada_otel.redaction import _cards
from ada_otel.redaction._assignments import Assignments
from ada_otel.redaction._encoded import redact_encoded
from ada_otel.redaction._keys import Keys
from ada_otel.redaction._patterns import MARK, by_appearance, without_emails, without_literals

__all__ = ["MARK", "Redactor"]

_DEEPEST = 8
_MOST_ITEMS = 1000
_LONGEST_NAME = 64
#: Texts that are remembered, and the longest of them: at most half a megabyte.
_REMEMBERED, LONGEST_REMEMBERED = 2048, 256
_STATEMENTS = frozenset({"db.query.text", "db.statement"})


class Redactor:
    """Takes secrets out of what is about to leave the process. Safe for use by several threads.

    Args:
        enabled: False returns everything as it is.
        emails: Whether e-mail addresses are taken out, too.
        keys: Further parts of keys whose values are secret.
        allowed: Keys, exactly, whose values are not, whatever their name.
    """

    def __init__(
        self,
        *,
        enabled: bool = True,
        emails: bool = False,
        keys: Iterable[str] = (),
        allowed: Iterable[str] = (),
    ) -> None:
        self.enabled = enabled
        self._emails = emails
        self._keys = Keys(keys, allowed)
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._take_up_rules()

    def add_key(self, key: str) -> None:
        """See :func:`ada_otel.redaction.add_key`; raises ``ValueError`` for a key without a letter."""
        self._keys.add(key)
        self._take_up_rules()

    def add_pattern(self, name: str, regex: str | re.Pattern[str]) -> None:
        """See :func:`ada_otel.redaction.add_pattern`; raises ``re.error`` for what is no expression."""
        self._patterns = {**self._patterns, name: re.compile(regex)}
        self._take_up_rules()

    def _take_up_rules(self) -> None:
        self._assignments = Assignments(self._keys.hides, self._keys.added, MARK)
        # Most attributes are the same ones over and over, and so is what is left of them.
        self.repeated = lru_cache(_REMEMBERED)(self._value)
        self.group = lru_cache(_REMEMBERED)(self._group)
        #: Another one after each change, once it holds: for whoever else remembers what is left of a text.
        self.rules = object()

    def text(self, text: str) -> str:
        """``text`` without what looks like a secret, in linear time."""
        if not self.enabled or len(text) < 6:
            return text
        text = self._plain(text)
        return redact_encoded(text, self._plain) if "%" in text else text

    def _plain(self, text: str) -> str:
        if self._patterns:
            for name, pattern in self._patterns.items():
                text = pattern.sub(lambda _match, name=name: f"[redacted {name}]", text)  # type: ignore[misc]
        text = by_appearance(text)
        if "=" in text or ":" in text or "'," in text or '",' in text:
            lowered = text.lower()
            if self._keys.added or (
                "pass" in lowered
                or "pw" in lowered
                or "secret" in lowered
                or "token" in lowered
                or "auth" in lowered
                or "cookie" in lowered
                or "key" in lowered
                or "cred" in lowered
                or "string" in lowered
                or "car" in lowered
                or "cv" in lowered
                or "pin" in lowered
                or "otp" in lowered
                or "ssn" in lowered
                or "dsn" in lowered
                or "iban" in lowered
                or "security" in lowered
            ):
                text = self._assignments.redact(text)
        return without_emails(text) if self._emails else text

    def hides(self, key: str, value: object) -> bool:
        """Whether ``value`` must not be shown under ``key``."""
        return self.enabled and self._keys.hides(key, value)

    def value(self, key: str, value: Any) -> Any:
        """``value``, redacted by its key and by what it looks like, in depth.

        Containers are copied, at most 8 levels and 1,000 items of each; a container within itself is told.
        """
        if not self.enabled:
            return value
        if type(value) is str and len(value) <= LONGEST_REMEMBERED and type(key) is str:
            return self.repeated(key, value)
        return self._value(key, value)

    def mapping(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """``values``, each redacted by its key and by what it looks like."""
        return {key: self.value(key, value) for key, value in values.items()}

    def _group(self, group: Group) -> Group:
        """The group, redacted; the same one if there is nothing to hide, or if redaction is off."""
        if not self.enabled:
            return group
        shown = tuple((key, self._value(key, value)) for key, value in group.pairs)
        return group if shown == group.pairs else Group(shown)

    def _value(self, key: str, value: Any, path: tuple[int, ...] = ()) -> Any:
        if type(key) is str and self._keys.hides(key, value):
            return [MARK] if isinstance(value, (list, tuple)) else MARK
        kind = type(value)
        if kind is str:
            return self.text(without_literals(value) if key in _STATEMENTS else value)
        if kind is int:
            return MARK if value > 10**12 and _cards.is_card_number(value) else value
        if value is None or kind is bool or kind is float:
            return value
        if isinstance(value, (Mapping, list, tuple, set, frozenset)):
            return self._container(key, value, path)
        return self._other(value)

    def _container(self, key: str, value: Any, path: tuple[int, ...]) -> Any:
        if id(value) in path:
            return "[cycle]"
        if len(path) >= _DEEPEST:
            return "[too deep]"
        path = (*path, id(value))
        if isinstance(value, Mapping):
            found: dict[Any, Any] = {}
            for inner, item in value.items():
                if len(found) == _MOST_ITEMS:
                    found["[more]"] = len(value) - _MOST_ITEMS
                    break
                found[inner] = self._value(inner if isinstance(inner, str) else key, item, path)
            return found
        items: list[Any] = []
        if len(value) == 2 and isinstance(value, (list, tuple)) and type(value[0]) is str:
            first, second = value  # a pair, as headers and forms are written
            if self._keys.hides(first, second) and isinstance(second, (str, bytes, list, tuple)):
                return type(value)((first, MARK)) if type(value) in {list, tuple} else [first, MARK]
        before: str | None = None
        for item in value:
            if len(items) == _MOST_ITEMS:
                items.append(f"[{len(value) - _MOST_ITEMS} more]")
                break
            named = before is not None and self._names(before, item)
            items.append(MARK if named else self._value(key, item, path))
            before = item if type(item) is str else None
        return tuple(items) if type(value) is tuple else items

    def _names(self, before: str, item: Any) -> bool:
        """Whether ``before`` names ``item`` as a secret: ``SET session_token x``, ``--password x``.

        In a list of names each is followed by a name; those are shown.
        """
        if type(item) is not str or len(before) > _LONGEST_NAME or not self._keys.hides(before, item):
            return False
        return not (len(item) <= _LONGEST_NAME and item.isidentifier() and self._keys.hides(item, ""))

    def _other(self, value: Any) -> Any:
        """An object: as it is, unless its text holds a secret."""
        if isinstance(value, (bytes, bytearray)):
            shown = bytes(value).decode("utf-8", "replace")
            redacted = self.text(shown)
            return value if redacted == shown else redacted.encode()
        try:
            shown, long = str(value), repr(value)
        except Exception:  # whoever shows it has the same trouble, and says so
            return value
        redacted = self.text(shown)
        if isinstance(value, str):
            return value if redacted == shown else redacted
        return value if redacted == shown and self.text(long) == long else redacted
