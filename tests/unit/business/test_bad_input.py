from __future__ import annotations

import enum
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from ada_otel import business

from .conftest import Telemetry


class Hostile:
    """An object that does not work."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __str__(self) -> str:
        raise RuntimeError("no str")

    def __float__(self) -> float:
        raise RuntimeError("no float")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no eq")


class Colour(str, enum.Enum):
    RED = "red"


CASES: list[tuple[Callable[[Any], object], str, str]] = [
    (lambda x: x.revenue(float("nan"), "EUR"), "revenue(): amount is nan", "a finite number from 0"),
    (lambda x: x.revenue(float("inf"), "EUR"), "revenue(): amount is inf", "a finite number from 0"),
    (lambda x: x.revenue(-1, "EUR"), "revenue(): amount is -1", "a finite number from 0"),
    (lambda x: x.revenue("12", "EUR"), "revenue(): amount is text", "a finite number from 0"),
    (lambda x: x.revenue(True, "EUR"), "revenue(): amount is True", "a finite number from 0"),
    (lambda x: x.revenue(10**400, "EUR"), "amount is an int of more", "a finite number from 0"),
    (lambda x: x.revenue(Decimal("sNaN"), "EUR"), "amount is of type Decimal", "a finite number from 0"),
    (lambda x: x.revenue(1, None), "revenue(): currency is None", "non-empty text"),
    (lambda x: x.refund(-0.01, "EUR"), "refund(): amount is -0.01", "a finite number"),
    (lambda x: x.purchase(Hostile(), "EUR"), "purchase(): amount is of type Hostile", "a finite number"),
    (lambda x: x.cost(1, "EUR", {"a": 1}), "cost(): kind is of type dict", "non-empty text"),
    (lambda x: x.feature_used(Hostile()), "feature_used(): name is of type Hostile", "non-empty text"),
    (lambda x: x.feature_used(""), "feature_used(): name is text of 0 characters", "non-empty text"),
    (lambda x: x.api_request("a", success="yes"), "api_request(): success is text", "True or False"),
    (lambda x: x.uploaded("image/png", size=-5), "uploaded(): size is -5", "a whole number from 0"),
    (lambda x: x.uploaded("image/png", size=1.5), "uploaded(): size is 1.5", "a whole number from 0"),
    (lambda x: x.alert("fatal", "x"), "alert(): severity is text", "one of critical, high, medium, low"),
    (lambda x: x.alert("low", None), "alert(): message is None", "non-empty text"),
    (lambda x: x.user_active(None), "user_active(): user_id is None", "non-empty text, a whole number"),
    (lambda x: x.session_started(1, []), "session_id is of type list", "non-empty text, a whole number"),
    (lambda x: x.session_ended("s", "bored"), "session_ended(): reason is text", "one of sign_out"),
]


@pytest.mark.parametrize(("call", "what", "wanted"), CASES)
def test_one_warning_says_what_was_wrong_and_nothing_is_recorded(
    telemetry: Telemetry, call: Callable[[Any], object], what: str, wanted: str
) -> None:
    telemetry.start()
    call(business)
    call(business)
    (warning,) = telemetry.warnings()
    assert what in warning
    assert wanted in warning
    gauges = {"ada.users.active", "ada.sessions.active"}
    assert telemetry.points().keys() <= gauges
    assert telemetry.points()["ada.users.active"] == {("5m",): 0, ("1h",): 0, ("1d",): 0}
    assert telemetry.logs() == []


def test_wrong_tokens_and_costs_leave_the_operation_whole(telemetry: Telemetry) -> None:
    with business.ai_operation(model="m") as op:
        op.tokens(input=5, output=-1)
        op.cost(float("nan"), "USD")
        op.cost(1, 7)  # type: ignore[arg-type]  # on purpose
    points = telemetry.points()
    assert points["ada.ai.operations"] == {("success", "chat", "m"): 1}
    assert "gen_ai.client.token.usage" not in points
    assert "ada.cost" not in points
    assert len(telemetry.warnings()) == 3


def test_unknown_currency_is_other_and_long_labels_are_cut(telemetry: Telemetry) -> None:
    business.revenue(3, "doubloons")
    business.feature_used("x" * 10_000_000)
    business.feature_used(Colour.RED)
    business.feature_used("\ud800")
    points = telemetry.points()
    assert points["ada.revenue"] == {("OTHER", "purchase"): 3}
    assert points["ada.feature.uses"] == {("x" * 120,): 1, ("red",): 1, ("?",): 1}
    assert len(telemetry.warnings()) == 2


def test_alert_goes_out_without_details_that_are_objects(telemetry: Telemetry) -> None:
    business.alert("high", "x" * 5000, {"good": 1, "bad": Hostile(), 3: "key"})  # type: ignore[dict-item]  # on purpose
    (record,) = telemetry.logs()
    assert {key for key in record.attributes if "details" in key} == {"ada.alert.details.good"}
    assert len(record.body) <= 2000
    assert len(telemetry.warnings()) == 1


def test_nothing_happens_before_setup(telemetry: Telemetry) -> None:
    business.session_started(1, "s")
    business.user_active(1)
    business.session_active("s")
    business.session_ended("s")
    assert not (telemetry.folder / "business").exists()
    assert telemetry.points() == {}
    assert telemetry.warnings() == []


ANY = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.fractions()
    | st.text()
    | st.text(alphabet=st.characters(categories=["Cs"]), min_size=1)
    | st.binary()
    | st.uuids()
    | st.dictionaries(st.text() | st.integers(), st.text() | st.floats() | st.lists(st.integers()))
    | st.lists(st.integers(), max_size=2)
    | st.complex_numbers()
    | st.builds(Hostile)
    | st.sampled_from([Hostile, Colour.RED, object(), ValueError("x"), 10**400, uuid.uuid4(), "EUR"])
    | st.sampled_from(["critical", "low", "sign_out", "image/png", "chat"])
)
NAMES = sorted(set(business.__all__) - {"AiOperation", "Severity", "Upload"} - {"ai_operation", "feature"})
NAMES = [name for name in NAMES if name not in {"start", "upload"}]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), arguments=st.lists(ANY, max_size=4))
def test_no_call_raises(telemetry: Telemetry, name: str, arguments: list[Any]) -> None:
    import inspect

    function = getattr(business, name)
    if business._engagement._engagement is None:
        telemetry.start()
    count = len(inspect.signature(function).parameters)
    try:
        inspect.signature(function).bind(*arguments[:count])
    except TypeError:
        return
    assert function(*arguments[:count]) is None


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(ANY, min_size=7, max_size=7))
def test_no_operation_raises(telemetry: Telemetry, values: list[Any]) -> None:
    first, second, third, *rest = values
    with business.ai_operation(first, second, third) as op:
        op.tokens(rest[0], rest[1])
        op.cost(rest[2], rest[3])
        op.fail(rest[0])
    with business.upload(first, second) as up:
        up.file(third, rest[0])
        up.fail(rest[1])
    business.feature(first)(lambda: None)()


def test_calls_with_wrong_arguments_do_not_raise_in_production(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADA_OTEL_RAISE")
    business.revenue()  # type: ignore[call-arg]  # on purpose
    business.feature_used("a", "b", c=1)  # type: ignore[call-arg]  # on purpose
    first, second = telemetry.warnings()
    assert "business.revenue()" in first
    assert "missing 2 required positional arguments" in first
    assert "business.feature_used()" in second


@pytest.mark.parametrize("name", ["feature", "ai_operation", "upload"])
def test_a_decorator_without_its_brackets_leaves_the_function_working(
    telemetry: Telemetry, name: str
) -> None:
    def total(rows: list[int]) -> int:
        return sum(rows)

    decorated = getattr(business, name)(total)
    assert decorated([1, 2]) == 3
    (warning,) = telemetry.warnings()
    assert f"business.{name}()" in warning
    assert f"write @business.{name}(...), with brackets" in warning


def test_operations_with_wrong_arguments_run_the_block_in_production(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADA_OTEL_RAISE")
    with business.ai_operation(modle="ada") as operation:  # type: ignore[call-arg]  # on purpose
        operation.tokens(1)
    with business.upload(typ="image/png") as upload:  # type: ignore[call-arg]  # on purpose
        upload.file(bytes=1)  # type: ignore[call-arg]  # on purpose
    assert business.feature()(len)([1]) == 1  # type: ignore[call-arg]  # on purpose
    assert telemetry.points()["ada.ai.operations"] == {("success", "chat", "unknown"): 1}
    said = " ".join(telemetry.warnings())
    for call in (
        "business.ai_operation()",
        "business.upload()",
        "business.Upload.file()",
        "business.feature()",
    ):
        assert f"{call} failed: TypeError" in said


class Unspeakable(Exception):  # noqa: N818  # no error of ours
    def __str__(self) -> str:
        raise RuntimeError("no str")


def test_an_exception_without_a_text_leaves_no_span_behind(
    telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADA_OTEL_RAISE")
    with pytest.raises(Unspeakable), business.ai_operation(model="m"):
        raise Unspeakable
    assert not trace.get_current_span().get_span_context().is_valid
    (span,) = telemetry.spans()
    assert span.attributes["error.type"] == "Unspeakable"
    assert telemetry.points()["ada.ai.operations"] == {("failure", "Unspeakable", "chat", "m"): 1}


class Broken(dict[str, int]):
    def items(self) -> Any:
        return [1, 2]


def test_alert_goes_out_whatever_its_details_are(telemetry: Telemetry) -> None:
    business.alert("high", "off", Broken(a=1))
    business.alert("high", "not a number", {"share": float("nan"), "most": float("inf"), "least": 0.5})
    first, second = telemetry.logs()
    assert first.body == "off"
    details = {key: value for key, value in second.attributes.items() if "details" in key}
    # JSON has no NaN: the search server would refuse the record.
    assert details == {
        "ada.alert.details.share": "nan",
        "ada.alert.details.most": "inf",
        "ada.alert.details.least": 0.5,
    }


def test_ids_are_not_kept_however_long_they_are(telemetry: Telemetry) -> None:
    telemetry.start()
    held = business._engagement._engagement
    assert held is not None
    long = "u" * 100_000
    business.session_started(long, long)
    business.session_active(long, user_id=long)
    assert telemetry.points()["ada.users.active"][("5m",)] == 1
    assert long not in repr(vars(held.users)) + repr(vars(held.sessions))
