"""The drift gate: names in rules, dashboards, runbooks, docs and queries against the names that exist.

A metric or label may be used if the catalogue lists it, a rule records it, or a live scrape of the collector,
Prometheus or Alertmanager has shown it (``scraped.json``). ``python -m tools.drift`` names every other place.
"""

from __future__ import annotations
