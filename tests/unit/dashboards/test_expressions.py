"""Expressions are made from the catalogue, and refuse what it does not have."""

from __future__ import annotations

import pytest

from ada_otel.dashboards import _expr
from tools.dashboard_render.rules import Rule, expand


def test_a_counter_is_rated_first_and_summed_then() -> None:
    made = _expr.rate("ada.uploads", ("ada.upload.type",), {"ada.outcome": '="failure"'})
    assert made == (
        'sum by (ada_upload_type) (rate(ada_uploads_total{job=~"$service", '
        'deployment_environment_name=~"$environment", instance=~"$instance", ada_outcome="failure"}'
        "[$__rate_interval]))"
    )


def test_names_that_the_catalogue_does_not_have_are_errors() -> None:
    with pytest.raises(KeyError):
        _expr.rate("ada.no.such.metric")
    with pytest.raises(ValueError, match="has no attribute 'ada"):
        _expr.rate("ada.uploads", ("ada.colour",))
    with pytest.raises(ValueError, match="never 'perhaps'; it is success, failure"):
        _expr.rate("ada.uploads", where={"ada.outcome": '="perhaps"'})
    with pytest.raises(ValueError, match="of kind counter"):
        _expr.select("ada.uploads", part="bucket")
    with pytest.raises(ValueError, match="of kind histogram"):
        _expr.rate("ada.upload.size")


def test_recorded_series_are_written_out_with_their_matchers() -> None:
    rules = {
        "a:b:c": [Rule('sum by (job) (rate(m_total{x="1"}[5m])) or 0 * d:e:f')],
        "d:e:f": [Rule("max by (job) (g[1m])", {"slo": "fast"}), Rule("h[1m]", {"slo": "right"})],
    }
    assert expand('a:b:c{job=~"s"}', rules) == (
        '((sum by (job) (rate(m_total{x="1", job=~"s"}[5m])) or 0 * '
        '((label_replace(max by (job) (g{job=~"s"}[1m]), "slo", "fast", "", "")) or '
        '(label_replace(h{job=~"s"}[1m], "slo", "right", "", "")))))'
    )
    assert expand('d:e:f{slo="right"}', rules) == '((label_replace(h{}[1m], "slo", "right", "", "")))'
    with pytest.raises(KeyError):
        expand("not:there:now", rules)
