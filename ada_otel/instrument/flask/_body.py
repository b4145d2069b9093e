"""A response body that is sent piece by piece, with its request's span current while it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from opentelemetry.context import Context

from ada_otel.pipeline.current import attach, detach


class _Noting(Protocol):
    error: BaseException | None
    streamed: int | None


class StreamedBody:
    """A streamed body: the span is current while it is made, and ends when it is done or dropped."""

    def __init__(
        self, body: Iterable[bytes], context: Context, request: _Noting, finish: Callable[[], None]
    ) -> None:
        self._body = body
        self._next: Iterator[bytes] = iter(body)
        self._context = context
        self._request = request
        self._finish: Callable[[], None] | None = finish

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        token = attach(self._context)
        try:
            piece = next(self._next)
            self._request.streamed = (self._request.streamed or 0) + len(piece)
        except StopIteration:
            self._end()
            raise
        except BaseException as error:
            self._request.error = error
            self._end()
            raise
        else:
            return piece
        finally:
            detach(token)

    def close(self) -> None:
        """Close the app's body; WSGI servers call this however the response ended."""
        token = attach(self._context)
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            detach(token)
            self._end()

    def _end(self) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish()
