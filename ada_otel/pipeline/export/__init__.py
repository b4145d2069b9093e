"""The export half of the pipeline: queue, batch, encode, send, spool.

``batch`` holds the processors, ``otlp`` the exporters, ``stats`` what became of everything. Nothing here is
imported until telemetry is set up, and nothing that talks HTTP is imported until the first export.
"""
