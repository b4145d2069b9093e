"""The five Grafana dashboards, as code; ``ada-otel dashboards`` writes their JSON.

Needs the extra ``dashboards``. Expressions come from the catalogue of metrics, so that a renamed metric or
attribute is an error here and not an empty panel.
"""

from __future__ import annotations

from ada_otel.dashboards._model import Bound, Dashboard, Panel, Query, Row, Search
from ada_otel.dashboards.business import BUSINESS
from ada_otel.dashboards.errors import ERRORS
from ada_otel.dashboards.overview import OVERVIEW
from ada_otel.dashboards.performance import PERFORMANCE
from ada_otel.dashboards.users import USERS

__all__ = ["DASHBOARDS", "Bound", "Dashboard", "Panel", "Query", "Row", "Search"]

#: All of them; alerts link to them by uid.
DASHBOARDS: tuple[Dashboard, ...] = (OVERVIEW, PERFORMANCE, ERRORS, USERS, BUSINESS)
