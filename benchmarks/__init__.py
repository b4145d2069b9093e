"""What telemetry costs an app: ada-otel beside other distributions, measured side by side in one run."""
