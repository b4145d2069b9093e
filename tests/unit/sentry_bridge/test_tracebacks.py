"""Tracebacks that Python really wrote, read back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ada_otel.sentry_bridge import parse_traceback
from ada_otel.sentry_bridge.tracebacks import ParsedException
from tests.unit.sentry_bridge.samples import raised, text_of


class ShopError(Exception):
    pass


BASKETS: dict[str, int] = {}


def lookup() -> None:
    BASKETS["basket"]


def chained(*, explicit: bool) -> None:
    try:
        lookup()
    except KeyError as error:
        if explicit:
            raise ShopError("no basket: 17") from error
        raise ShopError("no basket: 17")  # noqa: B904


def parsed(act: Callable[[], Any]) -> ParsedException:
    found = parse_traceback(text_of(raised(act)))
    assert found is not None
    return found


def test_type_value_and_frames() -> None:
    found = parsed(lookup)
    assert (found.type, found.value, found.cause) == ("KeyError", "'basket'", None)
    assert [frame.function for frame in found.frames] == ["raised", "lookup"]
    last = found.frames[-1]
    assert last.path == __file__
    assert last.text == 'BASKETS["basket"]'
    assert last.line == lookup.__code__.co_firstlineno + 1


@pytest.mark.parametrize(("explicit", "link"), [(True, "__cause__"), (False, "__context__")])
def test_both_kinds_of_chain(explicit: bool, link: str) -> None:
    found = parsed(lambda: chained(explicit=explicit))
    assert found.type == f"{__name__}.ShopError"
    assert found.value == "no basket: 17"
    assert found.link == link
    assert found.cause is not None
    assert found.cause.type == "KeyError"
    assert [frame.function for frame in found.cause.frames] == ["chained", "lookup"]


def test_a_text_of_several_lines_and_one_that_looks_like_a_traceback() -> None:
    text = (
        'first\n\nTraceback (most recent call last):\n  File "/x.py", line 3, in nowhere\n    no()\nlast: 1'
    )

    def act() -> None:
        raise ShopError(text)

    found = parsed(act)
    assert found.value == text
    assert [frame.function for frame in found.frames] == ["raised", "act"]


def test_names_with_locals_and_no_text() -> None:
    class InnerError(Exception):
        pass

    def act() -> None:
        raise InnerError

    found = parsed(act)
    assert found.type.endswith("test_names_with_locals_and_no_text.<locals>.InnerError")
    assert found.value == ""


def test_a_syntax_error_has_no_frame_of_the_source_it_names() -> None:
    found = parsed(lambda: compile("x = = 2", "given.py", "exec"))
    assert found.type == "SyntaxError"
    assert [frame.function for frame in found.frames] == ["raised", "<lambda>"]


def test_repeated_frames_that_python_leaves_out() -> None:
    def forever(number: int) -> None:
        forever(number + 1)

    found = parsed(lambda: forever(0))
    assert found.type == "RecursionError"
    assert {frame.function for frame in found.frames[2:]} == {"forever"}
    assert len(found.frames) < 20


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_groups_in_groups_with_chains_inside_and_around() -> None:
    import builtins

    group: Any = builtins.ExceptionGroup  # type: ignore[attr-defined,unused-ignore]

    def act() -> None:
        members = [
            raised(lambda: int("x")),
            group("inner", [raised(lambda: chained(explicit=True)), OSError("disk")]),
            raised(lookup),
        ]
        try:
            lookup()
        except KeyError as error:
            try:
                raise group("outer", members) from error
            except Exception:
                raise ShopError("after all")  # noqa: B904

    found = parsed(act)
    assert (found.type.rpartition(".")[2], found.value, found.link) == (
        "ShopError",
        "after all",
        "__context__",
    )
    outer = found.cause
    assert outer is not None
    assert (outer.type, outer.value, outer.link) == (
        "ExceptionGroup",
        "outer (3 sub-exceptions)",
        "__cause__",
    )
    assert [frame.function for frame in outer.frames] == ["act"]
    assert outer.cause is not None
    assert outer.cause.type == "KeyError"
    assert [member.type for member in outer.members] == ["ValueError", "ExceptionGroup", "KeyError"]
    inner = outer.members[1]
    assert [member.type.rpartition(".")[2] for member in inner.members] == ["ShopError", "OSError"]
    assert inner.members[0].cause is not None
    assert inner.members[0].cause.type == "KeyError"
    assert [frame.function for frame in outer.members[2].frames] == ["raised", "lookup"]


def test_a_traceback_that_was_cut_off_keeps_its_frames() -> None:
    text = text_of(raised(lambda: chained(explicit=True)))
    cut = text[: text.rindex("ShopError") - 40]
    found = parse_traceback(cut)
    assert found is not None
    assert found.cause is not None
    assert found.cause.type == "KeyError"


@pytest.mark.parametrize(
    "text", ["", "\n\n", "   ", "…", "| | |", "  + Exception Group Traceback (most recent call last):"]
)
def test_no_traceback(text: str) -> None:
    assert parse_traceback(text) is None


@pytest.mark.parametrize(
    "line",
    [
        '  File "',
        '  File "a", line 1, in f\n',
        "  | ",
        "    +-+---- 1 ----\n",
        "  +-+---- 1 ----\n",
        "    ^^^ ~~~\n",
        "a" * 100,
    ],
)
def test_hostile_text_takes_linear_time(line: str) -> None:
    began = time.process_time()
    parse_traceback(line * (1_000_000 // len(line)))
    assert time.process_time() - began < 5
