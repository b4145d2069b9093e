"""Every private of the API, the SDK and the stock instrumentations that tracing leans on, pinned.

An upgrade that breaks one fails here, with what to look at; at run time ``shape.problem()`` finds the same,
and the stock code serves.
"""

from __future__ import annotations

import importlib
import inspect
from contextvars import ContextVar
from typing import Any

import flask
import pytest
from flask.globals import _cv_request
from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry._logs import _internal as logs_api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, StaticSampler, TraceIdRatioBased
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.span import DEFAULT_TRACE_STATE
from opentelemetry.util.http import parse_excluded_urls

from ada_otel.pipeline import current
from ada_otel.pipeline.tracing import TracerProvider, shape


def test_the_context_is_one_variable_of_the_api() -> None:
    variable = context_api._RUNTIME_CONTEXT._current_context  # type: ignore[attr-defined]
    assert isinstance(variable, ContextVar)
    assert (current.get_current, current.attach) == (variable.get, variable.set)
    token = current.attach(Context({"tea": 1}))
    assert context_api.get_value("tea") == 1
    current.detach(token)
    assert context_api.get_value("tea") is None


def test_another_runtime_context_is_asked_by_the_public_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_api, "_RUNTIME_CONTEXT", object())
    public = (context_api.get_current, context_api.attach, context_api.detach)
    assert current._functions() == (*public, context_api.detach)


def test_shape_finds_no_problem() -> None:
    shape.problem.cache_clear()
    assert shape.problem() is None


@pytest.mark.parametrize(
    ("owner", "name", "says"),
    [
        (sdk.SpanProcessor, "_on_ending", "_on_ending"),
        (trace, "SpanContext", "SpanContext"),
        (TraceIdRatioBased, "TRACE_ID_LIMIT", "TRACE_ID_LIMIT"),
    ],
)
def test_shape_finds_what_is_gone(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, says: str) -> None:
    monkeypatch.delattr(owner, name)
    shape.problem.cache_clear()
    try:
        found = shape.problem()
    finally:
        shape.problem.cache_clear()
    assert found is not None
    assert says in found


def test_shape_finds_a_new_attribute_of_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    def readable(self: Any) -> Any:
        return self._surprise

    monkeypatch.setattr(sdk.Span, "_readable_span", readable)
    shape.problem.cache_clear()
    assert "_surprise" in (shape.problem() or "")
    shape.problem.cache_clear()


def test_span_context_is_the_tuple_that_we_make() -> None:
    state = trace.TraceState([("a", "b")])
    stock = trace.SpanContext(1, 2, False, trace.TraceFlags(3), state)
    ours = tuple.__new__(trace.SpanContext, (1, 2, False, trace.TraceFlags(3), state, True))
    assert ours == stock, "look at provider._span_context and at all parent[n] in tracing/"
    assert (ours.trace_id, ours.span_id, ours.is_remote, ours.is_valid) == (1, 2, False, True)
    assert ours.trace_state is state


def test_context_is_a_dict_with_the_span_under_its_key() -> None:
    assert issubclass(Context, dict), "look at dict.__setitem__(Context) in instrument/"
    span = trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)
    context = trace.set_span_in_context(span, Context())
    assert dict(context) == {_SPAN_KEY: span}, "look at _SPAN_KEY in instrument/"


@pytest.mark.parametrize("name", shape.TRACER_ATTRIBUTES)
def test_sdk_tracer_has(name: str) -> None:
    tracer = sdk.TracerProvider(shutdown_on_exit=False).get_tracer("pins")
    assert name in vars(tracer), "look at Tracer.adopt and RecordingSpan's properties"


def test_sdk_tracer_gets_no_more_arguments() -> None:
    known = {
        "self",
        "sampler",
        "resource",
        "span_processor",
        "id_generator",
        "instrumentation_info",
        "span_limits",
        "instrumentation_scope",
        "meter_provider",
        "_tracer_config",
    }
    assert set(inspect.signature(sdk.Tracer.__init__).parameters) == known, "look at Tracer.adopt"


def test_sdk_start_span_calls_what_ours_does() -> None:
    names = set(sdk.Tracer.start_span.__code__.co_names)
    expected = {
        "should_sample",
        "generate_trace_id",
        "generate_span_id",
        "is_trace_id_random",
        "random_trace_id",
        "_tracer_metrics",
        "is_recording",
        "start",
    }
    assert expected <= names, "look at Tracer.start_span and Tracer._make"


@pytest.mark.parametrize("name", shape.SPAN_ATTRIBUTES)
def test_sdk_span_has(name: str) -> None:
    span = sdk.TracerProvider(shutdown_on_exit=False).get_tracer("pins").start_span("pins")
    assert hasattr(span, name), "look at RecordingSpan"


def test_sdk_span_has_no_public_method_that_ours_lacks() -> None:
    public = {name for name in vars(sdk.Span) if not name.startswith("_")}
    ours = {
        "add_event",
        "add_link",
        "end",
        "get_span_context",
        "is_recording",
        "record_exception",
        "set_attribute",
        "set_attributes",
        "set_status",
        "start",
        "update_name",
    }
    assert public == ours, "look at RecordingSpan: an inherited method takes the lock that ours has not"


def test_bounded_attributes() -> None:
    assert hasattr(BoundedAttributes, "_set_items"), "look at RecordingSpan.set_attributes"
    parameters = list(inspect.signature(BoundedAttributes.__init__).parameters)
    assert parameters[1:5] == ["maxlen", "attributes", "immutable", "max_value_len"], "look at span._bounded"
    bounded = BoundedAttributes(1, {"a": "xyz", "b": "xyz"}, immutable=False, max_value_len=2)
    assert (dict(bounded), bounded.dropped, bounded._immutable) == ({"b": "xy"}, 1, False)


@pytest.mark.parametrize("name", shape.PARENT_BASED_ATTRIBUTES)
def test_parent_based_has(name: str) -> None:
    assert hasattr(DEFAULT_ON, name), "look at sampling._compile_parent_based"


def test_samplers() -> None:
    assert StaticSampler(Decision.DROP)._decision is Decision.DROP
    assert TraceIdRatioBased(0.5)._bound == 1 << 63
    assert [decision.value for decision in Decision] == [0, 1, 2]


def test_propagation() -> None:
    assert CompositePropagator([])._propagators == [], "look at _reads_only_w3c in instrument/flask"
    assert _SUPPRESS_INSTRUMENTATION_KEY.startswith("suppress_instrumentation")


def test_excluded_urls() -> None:
    assert parse_excluded_urls("")._excluded_urls == []
    assert parse_excluded_urls("a,b")._excluded_urls, "look at Middleware._excluded"


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("flask", "_excluded_urls_from_env FlaskInstrumentor"),
        (
            "wsgi",
            """wsgi_getter default_response_propagation_setter collect_custom_request_headers_attributes
            collect_custom_response_headers_attributes""",
        ),
        ("redis", "_execute_hook RedisInstrumentor"),
        (
            "redis.util",
            """_add_create_attributes _add_search_attributes _build_span_meta_data_for_pipeline
            _build_span_name _extract_conn_attributes _format_command_args""",
        ),
        ("sqlalchemy", "SQLAlchemyInstrumentor"),
        (
            "sqlalchemy.engine",
            """EngineTracer _get_attributes_from_cursor_or_conn _get_attributes_from_url
            _get_attributes_from_engine _get_db_name_from_cursor_or_conn _normalize_vendor _wrap_connect
            _wrap_create_engine _wrap_create_async_engine""",
        ),
        ("sqlcommenter_utils", "_add_sql_comment"),
        ("utils", "_get_opentelemetry_values"),
        ("_semconv", "_get_semconv_opt_in_modes _get_schema_url_for_signal_types _StabilityMode"),
    ],
)
def test_stock_instrumentation_has(module: str, names: str) -> None:
    found = importlib.import_module(f"opentelemetry.instrumentation.{module}")
    missing = [name for name in names.split() if not hasattr(found, name)]
    assert not missing, f"look at the imports from {found.__name__} in ada_otel/instrument"


def test_status_keeps_code_and_description_under_these_names() -> None:
    held = vars(trace.Status(trace.StatusCode.ERROR, "no"))
    assert held == {"_status_code": trace.StatusCode.ERROR, "_description": "no"}, (
        "look at on_end in export/batch.py, at redaction/_spans.py and at encoder/_traces.py"
    )


def test_a_root_span_of_ours_has_the_trace_state_that_the_encoder_skips() -> None:
    span = TracerProvider(shutdown_on_exit=False).get_tracer("pins").start_span("pins")
    assert span.get_span_context().trace_state is DEFAULT_TRACE_STATE


def test_flask_preprocesses_each_request_and_keeps_it_in_this_variable() -> None:
    names = flask.Flask.full_dispatch_request.__code__.co_names
    assert "preprocess_request" in names, "look at preprocess_request in instrument/flask/_middleware.py"
    with flask.Flask("pins").test_request_context("/x") as context:
        assert _cv_request.get() is context, "look at _cv_request in instrument/flask/ and web/context.py"


def test_the_logger_provider_in_force_is_a_global_of_the_api() -> None:
    assert "_LOGGER_PROVIDER" in vars(logs_api), "look at defer_record() in logs/_deferred.py"
    assert "_LOGGER_PROVIDER" in logs_api.get_logger_provider.__code__.co_names
