"""Health: whether the process answers, whether it can serve, and what is wrong; never by waiting.

See docs/health.md for the pages, and :mod:`ada_otel.health` for checks of the app's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ada_otel.web import _pages

if TYPE_CHECKING:
    from flask import Flask

    from ada_otel.settings import Settings
    from ada_otel.web.health._runner import Runner


class _Health:
    """What was started in this process, or before it was forked."""

    def __init__(self) -> None:
        self.runner: Runner | None = None


_health = _Health()


def start(settings: Settings) -> None:
    """Serve the pages in every Flask application; the checks begin with a process's first request."""
    if not settings.health or _health.runner is not None:
        return
    from ada_otel.web._access import Access
    from ada_otel.web.health import _measure
    from ada_otel.web.health._answers import Answers
    from ada_otel.web.health._watch import Watch

    watch = Watch(settings)
    runner = _health.runner = watch.runner
    answers = Answers(runner.reports, watch.history, Access(settings.health_token), settings.health_verbose)
    for path, page in answers.pages(settings.health_prefix).items():
        _pages.add(path, page, below="" if path == settings.health_prefix else settings.health_prefix)
    _pages.at_first_request(runner.start)
    _measure.register(runner.known)
    _pages.install()


def attach(_app: Flask) -> None:
    """Serve the pages in an application that was handed over, where Flask came after :func:`start`."""
    if _health.runner is not None:
        _pages.install()


def stop() -> None:
    """Stop the checks and take the pages away; for tests."""
    if _health.runner is not None:
        _health.runner.stop()
    _health.runner = None
    _pages.forget()
