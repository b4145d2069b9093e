"""Card numbers: 13 to 19 digits with a valid check digit (ISO/IEC 7812)."""

from __future__ import annotations

import re

#: As they are written, in groups or not; a plus is a space in a query string. Each start looks at no more
#: than 37 characters.
CANDIDATE = re.compile(r"(?<![0-9A-Za-z])[2-6](?:[ +-]?[0-9]){12,18}(?![0-9A-Za-z])")
#: Whether there can be one.
RUN = re.compile(r"[2-6](?:[ +-]?[0-9]){12}")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_SMALLEST, _LARGEST = 2 * 10**12, 7 * 10**18


def is_card(text: str) -> bool:
    """Whether the digits in ``text`` pass the check of Luhn."""
    digits = [int(character) for character in text if character.isdigit()]
    total = sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])
    return total % 10 == 0 and len(set(digits)) > 1


def is_card_number(value: int) -> bool:
    """Whether a whole number is a card number."""
    return _SMALLEST <= value < _LARGEST and str(value)[0] in "23456" and is_card(str(value))
