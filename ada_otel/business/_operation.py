"""What operations share: the way to decorate a function with one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from typing_extensions import Self

P = ParamSpec("P")
T = TypeVar("T")


class Operation:
    """A context manager that is also a decorator: each call of the function gets an operation of its own."""

    def _fresh(self) -> Self:
        raise NotImplementedError

    def __enter__(self) -> Self:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function or a coroutine function."""
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self._fresh():
                    return await function(*args, **kwargs)

            return awaited  # type: ignore[return-value]  # T is the coroutine

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            with self._fresh():
                return function(*args, **kwargs)

        return called
