"""AI operations: one span and the metrics of the GenAI semantic conventions for each."""

from __future__ import annotations

from decimal import Decimal
from time import perf_counter
from types import TracebackType
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode
from typing_extensions import Self

from ada_otel._diagnostics import failed
from ada_otel.business import _check
from ada_otel.business._operation import Operation
from ada_otel.business._telemetry import count, record, telemetry

_UNNAMED = "unknown"
_THEN = "It is counted as 'unknown'."


class AiOperation(Operation):
    """One operation of an AI: a context manager, and a decorator of functions and coroutine functions.

    Made by :func:`ada_otel.business.ai_operation`. Its methods may be called until the block ends; what they
    are told is recorded then.
    """

    def __init__(self, model: object, kind: object, provider: object) -> None:
        self._given = (model, kind, provider)
        self._error: str | None = None
        self._tokens: dict[str, int] = {}
        self._costs: dict[str, float] = {}
        self._span: trace.Span = trace.INVALID_SPAN
        self._attributes: dict[str, Any] = {}
        self._token: Any = None
        self._started: float | None = None

    def _fresh(self) -> Self:
        return type(self)(*self._given)

    def __enter__(self) -> Self:
        try:
            self._begin()
        except Exception as error:
            failed("business.ai_operation()", error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(error)
        except Exception as problem:
            failed("business.ai_operation()", problem)

    @_check.safely
    def tokens(self, input: int | None = None, output: int | None = None) -> None:  # noqa: A002  # as GenAI says
        """Say how many tokens were used; several calls add up.

        Args:
            input: Tokens of the prompt.
            output: Tokens of the answer.
        """
        found: dict[str, int] = {}
        for name, given in (("input", input), ("output", output)):
            if given is not None:
                number = _check.amount("ai_operation.tokens", name, given, whole=True)
                if number is None:
                    return
                found[name] = int(number)
        for name, number in found.items():
            self._tokens[name] = self._tokens.get(name, 0) + number

    @_check.safely
    def cost(self, amount: float | Decimal, currency: str) -> None:
        """Say what the operation cost; several calls add up.

        Args:
            amount: In units of the currency, not cents: 0.0021 is a fifth of a cent.
            currency: ISO 4217 code; any other counts as ``OTHER``.
        """
        money = _check.amount("ai_operation.cost", "amount", amount)
        code = _check.currency("ai_operation.cost", currency)
        if money is not None and code is not None:
            self._costs[code] = self._costs.get(code, 0.0) + money

    @_check.safely
    def fail(self, reason: str | BaseException) -> None:
        """Say that the operation failed though no exception leaves the block.

        Args:
            reason: A short name for ``error.type``, such as ``"content_filter"``, or the exception. A text of
                many values is none: it becomes a label.
        """
        self._error = _check.failure("ai_operation.fail", "reason", reason)

    def _begin(self) -> None:
        if self._started is not None:
            _check.wrong("ai_operation", "the operation", self, "entered once; make a new one for each use")
            return
        model, kind, provider = self._given
        attributes = {
            "gen_ai.operation.name": _check.label("ai_operation", "kind", kind, then=_THEN) or _UNNAMED,
            "gen_ai.request.model": _check.label("ai_operation", "model", model, then=_THEN) or _UNNAMED,
        }
        if provider is not None:
            named = _check.label("ai_operation", "provider", provider, then="It is left out.")
            if named is not None:
                attributes["gen_ai.provider.name"] = named
        name = f"{attributes['gen_ai.operation.name']} {attributes['gen_ai.request.model']}"
        self._span = telemetry.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
        self._token = context_api.attach(trace.set_span_in_context(self._span))
        self._attributes = attributes
        self._started = perf_counter()

    def _end(self, error: BaseException | None) -> None:
        token, self._token = self._token, None
        if token is None or self._started is None:
            return
        seconds = perf_counter() - self._started
        try:
            self._record(seconds, error)
        finally:
            # Whatever became of that, the app goes on without this span.
            context_api.detach(token)
            self._span.end()

    def _record(self, seconds: float, error: BaseException | None) -> None:
        span, attributes = self._span, self._attributes
        if error is not None and not isinstance(error, GeneratorExit):
            self._error = type(error).__qualname__[: _check.LONGEST]
        for which, number in self._tokens.items():
            span.set_attribute(f"gen_ai.usage.{which}_tokens", number)
        for code, money in self._costs.items():
            span.set_attribute(f"ada.ai.cost.{code}", money)
        ended = dict(attributes)
        if self._error is not None:
            ended["error.type"] = self._error
            span.set_attribute("error.type", self._error)
            span.set_status(Status(StatusCode.ERROR, self._error))
        # Measured with its own span current, which the exemplars then name.
        record("gen_ai.client.operation.duration", seconds, ended)
        ended["ada.outcome"] = "success" if self._error is None else "failure"
        count("ada.ai.operations", ended)
        for which, number in self._tokens.items():
            record("gen_ai.client.token.usage", number, {**attributes, "gen_ai.token.type": which})
        for code, money in self._costs.items():
            count("ada.cost", {"ada.currency": code, "ada.cost.kind": "ai"}, money)
        if self._error is not None and error is not None:
            span.record_exception(error)  # last: it calls code of the app's own class


@_check.otherwise(lambda: AiOperation(None, "chat", None))
def ai_operation(model: str, kind: str = "chat", provider: str | None = None) -> AiOperation:
    """Trace and count one AI operation; used with ``with``, or as a decorator.

    An exception that leaves the block makes it a failure, by the exception's class, and goes on. As a
    decorator it makes an operation of each call.

    Args:
        model: The model that is asked, as its provider calls it.
        kind: ``chat``, ``embeddings``, ``text_completion``, ``generate_content`` (GenAI conventions), or a
            name of your own.
        provider: Who runs the model, for instance ``openai``, ``anthropic`` or ``aws.bedrock``.
    """
    given: Any = model
    if _check.decorated("ai_operation", "model", given, "Its calls are counted under 'unknown'."):
        return AiOperation(_UNNAMED, kind, provider)(given)  # type: ignore[return-value]  # decorated
    return AiOperation(model, kind, provider)
