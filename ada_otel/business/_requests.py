"""Uploads that Flask requests show by themselves.

Hooked is the parsing of a form, which Werkzeug does when the app first asks for ``request.files`` or
``request.form``: a request whose body nobody parses is never read here, and pays nothing.
"""

from __future__ import annotations

from functools import wraps
from time import perf_counter
from typing import Any

from ada_otel._diagnostics import failed
from ada_otel.business._uploads import TOLD, UNKNOWN, count_upload, media_type

#: Most files of one request that are counted one by one.
_MOST = 100


def install() -> None:
    """Watch the form parsing of ``flask.Request``; a second call does nothing."""
    import flask

    original: Any = flask.Request._load_form_data
    if hasattr(original, "_ada_otel_original"):
        return

    @wraps(original)
    def load_form_data(self: Any) -> None:
        if "form" in self.__dict__ or not self.mimetype.startswith("multipart/"):
            original(self)
            return
        started = perf_counter()
        try:
            original(self)
        except Exception as error:
            _safely(_refused, self, error)
            raise
        _safely(_parsed, self, started)

    load_form_data._ada_otel_original = original  # type: ignore[attr-defined]  # found by uninstall()
    flask.Request._load_form_data = load_form_data  # type: ignore[method-assign]


def uninstall() -> None:
    """Give ``flask.Request`` its own parsing back."""
    import flask

    original = getattr(flask.Request._load_form_data, "_ada_otel_original", None)
    if original is not None:
        flask.Request._load_form_data = original  # type: ignore[method-assign]


def _safely(step: Any, *arguments: Any) -> None:
    try:
        step(*arguments)
    except Exception as error:
        failed("Counting the uploads of a request", error)


def _refused(request: Any, error: Exception) -> None:
    # Too large, or no valid form: what was in it is not known.
    if TOLD not in request.environ:
        count_upload(UNKNOWN, None, None, str(getattr(error, "code", None) or type(error).__qualname__))


def _parsed(request: Any, started: float) -> None:
    files = request.__dict__.get("files")
    if not files:
        return
    import flask

    # One field may have several files; one that was left empty comes as a file without a name.
    found = [
        (media_type(sent.mimetype or ""), _size(sent.stream))
        for _, sent in files.items(multi=True)
        if sent.filename
    ]
    if found and flask.has_request_context():

        def counted(response: Any) -> Any:
            _safely(_answered, request, found, response.status_code, started)
            return response

        flask.after_this_request(counted)


def _answered(request: Any, found: list[tuple[str, int | None]], status: int, started: float) -> None:
    if TOLD in request.environ:
        return
    seconds = perf_counter() - started
    error = str(status) if status >= 400 else None
    for kind, size in found[:_MOST]:
        count_upload(kind, size, seconds, error)


def _size(stream: Any) -> int | None:
    """The bytes of a file that was parsed, with its position as it was."""
    try:
        position = stream.tell()
        size = stream.seek(0, 2)
        stream.seek(position)
    except (AttributeError, OSError, ValueError):  # an app's own stream, which cannot seek
        return None
    return size if isinstance(size, int) else None
