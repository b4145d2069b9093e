"""Attributes and buckets that several groups use."""

from __future__ import annotations

from ada_otel.catalogue._model import Attribute

#: The advice of the semantic conventions for requests, in seconds; the second is for AI answers and uploads.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
LONG_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
SESSION_SECONDS = (10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)
BYTES = (0.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0, 67108864.0)

#: What the stock instrumentations, which serve without it, do not have.
FAST_PATH = "`ADA_OTEL_FAST_PATH=true`, the default"

ERROR_TYPE = Attribute(
    "error.type",
    "Class of the exception, or a short reason; absent when nothing failed.",
    bound="exception classes and reasons that the code names",
    optional=True,
)
OUTCOME = Attribute("ada.outcome", "How it ended.", values=("success", "failure"))
DIRECTION = Attribute("network.io.direction", "In or out.", values=("receive", "transmit"))
CURRENCY = Attribute(
    "ada.currency", "ISO 4217 code in capitals.", bound="the codes of ISO 4217; others are OTHER"
)
