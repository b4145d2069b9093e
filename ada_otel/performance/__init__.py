"""``ada-otel performance``: 24 hours of a running app's main figures, in the terminal."""
