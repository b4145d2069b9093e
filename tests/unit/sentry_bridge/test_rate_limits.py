"""What Sentry's headers about waiting mean."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from ada_otel.sentry_bridge.rate_limits import RateLimits, seconds_of_limits, seconds_of_retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("60:error:organization", 60),
        ("60:default:project", 60),
        ("60:all:key", 60),
        ("60::organization", 60),
        ("60", 60),
        ("2700:transaction;session:organization", 0),
        ("60:transaction:key, 30:default;error;security:organization:quota_exceeded", 30),
        ("10:error:key,120:error:organization", 120),
        ("1.5:error:key", 1.5),
        ("soon:error:key", 60),
        ("", 0),
    ],
)
def test_the_longest_limit_on_errors_counts(header: str, seconds: float) -> None:
    assert seconds_of_limits(header) == seconds


def test_retry_after_is_seconds_or_a_date() -> None:
    assert seconds_of_retry_after("17", 60) == 17
    assert seconds_of_retry_after(None, 60) == 60
    assert seconds_of_retry_after("whenever", 60) == 60
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=90), usegmt=True)
    assert 85 < seconds_of_retry_after(date, 60) <= 90
    assert seconds_of_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 60) == 0


def test_limits_end_and_a_short_one_does_not_shorten_a_long_one() -> None:
    now = [100.0]
    limits = RateLimits(lambda: now[0])
    assert limits.remaining() == 0
    limits.update(200, "30:error:key", None)
    limits.update(429, None, "5")
    assert limits.remaining() == 30
    now[0] += 29
    assert limits.remaining() == 1
    now[0] += 2
    assert limits.remaining() == 0


def test_a_429_without_a_time_is_a_minute_and_other_categories_do_not_count() -> None:
    limits = RateLimits(lambda: 0.0)
    limits.update(200, "60:transaction:key", "60")
    assert limits.remaining() == 0
    limits.update(429, None, None)
    assert limits.remaining() == 60
