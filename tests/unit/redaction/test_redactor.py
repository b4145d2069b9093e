"""Secrets by key and by appearance, in texts and in depth, in linear time."""

from __future__ import annotations

import time

import pytest

from ada_otel.redaction import Redactor


@pytest.mark.parametrize(
    "text",
    [
        "password=S3CRET next",
        "{'user_password': 'S3CRET'}",
        "[('password', 'S3CRET')]",
        "Authorization: Basic S3CRET",
        "Cookie: a=S3CRET; b=1",
        "GET /x?api_key=S3CRET&y=2",
        "postgres://u:S3CRET@h/db",
        "[SQL: insert into a values ('S3CRET')]",
        "[parameters: ('q', 'S3CRET')]",
        '{"a": "{\\"password\\": \\"S3CRET\\"}"}',
    ],
)
def test_texts(text: str) -> None:
    assert "S3CRET" in Redactor(enabled=False).text(text)
    assert "S3CRET" not in Redactor().text(text)


def test_in_depth() -> None:
    found = Redactor().mapping({"a": [{"secret": "x1"}], "input_tokens": 5, "n": 4111111111111111})
    assert found == {"a": [{"secret": "[redacted]"}], "input_tokens": 5, "n": "[redacted]"}


@pytest.mark.parametrize("unit", ["password='", "eyJ", "4111 ", "token=", "://a@", "Failing row contains ("])
def test_hostile_text_takes_linear_time(unit: str) -> None:
    started = time.process_time()
    Redactor().text(unit * (1_000_000 // len(unit)))
    assert time.process_time() - started < 5
