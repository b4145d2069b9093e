"""Pins the privates of opentelemetry-sdk that ``ada_otel.pipeline.metrics`` leans on.

When one of these fails after an upgrade of the SDK, read what changed in the named function, see whether the
module of ours that is named beside it must follow, and then add the new value here. ``_shape.py`` is the
guard at run time; it goes back to the stock SDK by itself when names are gone or sums differ.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import attributes, context, trace
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.exporter.prometheus import PrometheusMetricReader, _CustomCollector
from opentelemetry.metrics._internal import instrument as api_instrument
from opentelemetry.sdk import resources
from opentelemetry.sdk.metrics import _internal as sdk
from opentelemetry.sdk.metrics._internal import aggregation, instrument
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes, _ViewInstrumentMatch
from opentelemetry.sdk.metrics._internal.exemplar import exemplar_filter, exemplar_reservoir
from opentelemetry.sdk.metrics._internal.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer
from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
from opentelemetry.trace import propagation

from ada_otel.pipeline.metrics import MeterProvider
from ada_otel.pipeline.metrics import _shape as shape
from ada_otel.pipeline.metrics._instruments import Remembering

SOURCES: list[tuple[Callable[..., Any], str, str]] = [
    (aggregation._Aggregation.__init__, "_cells", "077f9994f956"),
    (aggregation._SumAggregation.__init__, "_cells", "a99ec4117a12"),
    (aggregation._SumAggregation.aggregate, "_cells", "b74a0b5944ff"),
    (aggregation._SumAggregation.collect, "_cells", "be2cc024fb9f"),
    (aggregation._LastValueAggregation.aggregate, "_cells", "6bfdc054b1b6"),
    (aggregation._LastValueAggregation.collect, "_cells", "cbccdb813cfb"),
    (aggregation._ExplicitBucketHistogramAggregation.__init__, "_cells", "3a804f351d02"),
    (aggregation._ExplicitBucketHistogramAggregation.aggregate, "_cells", "3bff7765aa15"),
    (aggregation._ExplicitBucketHistogramAggregation.collect, "_cells", "39bcbde5763e"),
    (exemplar_reservoir.ExemplarBucket.collect, "_exemplars", "38795986c19a"),
    (exemplar_reservoir.ExemplarBucket.offer, "_exemplars", "b53b20a5dd60"),
    (exemplar_reservoir.SimpleFixedSizeExemplarReservoir._find_bucket_index, "_exemplars", "931c6e340f64"),
    (
        exemplar_reservoir.AlignedHistogramBucketExemplarReservoir._find_bucket_index,
        "_exemplars",
        "8cd3636467e8",
    ),
    (exemplar_filter.TraceBasedExemplarFilter.should_sample, "_bound", "2cee5b285b70"),
    (propagation.get_current_span, "_bound", "78d670614797"),
    (ContextVarsRuntimeContext.get_current, "_bound", "f42624304b2e"),
    (context.get_current, "_bound", "5ea52b55ff1a"),
    (instrument._Asynchronous.callback, "_observed", "424b179657ba"),
    (instrument.Counter.add, "_instruments", "cf29da49a3d4"),
    (instrument.UpDownCounter.add, "_instruments", "bb9f4558909c"),
    (instrument.Histogram.record, "_instruments", "721e215a3522"),
    (instrument.Gauge.set, "_instruments", "45931a4eea4e"),
    (Measurement.__post_init__, "_attributes", "8131ce526ae6"),
    (attributes._clean_attribute_value, "_attributes", "f369827379b5"),
    (attributes._is_non_custom_str, "_attributes", "4ed53c6776f1"),
    (_hash_attributes, "_storage", "9632c694da76"),
    (_ViewInstrumentMatch.__init__, "_storage", "20cca82386eb c23eb54070b0"),
    (_ViewInstrumentMatch.consume_measurement, "_storage", "93b75ab32988 41915fbab9f3"),
    (_ViewInstrumentMatch.collect, "_storage", "b762b4b5e9b9 36e1997a06c9"),
    (MetricReaderStorage.__init__, "_storage", "1feaf7cfc1af 55928162329c"),
    (MetricReaderStorage._get_or_init_view_instrument_match, "_storage", "7ed2b036df8b 668ac14d4921"),
    (MetricReaderStorage._handle_view_instrument_match, "_storage", "26640a24b49f 8143bf9f6f22"),
    (MetricReaderStorage.collect, "_storage", "852ecd1d6f8b"),
    (SynchronousMeasurementConsumer.__init__, "_storage", "fc0b089bbf27 8144339d9e34"),
    (SynchronousMeasurementConsumer.consume_measurement, "_storage", "892d3ab57ec5"),
    (SynchronousMeasurementConsumer.collect, "_storage", "57e2d00f886c"),
    (SynchronousMeasurementConsumer.add_metric_reader, "_storage", "8016f15cea0a 0e7d8bdc5e75"),
    (SynchronousMeasurementConsumer.remove_metric_reader, "_storage", "1ff95ef7bfa1"),
    (sdk.Meter.__init__, "_provider", "c0591da31eec"),
    (sdk.MeterProvider.__init__, "_provider", "1c13f2739cc8"),
    (sdk.MeterProvider._handle_fork, "_provider", "e5f2638fbabe"),
    (sdk.MeterProvider._update_resource, "_provider", "f6dbd06cde99"),
    (sdk.MeterProvider.get_meter, "_provider", "954964815466"),
    (resources._get_process_dependent_resource, "_provider", "868eac279d37"),
    (resources.get_aggregated_resources, "_provider", "99175bc89e4d 2232a806c947"),
    (MetricReader.__init__, "_provider", "d1e22811c74c e3657b99eda6"),
    (PeriodicExportingMetricReader.__init__, "_reader", "545d40c931c4 0a011bc03d87"),
    (PeriodicExportingMetricReader._at_fork_reinit, "_reader", "4f38bfe05789"),
    (PeriodicExportingMetricReader._ticker, "_reader", "c5e2c1fbd3dd"),
    (PeriodicExportingMetricReader._receive_metrics, "_reader", "403f1c09c41f"),
    (PeriodicExportingMetricReader.shutdown, "_reader", "ae89a7156e8f"),
    (PeriodicExportingMetricReader.force_flush, "_reader", "eca23ddf5e86"),
    (PrometheusMetricReader.__init__, "_provider", "55793f6ca032"),
    (_CustomCollector.__init__, "_provider", "7c8686fed4cf"),
    (_CustomCollector.collect, "_provider", "d41b13a9b796"),
    (api_instrument._ProxyInstrument.__init__, "_bind", "4bc72099e15f"),
]


def digest(function: Callable[..., Any]) -> str:
    """Hash the code itself: comments, docstrings, line breaks and spaces do not count."""
    source = textwrap.dedent(inspect.getsource(function))
    if function.__doc__:
        source = re.sub(r'^\s*r?"""[\s\S]*?"""', "", source, count=1, flags=re.MULTILINE)
    kept = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type != tokenize.COMMENT
    ]
    # A trailing comma is all that a formatter adds.
    text = re.sub(r"\s+", "", "".join(kept)).replace(",)", ")").replace(",]", "]").replace(",}", "}")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("function", "ours", "expected"), SOURCES, ids=[function.__qualname__ for function, _, _ in SOURCES]
)
def test_the_code_that_ours_stands_in_for_is_as_it_was(
    function: Callable[..., Any], ours: str, expected: str
) -> None:
    found = digest(function)
    assert found in expected.split(), (
        f"{function.__module__}.{function.__qualname__} changed. Compare it with "
        f"ada_otel/pipeline/metrics/{ours}.py, mend that if it must follow, and add {found} here."
    )


def test_the_run_time_check_finds_nothing_in_this_version() -> None:
    shape.problem.cache_clear()
    assert shape.problem() is None


def test_the_run_time_check_sees_a_name_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape, "_NAMES", ((MetricReaderStorage.__init__, "_lock _renamed"),))
    shape.problem.cache_clear()
    assert shape.problem() == "MetricReaderStorage.__init__ has no _renamed"
    shape.problem.cache_clear()


def test_the_run_time_check_sees_a_sum_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(self: Any, measurement: Any, should_sample_exemplar: bool = True) -> None:
        self._value = (self._value or 0) + 2 * measurement.value

    monkeypatch.setattr(aggregation._SumAggregation, "aggregate", twice)
    shape.problem.cache_clear()
    assert shape.problem() == "_SumAggregation sums in another way"
    shape.problem.cache_clear()


def test_instruments_and_meters_stay_of_the_classes_of_the_sdk() -> None:
    meter = MeterProvider(shutdown_on_exit=False).get_meter("scope")
    assert isinstance(meter, sdk.Meter)
    for made, kind in (
        (meter.create_counter("c"), instrument._Counter),
        (meter.create_up_down_counter("u"), instrument._UpDownCounter),
        (meter.create_histogram("h"), instrument._Histogram),
        (meter.create_gauge("g"), instrument._Gauge),
    ):
        assert isinstance(made, kind)
        assert isinstance(made, Remembering)
    assert meter.create_counter("c") is meter.create_counter("c")


def test_a_span_is_found_in_the_context_by_its_private_key() -> None:
    span = trace.INVALID_SPAN
    assert propagation.set_span_in_context(span, context.Context()) == {propagation._SPAN_KEY: span}
