"""Runs the queries of dashboards and draws what they give: not Grafana, and marked so on each picture."""
