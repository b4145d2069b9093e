"""Which keys hold secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Parts of a key, with its separators taken out, that say that its value is secret.
_PARTS = (
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "credential",
    "connectionstring",
    "cardnumber",
    "creditcard",
    "securitycode",
    "bearer",
    "jwt",
)
#: Whole words of a key that say so; as parts of words they are too common.
_WORDS = frozenset({"pwd", "pass", "pw", "pin", "otp", "cvv", "cvc", "ssn", "dsn", "iban"})
#: What a key may end with that speaks about a secret and does not hold it.
_ABOUT = frozenset(
    {
        *(
            "count",
            "counts",
            "limit",
            "type",
            "usage",
            "budget",
            "length",
            "len",
            "size",
            "expires",
            "expiry",
        ),
        *(
            "expiration",
            "present",
            "enabled",
            "required",
            "policy",
            "strength",
            "attempts",
            "age",
            "name",
            "url",
        ),
    }
)
_MOST_KNOWN = 4096
_LONGEST_KEY = 256

_NO, _YES, _TEXT_ONLY = range(3)

_not_alphanumeric = re.compile(r"[^a-z0-9]+")
_hump = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Keys:
    """The rules on keys; what was found for a key is remembered, for at most 4,096 keys.

    Args:
        added: Further parts of keys whose values are secret.
        allowed: Keys, exactly, whose values are not, whatever their name.
    """

    def __init__(self, added: Iterable[str] = (), allowed: Iterable[str] = ()) -> None:
        self._parts: tuple[str, ...] = _PARTS
        self._allowed = frozenset(key.lower() for key in allowed)
        self._known: dict[str, int] = {}
        for key in added:
            self.add(key)

    def add(self, key: str) -> None:
        """Add a part of keys; raises ``ValueError`` if it has no letter and no digit."""
        part = _not_alphanumeric.sub("", key.lower())
        if not part:
            raise ValueError(f"{key!r} has no letter and no digit, and would be part of no key")
        self._parts = (*self._parts, part)
        self._known = {}

    @property
    def added(self) -> tuple[str, ...]:
        """The parts that were added to the built-in ones."""
        return self._parts[len(_PARTS) :]

    def hides(self, key: str, value: object) -> bool:
        """Whether ``value`` must not be shown under ``key``. Nothing, true and false are no secrets."""
        verdict = self._known.get(key)
        if verdict is None:
            verdict = self._judge(key)
        if verdict == _NO or value is None or value is True or value is False:
            return False
        # Tokens of a language model are counted; no access token is a number.
        return verdict == _YES or type(value) not in {int, float}

    def _judge(self, key: str) -> int:
        short = key[:_LONGEST_KEY]
        words = [word for word in _not_alphanumeric.split(_hump.sub("_", short).lower()) if word]
        lowered = short.lower()
        compact = _not_alphanumeric.sub("", lowered)
        found = [part for part in self._parts if part in compact]
        if lowered in self._allowed:
            verdict = _NO
        elif any(part not in _PARTS for part in found):
            verdict = _YES
        elif not words or words[-1] in _ABOUT:
            verdict = _NO
        elif found == ["token"]:
            verdict = _TEXT_ONLY
        else:
            verdict = _YES if found or not _WORDS.isdisjoint(words) else _NO
        if len(self._known) >= _MOST_KNOWN:
            self._known = {}
        if len(key) <= _LONGEST_KEY:
            self._known[key] = verdict
        return verdict
