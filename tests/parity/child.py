"""Runs all cases of one variant in its own process: ``python -m tests.parity.child ours records.json``."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

# Read at import or at first use, so they are the same for every case.
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"
os.environ["OTEL_PYTHON_FLASK_EXCLUDED_URLS"] = "user/900"
# The difference "redacted" is shown elsewhere; here all that is recorded is compared.
os.environ["ADA_OTEL_REDACTION"] = "false"


def main(variant: str, target: str) -> None:
    """Write the records of all cases to ``target``, as JSON."""
    os.environ["ADA_OTEL_FAST_PATH"] = "false" if variant == "fallback" else "true"
    logging.disable(logging.CRITICAL)
    from tests.parity.cases import CASES
    from tests.parity.kit import run_cases

    records = run_cases(variant, CASES)
    Path(target).write_text(json.dumps(records, default=repr), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
