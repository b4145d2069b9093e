"""What stands in front of every Flask application: our pages, then request ids and the request log.

The hook is ``Flask.__call__``, what WSGI servers call, outside of all that wraps ``Flask.wsgi_app``: every
application is reached, whenever it was made, with the fast path and without. It is one function for both, as
each that is called costs a request 2 µs.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ada_otel.web import requests
from ada_otel.web._pages import answer_with, has_route, table
from ada_otel.web._served import Served, respond
from ada_otel.web.context import _current

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["install"]

_INSTALLED = "_ada_otel_front"


def install() -> None:
    """Stand in front of every Flask application of the process, if Flask is there; done once."""
    flask = sys.modules.get("flask.app")
    if flask is None or getattr(flask.Flask, _INSTALLED, False):
        return
    original: Callable[..., Iterable[bytes]] = flask.Flask.__call__
    pages, options = table.pages, requests.options

    @functools.wraps(original)
    def call(app: Flask, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if table.waiting:
            table.begin()
        page = pages.get(environ.get("PATH_INFO", ""))
        if page is not None and not has_route(app, environ["PATH_INFO"]):
            return answer_with(page, environ, start_response)
        outer = _current.get()
        if not options.on or (outer is not None and outer.environ is environ):
            return original(app, environ, start_response)
        request = Served(environ)
        request.named = True
        token = _current.set(request)
        try:
            body = original(app, environ, functools.partial(respond, request, start_response))
        except BaseException as error:
            options.log.completed(request, error)
            raise
        else:
            if request.length is None and not isinstance(body, environ.get("wsgi.file_wrapper", ())):
                return requests.Body(body, request)
            options.log.completed(request)
            return body
        finally:
            _current.reset(token)

    flask.Flask.__call__ = call
    setattr(flask.Flask, _INSTALLED, True)
