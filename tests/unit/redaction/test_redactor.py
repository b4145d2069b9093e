"""Secrets by key and by appearance, in texts and in depth, in linear time."""

from __future__ import annotations

import logging

import pytest
import sqlalchemy

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
        "[generated in 0.1s] ('S3CRET',)",
        "[reader] [cached since 3s ago] ('S3CRET',)",
        "Row (1, 'S3CRET')",
        "[reader] Row ('S3CRET',)",
        '{"a": "{\\"password\\": \\"S3CRET\\"}"}',
        "back=https%3A%2F%2Fu%3AS3CRET%40h%2F&y=2",
        "/in?data=%7B%22password%22%3A+%22S3CRET%22%7D",
        "next=%2Fin%3Ftoken%253DS3CRET",
        "%70assword=S3CRET",
    ],
)
def test_texts(text: str) -> None:
    assert "S3CRET" in Redactor(enabled=False).text(text)
    shown = Redactor().text(text)
    assert "S3CRET" not in shown
    assert Redactor().text(shown) == shown


def test_what_sqlalchemy_echoes(caplog: pytest.LogCaptureFixture) -> None:
    """The real lines, of a real SQLAlchemy, with statements, parameters and rows."""
    for options in ({}, {"logging_name": "shop"}):
        engine = sqlalchemy.create_engine("sqlite://", **options)
        with caplog.at_level(logging.DEBUG, "sqlalchemy.engine"):
            for token in (None, "reader"):
                with engine.connect().execution_options(
                    **({"logging_token": token} if token else {})
                ) as connection:
                    connection.execute(sqlalchemy.text("SELECT :a AS a"), {"a": "S3CRET"}).all()
        engine.dispose()
    assert caplog.text.count("S3CRET") == 8, "each execution says its parameters and its row"
    shown = [Redactor().text(message) for message in caplog.messages]
    assert "S3CRET" not in str(shown)
    assert shown.count("Row ([redacted])") == shown.count("[reader] Row ([redacted])") == 2
    assert shown.count("SELECT ? AS a") == 2


def test_what_is_encoded_stays_so_where_it_is_no_secret() -> None:
    text = "GET /a%20b?q=caf%C3%A9%26tea&next=%2Fin%3Fuser%3Dann%26token%3DS3CRET%26x%3D1&sort=%2Bname"
    assert Redactor().text(text) == (
        "GET /a%20b?q=caf%C3%A9%26tea&next=/in%3Fuser=ann%26token=[redacted]%26x=1&sort=%2Bname"
    )
    cards = "n=4111+1111+1111+1111&m=4111%201111%201111%201111"
    assert Redactor().text(cards) == "n=[redacted]&m=[redacted]"


def test_in_depth() -> None:
    found = Redactor().mapping({"a": [{"secret": "x1"}], "input_tokens": 5, "n": 4111111111111111})
    assert found == {"a": [{"secret": "[redacted]"}], "input_tokens": 5, "n": "[redacted]"}


def test_a_source_line_in_a_traceback() -> None:
    text = Redactor().text('  File "a.py", line 3, in b\n    connect(host="db", password="S3CRET")\n')
    assert text == '  File "a.py", line 3, in b\n    connect(host="db", password="[redacted]")\n'


@pytest.mark.parametrize(
    "text",
    [
        "item 17 was added to the basket of user 7",
        "token_count=17, max_tokens: 400",
        "order 4111111111111112 of 2026-11-24T01:02:03",
        "GET /items/3?search=tea&limit=20",
        "keyboard: qwerty",
        "mapping=a, pinned=true",
        "Row (7) was skipped, and (8) too",
        "Row (a, b) was skipped",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_lists_that_name_a_secret() -> None:
    redactor = Redactor()
    for given in (["SET", "session_token", "S3CRET", "EX", 60], ["mysql", "--password", "S3CRET"]):
        assert "S3CRET" not in redactor.value("command", given)
        assert redactor.value("command", given)[:2] == given[:2]
    assert redactor.value("fields", ["user", "password", "token"]) == ["user", "password", "token"]


def test_rules_of_the_user() -> None:
    redactor = Redactor(keys=["badge"], allowed=["push_token"], emails=True)
    redactor.add_pattern("patient", r"P-\d{6}")
    redactor.add_key("employee no")
    given = {"badge-number": "B7", "push_token": "shown", "employeeNo": 3, "note": "P-123456 of a@b.example"}
    assert redactor.mapping(given) == {
        "badge-number": "[redacted]",
        "push_token": "shown",
        "employeeNo": "[redacted]",
        "note": "[redacted patient] of [redacted]",
    }
    assert redactor.text("badge=B7") == "badge=[redacted]"


def test_cycles_depth_and_size() -> None:
    cycle: dict[str, object] = {"password": "S3CRET"}
    cycle["self"] = cycle
    assert Redactor().value("a", cycle) == {"password": "[redacted]", "self": "[cycle]"}
    deep: list[object] = ["password=S3CRET"]
    for _ in range(50):
        deep = [deep]
    assert "S3CRET" not in str(Redactor().value("a", deep))
    assert len(Redactor().value("a", list(range(5000)))) == 1001
