from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from opentelemetry.trace.status import StatusCode

from ada_otel import business

from .conftest import Telemetry


class TestAi:
    def test_success_has_a_span_and_all_metrics(self, telemetry: Telemetry) -> None:
        with (
            telemetry.tracer.start_as_current_span("request"),
            business.ai_operation(model="m-1", kind="chat", provider="acme") as op,
        ):
            op.tokens(input=10)
            op.tokens(output=4)
            op.tokens(output=3)
            op.cost(Decimal("0.25"), "usd")
        span, request = telemetry.spans()
        assert (span.name, span.kind.name, span.parent) == ("chat m-1", "CLIENT", request.context)
        assert dict(span.attributes) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m-1",
            "gen_ai.provider.name": "acme",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 7,
            "ada.ai.cost.USD": 0.25,
        }
        points = telemetry.points()
        # ada.outcome, gen_ai.operation.name, gen_ai.provider.name, gen_ai.request.model
        assert points["ada.ai.operations"] == {("success", "chat", "acme", "m-1"): 1}
        assert points["gen_ai.client.token.usage"] == {
            ("chat", "acme", "m-1", "input"): (1, 10),
            ("chat", "acme", "m-1", "output"): (1, 7),
        }
        assert points["ada.cost"] == {("ai", "USD"): 0.25}
        assert points["gen_ai.client.operation.duration"][("chat", "acme", "m-1")][0] == 1
        assert telemetry.warnings() == []

    def test_exception_goes_on_and_is_a_failure_by_its_class(self, telemetry: Telemetry) -> None:
        with pytest.raises(TimeoutError, match="late"), business.ai_operation(model="m"):
            raise TimeoutError("late")
        (span,) = telemetry.spans()
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == "TimeoutError"
        assert [event.name for event in span.events] == ["exception"]
        assert telemetry.points()["ada.ai.operations"] == {("failure", "TimeoutError", "chat", "m"): 1}

    def test_failure_by_reason(self, telemetry: Telemetry) -> None:
        with business.ai_operation(model="m") as op:
            op.fail("content_filter")
        with business.ai_operation(model="m") as op:
            op.fail(ValueError("x"))
        assert telemetry.points()["ada.ai.operations"] == {
            ("failure", "content_filter", "chat", "m"): 1,
            ("failure", "ValueError", "chat", "m"): 1,
        }

    def test_decorates_functions_and_coroutines(self, telemetry: Telemetry) -> None:
        @business.ai_operation(model="m", kind="embeddings")
        def embed(text: str) -> int:
            return len(text)

        @business.ai_operation(model="m")
        async def ask(text: str) -> str:
            await asyncio.sleep(0)
            return text

        async def both() -> list[str]:
            return list(await asyncio.gather(ask("a"), ask("b")))

        assert (embed("four"), embed("fiver"), asyncio.run(both())) == (4, 5, ["a", "b"])
        assert telemetry.points()["ada.ai.operations"] == {
            ("success", "embeddings", "m"): 2,
            ("success", "chat", "m"): 2,
        }
        assert {span.parent for span in telemetry.spans()} == {None}


def test_money(telemetry: Telemetry) -> None:
    with telemetry.tracer.start_as_current_span("request"):
        business.revenue(10, "EUR", "subscription")
        business.refund(2.5, "eur")
        business.cost(1, "GBP", "sms")
        business.purchase(Decimal("19.99"), "USD")
        business.purchase_failed("card_declined")
    points = telemetry.points()
    assert points["ada.revenue"] == {("EUR", "subscription"): 10, ("USD", "purchase"): 19.99}
    assert points["ada.refunds"] == {("EUR",): 2.5}
    assert points["ada.cost"] == {("sms", "GBP"): 1}
    assert points["ada.purchases"] == {("success",): 1, ("failure", "card_declined"): 1}
    (span,) = telemetry.spans()
    assert span.attributes["ada.revenue.amount"] == 19.99


def test_usage_and_security(telemetry: Telemetry) -> None:
    @business.feature("export")
    def export() -> str:
        return "done"

    with telemetry.tracer.start_as_current_span("request"):
        business.feature_used("search")
        assert export() == "done"
        business.api_request("partner")
        business.api_request("partner", success=False)
        business.sign_in_failed("wrong_password")
        business.permission_denied("admin")
        business.rate_limited()
        business.suspicious_input("path_traversal")
    points = telemetry.points()
    assert points["ada.feature.uses"] == {("search",): 1, ("export",): 1}
    assert points["ada.api.requests"] == {("partner", "success"): 1, ("partner", "failure"): 1}
    assert points["ada.security.events"] == {
        (name,): 1 for name in ("sign_in_failed", "permission_denied", "rate_limited", "suspicious_input")
    }
    (span,) = telemetry.spans()
    assert [(event.name, dict(event.attributes)) for event in span.events] == [
        ("ada.security.sign_in_failed", {"ada.security.reason": "wrong_password"}),
        ("ada.security.permission_denied", {"ada.security.permission": "admin"}),
        ("ada.security.rate_limited", {}),
        ("ada.security.suspicious_input", {"ada.security.what": "path_traversal"}),
    ]


@pytest.mark.parametrize(
    ("severity", "number", "text"),
    [("critical", 21, "FATAL"), ("high", 17, "ERROR"), ("medium", 13, "WARN"), ("low", 9, "INFO")],
)
def test_alert_is_an_event_and_a_count(telemetry: Telemetry, severity: str, number: int, text: str) -> None:
    with telemetry.tracer.start_as_current_span("request") as span:
        business.alert(severity, "Stock is low", {"item": 7, "password": "hunter2"})  # type: ignore[arg-type]  # by word
    (record,) = telemetry.logs()
    assert (record.event_name, record.body) == ("ada.alert", "Stock is low")
    assert (record.severity_number.value, record.severity_text) == (number, text)
    assert record.attributes["ada.alert.severity"] == severity
    assert record.attributes["ada.alert.details.item"] == 7
    assert "hunter2" not in str(record.attributes)
    assert record.trace_id == span.get_span_context().trace_id
    assert telemetry.points()["ada.alerts"] == {(severity,): 1}
