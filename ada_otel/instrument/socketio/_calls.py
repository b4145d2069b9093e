"""Does something around a method of ``Server``, which is a function, or of ``AsyncServer``, a coroutine's.

A wrapper's ``before`` gets the arguments of a call, counts, and gives the :class:`Around` of this call, or
``None`` if there is nothing more to do. So what is recorded is written once, and :func:`plain` and
:func:`awaited` differ in how the method is called only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any

from opentelemetry.context import Context

from ada_otel._diagnostics import failed
from ada_otel.pipeline.current import attach, detach


class Around:
    """What is done around one call; nothing, here. None of its methods raises.

    Attributes:
        arguments: What the method is called with instead, by position and by name.
        listens: Whether it wants to know what the method gives.
    """

    __slots__ = ("arguments",)
    listens = False

    def __init__(self) -> None:
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def __enter__(self) -> None:
        """The method is called next."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It has ended, perhaps by an error."""

    def returned(self, result: Any) -> None:
        """It has ended by giving this."""


class Within(Around):
    """Runs the method in a context."""

    __slots__ = ("_token", "context")

    def __init__(self, context: Context) -> None:
        self.arguments = None
        self.context = context

    def __enter__(self) -> None:
        """Make the context the current one."""
        self._token = attach(self.context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Go back to the one before."""
        detach(self._token)


Before = Callable[..., Around | None]
Method = Callable[..., Any]


def plain(before: Before, original: Method) -> Method:
    """Wrap a function."""

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            around = before(*args, **kwargs)
        except Exception as error:
            _failed(original, error)
            around = None
        if around is None:
            return original(*args, **kwargs)
        with around:
            if around.arguments is not None:
                args, kwargs = around.arguments
            result = original(*args, **kwargs)
            if around.listens:
                around.returned(result)
        return result

    return call


def awaited(before: Before, original: Method) -> Method:
    """Wrap a function that gives an awaitable; what else it may give is handed on."""

    async def call(*args: Any, **kwargs: Any) -> Any:
        try:
            around = before(*args, **kwargs)
        except Exception as error:
            _failed(original, error)
            around = None
        if around is None:
            result = original(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result
        with around:
            if around.arguments is not None:
                args, kwargs = around.arguments
            result = original(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
            if around.listens:
                around.returned(result)
        return result

    return call


def _failed(original: Method, error: Exception) -> None:
    failed(f"Instrumenting Socket.IO ({getattr(original, '__name__', 'a callback')})", error)
