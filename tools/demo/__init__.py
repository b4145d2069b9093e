"""``make demo``: ADA under telemetry on real servers, and a table of what was sent and what arrived."""
