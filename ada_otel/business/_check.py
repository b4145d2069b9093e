"""What the app hands over, made fit to record; what is wrong is said once, by function and argument.

Each check gives the value, or ``None`` when the call must be dropped. None of them raises, and none calls
code of the value's own class other than number conversion.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable
from decimal import Decimal
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from ada_otel._diagnostics import failed, report
from ada_otel.business._currencies import CODES, OTHER

P = ParamSpec("P")
T = TypeVar("T")

#: Longest label value, in characters.
LONGEST = 120
#: Amounts and sizes above this are mistakes: their sum would lose its cents.
GREATEST = 1e15

_DROPPED = "The call is dropped; the app goes on."


def safely(function: Callable[P, None]) -> Callable[P, None]:
    """Keep whatever goes wrong inside ``function`` away from the app; wrong arguments included."""
    name = function.__qualname__

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:
            failed(f"business.{name}()", error)

    return guarded


def otherwise(instead: Callable[[], Any]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """As :func:`safely`, for a function that gives something: what ``instead`` makes takes its place."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        name = function.__qualname__

        @wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                failed(f"business.{name}()", error)
                return instead()  # type: ignore[no-any-return]  # the caller's to see to

        return guarded

    return decorate


def decorated(function: str, argument: str, value: object, then: str) -> bool:
    """Whether a decorator was used without its brackets, so that it got the app's function; said once."""
    if not inspect.isfunction(value):
        return False
    wrong(function, argument, value, f"text; write @business.{function}(...), with brackets", then=then)
    return True


def wrong(function: str, argument: str, value: object, wanted: str, *, then: str = _DROPPED) -> None:
    """Say once that an argument was wrong.

    Args:
        function: The public function, without its module.
        argument: The argument's name.
        value: What came; shown by its type, and by its text where that is safe and short.
        wanted: What would be right.
        then: What happens now.
    """
    shown = shape(value)
    report(
        f"business:{function}:{argument}:{wanted}",
        f"business.{function}(): {argument} is {shown}, but must be {wanted}. {then}",
    )


def shape(value: object) -> str:
    """A short description of a value: no ``repr`` of unknown classes, and no text, which may be secret."""
    kind = type(value)
    if value is None or kind in {bool, float}:
        return repr(value)
    if kind is int:
        number: int = value  # type: ignore[assignment]  # just checked
        return repr(number) if abs(number) < 10**20 else "an int of more than 20 digits"
    if isinstance(value, str):
        return f"text of {str.__len__(value)} characters"
    return f"of type {kind.__name__[:60]}"


def label(function: str, argument: str, value: object, *, then: str = _DROPPED) -> str | None:
    """A label value: non-empty text, cut at 120 characters."""
    if type(value) is not str:
        if not isinstance(value, str):
            wrong(function, argument, value, "non-empty text", then=then)
            return None
        value = str.__str__(value)
    text = value if value.isascii() else value.encode("utf-8", "replace").decode()
    if not text or text.isspace():
        wrong(function, argument, value, "non-empty text", then=then)
        return None
    if len(text) > LONGEST:
        wrong(function, argument, value, f"text of at most {LONGEST} characters", then="It is cut.")
        return text[:LONGEST]
    return text


def amount(
    function: str, argument: str, value: object, *, whole: bool = False, greatest: float = GREATEST
) -> float | None:
    """A finite number from 0 to ``greatest``: int, float, Decimal or another real number, no bool."""
    kind = type(value)
    wanted = f"{'a whole' if whole else 'a finite'} number from 0 to {greatest:g}"
    number = -1.0
    if kind is int or kind is float or (kind is not bool and isinstance(value, (numbers.Real, Decimal))):
        try:
            number = float(value)  # type: ignore[arg-type]  # just checked
        except Exception:  # a signalling NaN, an int beyond all floats, or a class that does as it likes
            number = -1.0
    if not 0 <= number <= greatest or (whole and not number.is_integer()):
        wrong(function, argument, value, wanted)
        return None
    return math.fabs(number)


def currency(function: str, value: object) -> str | None:
    """An ISO 4217 code in capitals; ``OTHER`` for text that is none."""
    if type(value) is str and value in CODES:
        return value
    text = label(function, "currency", value)
    if text is None:
        return None
    code = text.strip().upper()
    if code not in CODES:
        wrong(function, "currency", value, "a code of ISO 4217 such as EUR", then="It is counted as OTHER.")
        return OTHER
    return code


def identity(function: str, argument: str, value: object) -> str | None:
    """An id of a user or session as text: non-empty text, a whole number or a UUID."""
    kind = type(value)
    if kind is str and value:
        return value  # type: ignore[return-value]  # just checked
    if kind is int and abs(value) < 2**128:  # type: ignore[arg-type]  # just checked
        return str(value)
    if kind is UUID:
        return str(value)
    if isinstance(value, str) and str.__len__(value):
        return str.__str__(value)
    wrong(function, argument, value, "non-empty text, a whole number or a UUID")
    return None


def word(function: str, argument: str, value: object, words: tuple[str, ...]) -> str | None:
    """One of a few words."""
    if isinstance(value, str):
        text = str.__str__(value).lower()
        if text in words:
            return text
    wrong(function, argument, value, "one of " + ", ".join(words))
    return None


def failure(function: str, argument: str, value: object) -> str:
    """``error.type`` of what the app calls a failure: the class of an error, or a short text."""
    if isinstance(value, BaseException):
        return type(value).__qualname__[:LONGEST]
    return label(function, argument, value, then="It is counted as 'other'.") or "other"
