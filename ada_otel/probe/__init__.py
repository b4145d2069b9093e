"""``ada-otel probe``: asks addresses as a load balancer does, and reports the answers as metrics."""
