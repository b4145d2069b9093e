"""Log records become Sentry events. Sentry's own normaliser, sentry_relay, judges each of them."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import pytest

from ada_otel.sentry_bridge import EventSettings, events_of
from ada_otel.sentry_bridge.envelope import MAX_EVENT_BYTES, SMALL_EVENT_BYTES, trimmed
from ada_otel.sentry_bridge.records import UndecodableError, decode, unpack
from tests.unit.sentry_bridge.samples import (
    RESOURCE,
    SPAN,
    TRACE,
    exception_attributes,
    log_record,
    raised,
    request_of,
)


def fail() -> None:
    raise ValueError("no such item")


def fail_in_a_chain() -> None:
    try:
        fail()
    except ValueError as error:
        raise RuntimeError("the order failed") from error


def events(*records: Any, settings: EventSettings | None = None, **options: Any) -> list[dict[str, Any]]:
    body = request_of(*records, **options).SerializeToString()
    found = events_of(decode(body), settings or EventSettings())
    for event in found:
        relay_accepts(event)
    return found


def relay_accepts(event: dict[str, Any]) -> None:
    """Sentry's normaliser reports no error, and keeps id and type."""
    processing = pytest.importorskip("sentry_relay.processing")
    normalizer = processing.StoreNormalizer(
        project_id=1, protocol_version="7", client="ada/0", remove_other=True, is_renormalize=False
    )
    normal = normalizer.normalize_event(json.loads(trimmed(event, MAX_EVENT_BYTES)))
    assert not normal.get("errors"), normal["errors"]
    assert normal["type"] == ("error" if "exception" in event else "default")
    assert normal["event_id"] == event["event_id"]


def of(error: BaseException, **attributes: Any) -> Any:
    return log_record(attributes={**exception_attributes(error), **attributes})


def test_all_that_an_issue_needs() -> None:
    (event,) = events(
        of(
            raised(fail_in_a_chain),
            **{
                "user.id": "u-17",
                "http.request.method": "POST",
                "http.route": "/buy/<int:item>",
                "url.scheme": "https",
                "server.address": "shop.test",
                "server.port": 443,
                "url.path": "/buy/3",
                "url.query": "a=1",
                "user_agent.original": "curl/8",
                "request.id": "r-1",
                "basket": [1, 2],
            },
        )
    )
    assert event["level"] == "error"
    assert event["timestamp"] == 1_700_000_000.0
    assert event["platform"] == "python"
    assert event["logger"] == "shop.orders"
    assert event["logentry"] == {"formatted": "it failed"}
    assert (event["release"], event["environment"], event["server_name"]) == ("shop@1.2.3", "test", "node-7")
    assert event["user"] == {"id": "u-17"}
    assert event["transaction"] == "POST /buy/<int:item>"
    assert event["request"] == {
        "method": "POST",
        "url": "https://shop.test/buy/3",
        "query_string": "a=1",
        "headers": {"User-Agent": "curl/8"},
    }
    assert event["tags"] == {
        "service.name": "shop",
        "service.instance.id": "worker-1",
        "http.route": "/buy/<int:item>",
        "http.request.method": "POST",
        "request.id": "r-1",
    }
    assert event["contexts"]["trace"] == {"type": "trace", "trace_id": TRACE, "span_id": SPAN}
    assert event["contexts"]["otel"]["resource"] == RESOURCE
    assert event["extra"] == {"basket": [1, 2]}


def test_exceptions_oldest_cause_first_with_lines_around() -> None:
    (event,) = events(of(raised(fail_in_a_chain), **{"code.function.name": "log_exception"}))
    cause, raised_last = event["exception"]["values"]
    assert (cause["type"], cause["value"]) == ("ValueError", "no such item")
    assert (raised_last["type"], raised_last["value"]) == ("RuntimeError", "the order failed")
    assert cause["mechanism"] == {"type": "chained", "exception_id": 1, "parent_id": 0, "source": "__cause__"}
    assert raised_last["mechanism"] == {"type": "logging", "exception_id": 0, "handled": False}
    frame = cause["stacktrace"]["frames"][-1]
    assert frame["function"] == "fail"
    assert frame["in_app"] is True
    assert frame["abs_path"] == __file__
    assert frame["filename"].endswith("test_events.py")
    assert frame["context_line"] == '    raise ValueError("no such item")'
    assert frame["pre_context"][-1] == "def fail() -> None:"
    assert len(frame["post_context"]) == 5


def test_frames_of_packages_and_of_the_standard_library_are_not_the_apps() -> None:
    import yaml

    (event,) = events(of(raised(lambda: yaml.safe_load("a: ["))), of(raised(lambda: json.loads("{"))))[:1]
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    inside = [frame for frame in frames if frame["module"].startswith("yaml")]
    assert inside
    assert not any(frame["in_app"] for frame in inside)
    assert inside[0]["filename"].startswith("yaml/")
    second = events(of(raised(lambda: json.loads("{"))))[0]
    decoder = second["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert (decoder["filename"], decoder["in_app"]) == ("json/decoder.py", False)
    chosen = events(of(raised(lambda: yaml.safe_load("a: ["))), settings=EventSettings(in_app=("yaml",)))[0]
    assert chosen["exception"]["values"][-1]["stacktrace"]["frames"][-1]["in_app"] is True


@pytest.mark.parametrize(
    ("path", "filename", "own"),
    [
        ("/srv/releases/20240101/shop/orders.py", "shop/orders.py", True),
        ("C:\\app\\shop\\orders.py", "shop/orders.py", True),
        ("C:\\Python312\\Lib\\json\\decoder.py", "json/decoder.py", False),
        ("/usr/lib/python3/dist-packages/flask/app.py", "flask/app.py", False),
        ("/opt/venv/lib64/python3.12/site-packages/flask/app.py", "flask/app.py", False),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", False),
        ("<string>", "<string>", False),
    ],
)
def test_file_names_are_the_same_on_each_machine(path: str, filename: str, own: bool) -> None:
    text = f'Traceback (most recent call last):\n  File "{path}", line 3, in act\n    go()\nKeyError: 1'
    (event,) = events(log_record(attributes={"exception.type": "KeyError", "exception.stacktrace": text}))
    (frame,) = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert (frame["filename"], frame["in_app"], frame["abs_path"]) == (filename, own, path)
    assert frame["context_line"] == "go()"
    assert "pre_context" not in frame


def test_source_is_sent_only_of_python_files_whose_line_fits(tmp_path: Any) -> None:
    def lines_for(name: str, shown: str) -> bool:
        file = tmp_path / name
        file.write_text("secret before\ngo()\nsecret after\n")
        text = (
            f'Traceback (most recent call last):\n  File "{file}", line 2, in act\n    {shown}\nKeyError: 1'
        )
        (event,) = events(log_record(attributes={"exception.stacktrace": text}))
        return "secret" in json.dumps(event)

    assert lines_for("code.py", "go()")
    assert not lines_for("code.py", "other()")
    assert not lines_for("shadow", "go()")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_an_exception_group_is_a_tree() -> None:
    import builtins

    group: Any = builtins.ExceptionGroup  # type: ignore[attr-defined,unused-ignore]
    members = [raised(fail), raised(fail_in_a_chain)]

    def act() -> None:
        raise group("both", members)

    (event,) = events(of(raised(act)))
    values = {value["mechanism"]["exception_id"]: value for value in event["exception"]["values"]}
    assert event["exception"]["values"][-1] is values[0]
    assert values[0]["mechanism"]["is_exception_group"] is True
    tree = {
        number: (value["type"], value["mechanism"].get("parent_id"), value["mechanism"].get("source"))
        for number, value in values.items()
    }
    assert tree == {
        0: ("ExceptionGroup", None, None),
        1: ("ValueError", 0, "exceptions[0]"),
        2: ("RuntimeError", 0, "exceptions[1]"),
        3: ("ValueError", 2, "__cause__"),
    }


def test_attributes_win_over_a_traceback_that_was_cut_off() -> None:
    attributes = exception_attributes(raised(fail_in_a_chain))
    stack = attributes["exception.stacktrace"]
    attributes["exception.stacktrace"] = stack[: stack.index("ValueError: no such item") + 24]
    (event,) = events(log_record(attributes=attributes))
    assert [value["type"] for value in event["exception"]["values"]] == ["ValueError", "RuntimeError"]


def test_which_records_become_events_and_their_levels() -> None:
    error = exception_attributes(raised(fail))
    records = [log_record(attributes=error, severity=number) for number in (0, 1, 5, 9, 13, 17, 21, 24)]
    assert [event["level"] for event in events(*records)] == [
        "error",
        "debug",
        "debug",
        "info",
        "warning",
        "error",
        "fatal",
        "fatal",
    ]
    assert len(events(*records, settings=EventSettings(level=17))) == 4
    plain = [log_record(severity=number) for number in (0, 9, 17, 20, 21)]
    (fatal,) = events(*plain)
    assert (fatal["level"], fatal["logentry"]) == ("fatal", {"formatted": "it failed"})
    assert "exception" not in fatal


def test_breadcrumbs_are_the_lines_before_in_the_same_trace() -> None:
    start = 1_700_000_000_000_000_000
    error = exception_attributes(raised(fail))
    (event,) = events(
        log_record("after", time=start + 900, severity=9),
        log_record("failed", error, time=start + 500),
        log_record("first", time=start + 100, severity=9),
        log_record("other trace", time=start + 150, severity=9, trace="f" * 32),
        log_record("second", time=start + 200, severity=13),
        log_record("no trace", time=start + 250, severity=9, trace="", span=""),
    )
    crumbs = event["breadcrumbs"]["values"]
    assert [(crumb["message"], crumb["level"], crumb["category"]) for crumb in crumbs] == [
        ("first", "info", "shop.orders"),
        ("second", "warning", "shop.orders"),
    ]


def test_the_same_record_has_the_same_id_and_any_other_another() -> None:
    error = exception_attributes(raised(fail))
    start = 1_700_000_000_000_000_000
    one, later = log_record(attributes=error), log_record(attributes=error, time=start + 1)
    other_span = log_record(attributes=error, span="c" * 16)
    ids = [event["event_id"] for event in events(one, later, other_span, one)]
    assert len(set(ids)) == 4
    assert all(len(number) == 32 for number in ids)
    # Other batches, other order: the same ids.
    assert [event["event_id"] for event in events(later, log_record("x"), one)] == [ids[1], ids[0]]
    assert events(one, resource={**RESOURCE, "service.instance.id": "worker-2"})[0]["event_id"] not in ids


def test_a_uid_decides_alone() -> None:
    error = exception_attributes(raised(fail))
    first = log_record(attributes={**error, "log.record.uid": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})
    again = log_record("put otherwise", {**error, "log.record.uid": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, time=5)
    other = log_record(attributes={**error, "log.record.uid": "01ARZ3NDEKTSV4RRFFQ69G5FAW"})
    ids = [event["event_id"] for event in events(first, again, other)]
    assert ids[0] == ids[1] != ids[2]


def test_another_languages_trace_is_kept_as_text() -> None:
    attributes = {"exception.type": "java.io.IOException", "exception.message": "gone"}
    stack = "java.io.IOException: gone\n\tat shop.Orders.read(Orders.java:3)"
    (event,) = events(
        log_record(attributes={**attributes, "exception.stacktrace": stack}),
        resource={"telemetry.sdk.language": "java"},
    )
    (value,) = event["exception"]["values"]
    assert (event["platform"], value["type"], value["module"]) == ("java", "IOException", "java.io")
    assert event["extra"]["exception.stacktrace"] == stack


def test_values_that_sentry_or_json_would_refuse() -> None:
    (event,) = events(
        of(
            raised(fail),
            **{
                "nan": math.nan,
                "big": 1 << 60,
                "long": "x" * 100_000,
                "deep": {"a": {"b": {"c": {"d": {"e": 1}}}}},
                "error.type": "two\nlines " + "y" * 500,
                "\ud7ff bad key": True,
                "nul": "a\0b",
            },
        ),
        resource={
            "service.name": "a/b\n",
            "service.version": "1 2",
            "deployment.environment.name": "x/y" * 40,
        },
    )
    assert event["extra"]["nan"] == "nan"
    assert event["extra"]["big"] == str(1 << 60)
    assert len(event["extra"]["long"]) == 4096
    assert event["release"] == "a-b-@1-2"
    assert len(event["environment"]) == 64
    assert "\n" not in event["tags"]["error.type"]
    assert len(event["tags"]["error.type"]) == 200


def test_large_events_are_trimmed_below_the_limit() -> None:
    lines = "\n".join(f'  File "/srv/shop/f{n}.py", line 1, in call{n}\n    {"c" * 400}' for n in range(5000))
    stack = f"Traceback (most recent call last):\n{lines}\nValueError: {'z' * 200_000}"
    record = log_record(
        "m" * 1_000_000,
        {
            "exception.type": "ValueError",
            "exception.message": "z" * 200_000,
            "exception.stacktrace": stack,
            **{f"key{n}": "v" * 10_000 for n in range(500)},
        },
    )
    crumbs = [log_record("c" * 5000, time=1_600_000_000_000_000_000 + n, severity=9) for n in range(300)]
    (event,) = events(*crumbs, record)
    frames = event["exception"]["values"][0]["stacktrace"]["frames"]
    assert len(frames) == 250
    assert (frames[0]["function"], frames[-1]["function"]) == ("call0", "call4999")
    assert len(trimmed(event, MAX_EVENT_BYTES)) <= MAX_EVENT_BYTES
    assert len(trimmed(event, SMALL_EVENT_BYTES)) <= SMALL_EVENT_BYTES
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert event["exception"]["values"][0]["stacktrace"]["frames"][-1]["function"] == "call4999"
    relay_accepts(event)


@pytest.mark.parametrize(
    ("body", "encoding", "what"),
    [
        (b"\xff\xff\xff", "", "no ExportLogsServiceRequest"),
        (b"no gzip", "gzip", "not gzip"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "gzip", "cut off"),
        (b"", "br", "'br' is not known"),
    ],
)
def test_what_cannot_be_decoded_is_named(body: bytes, encoding: str, what: str) -> None:
    with pytest.raises(UndecodableError, match=what):
        decode(unpack(body, encoding))
