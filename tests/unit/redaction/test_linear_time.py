"""No text takes more than linear time: four times as long, about four times the CPU; never sixteen times."""

from __future__ import annotations

import time

import pytest

from ada_otel.redaction import Redactor

_SHORT, _TIMES = 10_000, 4

#: Repeated, each is the worst shape of some rule.
_UNITS = (
    "password='",
    'token=\\"',
    "password=('",
    "secret: [",
    "passwordpassword",
    "a-.token_",
    "Cookie: a=b; ",
    "api key ",
    "eyJ",
    "eyJaaaaa.",
    "4111 ",
    "4-",
    "://a@",
    "://a:b",
    "bearer ",
    "basic+",
    "-----BEGIN PRIVATE KEY-----",
    "[SQL: '",
    "[parameters: (",
    "[generated in ",
    "[a] Row (",
    "Row (,)",
    "Failing row contains (",
    "Key (a)=(",
    "sk-",
    "ghp_",
    "a@",
    "a.b-",
    "%3D%3D",
    "%20a b",
    "%25%25",
    "%27password%3D%27",
    "4+",
)


def _seconds(redactor: Redactor, text: str) -> float:
    started = time.process_time()
    redactor.text(text)
    return time.process_time() - started


def _growth(redactor: Redactor, unit: str) -> float:
    """How many times as much CPU a text of ``_TIMES`` the length takes."""
    short, long = (unit * (size // len(unit)) for size in (_SHORT, _SHORT * _TIMES))
    pairs = [(_seconds(redactor, short), _seconds(redactor, long)) for _ in range(3)]
    # The best of each: other programs can only add. Below a millisecond the clock is what is measured.
    return min(after for _, after in pairs) / max(0.001, min(before for before, _ in pairs))


@pytest.mark.parametrize("unit", _UNITS)
def test_time_grows_with_length_alone(unit: str) -> None:
    assert _growth(Redactor(emails=True, keys=["badge"]), unit) < 2.5 * _TIMES


def test_quadratic_time_would_be_seen() -> None:
    class Quadratic(Redactor):
        def text(self, text: str) -> str:
            # What is done from each start is far more than what a call costs: it is quadratic from the first.
            for start in range(0, len(text), 8):
                text.count("yx", start)
            return text

    assert _growth(Quadratic(), "y") > 2.5 * _TIMES
