"""All cases."""

from __future__ import annotations

from tests.parity import flask_cases, redis_cases, sampling_cases, sql_cases
from tests.parity.kit import Case

CASES: list[Case] = [
    *flask_cases.CASES,
    *sampling_cases.CASES,
    *sql_cases.CASES,
    *redis_cases.CASES,
]
