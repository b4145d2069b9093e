from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ada_otel.analysis import LogEntry, QueryError, Selection, _dsl, _match
from ada_otel.analysis.query import And, Everything, Leaf, Not, Or, Raw, Span, parse
from ada_otel.analysis.times import milliseconds, parse_length, parse_time, parse_timestamp, period

UTC = timezone.utc
NOW = datetime(2026, 11, 23, 10, 30, 15, 250_000, UTC)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", Everything()),
        (" * ", Everything()),
        ("*:*", Everything()),
        ("a", Leaf(None, "a")),
        ("a b", And((Leaf(None, "a"), Leaf(None, "b")))),
        ("a AND b OR c", Or((And((Leaf(None, "a"), Leaf(None, "b"))), Leaf(None, "c")))),
        ("a && (b || c)", And((Leaf(None, "a"), Or((Leaf(None, "b"), Leaf(None, "c")))))),
        ("NOT a !b -c", And((Not(Leaf(None, "a")), Not(Leaf(None, "b")), Not(Leaf(None, "c"))))),
        ("+a^2", Leaf(None, "a")),
        ("ORDER ANDROID NOTE", And((Leaf(None, "ORDER"), Leaf(None, "ANDROID"), Leaf(None, "NOTE")))),
        ("e-mail", Leaf(None, "e-mail")),
        ('level:"ERROR"', Leaf("level", "ERROR", phrase=True)),
        ("level: ERROR", Leaf("level", "ERROR")),
        ("user_id:(1 OR 2)", Or((Leaf("user_id", "1"), Leaf("user_id", "2")))),
        ("line:[1 TO 5}", Span("line", "1", "5", with_high=False)),
        ('timestamp:{"a b" TO *]', Span("timestamp", "a b", None, with_low=False)),
        ("line:>=5", Span("line", "5", None)),
        ("line:<5", Span("line", None, "5", with_high=False)),
        ("tim?out*", Leaf(None, "tim?out*", pattern=True)),
        (r"a\*b", Leaf(None, "a*b")),
        (r"a\:b", Leaf(None, "a:b")),
        (r"a\*b*\:", Leaf(None, r"a\*b*:", pattern=True)),
        ("_exists_:user_id", Leaf("user_id", "*", pattern=True)),
        ("https://a/b?", Leaf(None, "https://a/b?", pattern=True)),
        ("127.0.0.1:8080", Leaf(None, "127.0.0.1:8080")),
        ("/items/5", Leaf(None, "/items/5")),
        ("message:/a.*b/", Raw("message", "/a.*b/")),
        ("word~2", Raw(None, "word~2")),
        ('"a b"~2', Raw(None, '"a b"~2')),
    ],
)
def test_queries(text: str, tree: object) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("(a", "column 3: a ')' is missing"),
        ("a)", "column 2: this ')' closes nothing"),
        ('"a', 'column 1: the closing " is missing'),
        ("level:", "column 7: a value was expected after 'level'"),
        ("a AND", "column 6: a word was expected at the end"),
        ("OR a", "column 1: a word was expected here"),
        ("line:[1 TO", "column 6: '[' was not expected"),
        ("(" * 100 + "a", "nested too deeply"),
        ("a" * 10_001, "10001 characters are too many"),
    ],
)
def test_wrong_queries_name_the_place(text: str, problem: str) -> None:
    with pytest.raises(QueryError) as raised:
        parse(text)
    assert problem in str(raised.value)


@given(st.text(st.sampled_from('ab1:"()[]{}\\*?~^+-!&|/<> TOANDRNé.'), max_size=40))
def test_any_text_is_a_query_or_an_error_with_a_column(text: str) -> None:
    entry = LogEntry(NOW, "ERROR", "a b1")
    try:
        tree = parse(text)
        _dsl.of_node(tree, NOW)
        _match.of_node(tree, NOW)(entry)
    except QueryError as error:
        assert str(error).startswith("query")


@pytest.mark.parametrize(
    ("text", "first", "length"),
    [
        ("2026", datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=365)),
        ("2026-12", datetime(2026, 12, 1, tzinfo=UTC), timedelta(days=31)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC), timedelta(days=1)),
        ("2026-11-23T10", datetime(2026, 11, 23, 10, tzinfo=UTC), timedelta(hours=1)),
        ("2026-11-23T10:30+02:00", datetime(2026, 11, 23, 8, 30, tzinfo=UTC), timedelta(minutes=1)),
        ("2026-11-23T10:30:15.25Z", NOW, timedelta(milliseconds=1)),
        ("now-1h", NOW - timedelta(hours=1), timedelta(milliseconds=1)),
        ("now/d", datetime(2026, 11, 23, tzinfo=UTC), timedelta(days=1)),
        ("now-1d/M", datetime(2026, 11, 1, tzinfo=UTC), timedelta(days=30)),
        ("1700000000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), timedelta(milliseconds=1)),
    ],
)
def test_a_time_in_a_query_is_all_that_it_names(text: str, first: datetime, length: timedelta) -> None:
    begin, end = period(text, NOW)
    assert begin == milliseconds(first)
    assert end - begin + 1 == length / timedelta(milliseconds=1)


@pytest.mark.parametrize("text", ["2026-13", "2026-02-30", "tomorrow", "now+", "0000", "12", "now/y"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(QueryError, match="is no time"):
        period(text, NOW)


def test_times_of_options() -> None:
    assert parse_time("2h", NOW) == NOW - timedelta(hours=2)
    assert parse_time("now", NOW) == NOW
    assert parse_time("now-90s", NOW) == NOW - timedelta(seconds=90)
    assert parse_time("2026-11-23", NOW) == datetime(2026, 11, 23, tzinfo=UTC)
    assert parse_time("2026-11-23 10:00", NOW) == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert parse_time(datetime(2026, 1, 1), NOW) == datetime(2026, 1, 1, tzinfo=UTC)  # noqa: DTZ001
    assert parse_length("1.5h") == timedelta(minutes=90)
    for text in ("", "yesterday", "2x", "-", "2026-99-01"):
        with pytest.raises(QueryError, match="is no time"):
            parse_time(text, NOW)
    for text in ("0h", "h", "-1h", "1e9w", "99999999w"):
        with pytest.raises(QueryError, match="is no length of time"):
            parse_length(text, "--interval")


@pytest.mark.parametrize(
    "value",
    [
        "1700000000000.123456",
        1700000000000.123456,
        "2023-11-14T22:13:20.000123456Z",
        1700000000.000123,
        "1700000000.000123",
    ],
)
def test_timestamps_of_documents_and_files(value: object) -> None:
    found = parse_timestamp(value)
    assert found is not None
    assert abs(found - datetime(2023, 11, 14, 22, 13, 20, 123, tzinfo=UTC)) <= timedelta(microseconds=1)


@pytest.mark.parametrize("value", [None, True, "", "soon", {}, "nan", "inf", 1e300, "2026-02-30"])
def test_what_is_no_timestamp(value: object) -> None:
    assert parse_timestamp(value) is None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"level": "loud"}, "level: 'loud' is none; write one of trace, debug"),
        ({"trace": "xyz"}, "trace: 'xyz' is no trace id"),
        ({"start": "1h", "end": "2h"}, "is not after since"),
    ],
)
def test_wrong_filters(arguments: dict[str, str], problem: str) -> None:
    with pytest.raises(QueryError, match=problem):
        Selection.of("", **arguments)


def test_the_first_digits_of_a_trace_are_enough() -> None:
    entry = LogEntry(NOW, "INFO", "x", trace_id="abcd" + "0" * 28)
    assert _match.of_selection(Selection(trace="ABCD"), NOW)(entry)
    assert not _match.of_selection(Selection(trace="abce"), NOW)(entry)
