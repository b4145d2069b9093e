"""Pages of ours in front of a Flask application: no span, no request metric, no request log for them.

Each request's path is looked up in one table. That is all that other requests see of it, see docs/health.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ada_otel._diagnostics import failed
from ada_otel.pipeline.fork import on_fork

if TYPE_CHECKING:
    from flask import Flask


@dataclass(frozen=True)
class Answer:
    """What a page says.

    Attributes:
        body: The bytes.
        content_type: Of the body.
        status: The WSGI status line.
        headers: Further headers.
    """

    body: bytes
    content_type: str = "application/json"
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = field(default=())


#: Gives the answer to a request, from its WSGI environment (PEP 3333).
Page = Callable[[dict[str, Any]], Answer]


class _Table:
    """The pages of this process, and what waits for its first request."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.below: dict[str, str] = {}
        self.at_first_request: list[Callable[[], None]] = []
        self.waiting: list[Callable[[], None]] = []
        on_fork(self.renew)

    def renew(self) -> None:
        """Have a forked process a first request of its own."""
        self.waiting = list(self.at_first_request)

    def begin(self) -> None:
        """Do what waits for the first request."""
        waiting, self.waiting = self.waiting, []
        for start in waiting:
            try:
                start()
            except Exception as error:  # noqa: PERF203  # each for itself
                failed("Starting at the first request", error)


table = _Table()


def add(path: str, page: Page, below: str = "") -> None:
    """Answer GET and HEAD of ``path``, with or without a slash at its end, in each application.

    Args:
        path: Of the page.
        page: Gives the answer.
        below: The path of the page that this one is below, if any.
    """
    for written in (path, f"{path}/"):
        table.pages[written] = page
        table.below[written] = below


def taken(path: str) -> bool:
    """Whether there is a page at ``path`` already."""
    return path in table.pages


def at_first_request(start: Callable[[], None]) -> None:
    """Call ``start`` when this process, or one that is forked from it, gets its first request.

    That is after any fork of a server, and a process that serves nothing has no thread for it.
    """
    table.at_first_request.append(start)
    table.waiting.append(start)


def forget() -> None:
    """Take all pages away; for tests."""
    table.pages.clear()
    table.below.clear()
    table.at_first_request.clear()
    table.waiting.clear()


def install() -> None:
    """Put the pages in front of every Flask application of the process; a second time does nothing."""
    from ada_otel.web import _front  # it needs this module

    _front.install()


def has_route(app: Flask, path: str) -> bool:
    """Whether the application has this very path itself: its page wins. A catch-all does not.

    A rule with a variable below the path of our pages, ``/health/<part>``, is no catch-all.
    """
    wanted = path.rstrip("/")
    if any(rule.rule.rstrip("/") == wanted for rule in app.url_map.iter_rules()):
        return True
    below = table.below.get(path)
    if not below:
        return False
    from werkzeug.exceptions import HTTPException

    try:
        rule, _ = app.url_map.bind("").match(path, method="GET", return_rule=True)
    except HTTPException:  # no such rule, none for GET, or a redirection
        return False
    return rule.rule.startswith(f"{below}/")


def answer_with(page: Page, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request with a page (PEP 3333)."""
    method = environ.get("REQUEST_METHOD", "GET")
    if method not in {"GET", "HEAD"}:
        answer = Answer(b"", "text/plain", "405 Method Not Allowed", (("Allow", "GET, HEAD"),))
    else:
        try:
            answer = page(environ)
        except Exception as error:
            failed("Answering for telemetry", error)
            answer = Answer(b"", "text/plain", "500 Internal Server Error")
    headers = [
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
        *answer.headers,
    ]
    start_response(answer.status, headers)
    return [] if method == "HEAD" else [answer.body]
