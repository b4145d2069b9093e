"""From a DSN to Sentry's OTLP address and header."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ada_otel import _sentry_dsn

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("dsn", "endpoint"),
    [
        (
            f"https://{KEY}@o7.ingest.de.sentry.io/42",
            "https://o7.ingest.de.sentry.io/api/42/integration/otlp",
        ),
        (f"https://{KEY}:old@sentry.io/42", "https://sentry.io/api/42/integration/otlp"),
        (f"http://{KEY}@127.0.0.1:8000/1/", "http://127.0.0.1:8000/api/1/integration/otlp"),
        (
            f"https://{KEY}@errors.example/base/path/9",
            "https://errors.example/base/path/api/9/integration/otlp",
        ),
        (f"  http://{KEY}@[::1]:8000/3\n", "http://[::1]:8000/api/3/integration/otlp"),
    ],
)
def test_a_dsn_gives_address_and_header(dsn: str, endpoint: str) -> None:
    target = _sentry_dsn.parse(dsn)
    assert target.environment() == {
        "ADA_SENTRY_OTLP_ENDPOINT": endpoint,
        "ADA_SENTRY_AUTH": f"sentry sentry_key={KEY}",
    }


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        (f"{KEY}@sentry.io/42", "it must begin with https://"),
        (f"ftp://{KEY}@sentry.io/42", "it must begin with https://"),
        ("https://sentry.io/42", "it has no public key"),
        (f"https://{KEY}@/42", "it has no host"),
        (f"https://{KEY}@sentry.io", "its last part must be the project id"),
        (f"https://{KEY}@sentry.io/my-project", "its last part must be the project id"),
        (f"https://{KEY}@sentry.io:port/42", "its host or port cannot be read"),
        (f"https://{KEY}@sentry.io/42?x=1", "nothing may follow the project id"),
        (f"https://{KEY}@sentry.io/42\nADA_X=1", "it holds a blank or a control character"),
    ],
)
def test_a_bad_dsn_is_named_with_the_reason_and_without_the_key(dsn: str, reason: str) -> None:
    with pytest.raises(ValueError, match="SENTRY_DSN cannot be used") as caught:
        _sentry_dsn.parse(dsn)
    assert reason in str(caught.value)
    assert "https://PUBLIC_KEY@HOST/PROJECT_ID" in str(caught.value)
    assert KEY not in str(caught.value)


@given(st.text())
def test_any_text_is_either_read_or_refused(text: str) -> None:
    try:
        target = _sentry_dsn.parse(text)
    except ValueError as error:
        assert str(error).startswith("SENTRY_DSN cannot be used")
    else:
        assert target.endpoint.endswith("/integration/otlp")
        assert "\n" not in target.endpoint + target.auth


def _run(*arguments: str, dsn: str | None) -> subprocess.CompletedProcess[str]:
    environment = {} if dsn is None else {"SENTRY_DSN": dsn}
    command = [sys.executable, "-m", "ada_otel._sentry_dsn", *arguments]
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        command, env=environment, cwd=root, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("dsn", [None, "", "  "])
def test_without_a_dsn_the_command_prints_and_writes_nothing(dsn: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "sentry"
    assert _run(dsn=dsn).stdout == ""
    result = _run("--write", str(folder), dsn=dsn)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert not folder.exists()


def test_the_command_prints_lines_for_an_environment_file() -> None:
    result = _run(dsn=f"https://{KEY}@sentry.io/42")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "ADA_SENTRY_OTLP_ENDPOINT=https://sentry.io/api/42/integration/otlp",
        f"ADA_SENTRY_AUTH=sentry sentry_key={KEY}",
    ]


def test_the_command_writes_files_that_only_the_owner_reads(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text(
        "an old and longer value that must not shine through" * 3, encoding="utf-8"
    )
    (tmp_path / "auth").chmod(0o644)
    result = _run("--write", str(tmp_path), dsn=f"https://{KEY}@sentry.io/42")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert (tmp_path / "endpoint").read_text(encoding="utf-8") == "https://sentry.io/api/42/integration/otlp"
    assert (tmp_path / "auth").read_text(encoding="utf-8") == f"sentry sentry_key={KEY}"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_the_command_ends_with_2_and_one_line_for_a_bad_dsn() -> None:
    result = _run(dsn=f"https://{KEY}@sentry.io")
    assert result.returncode == 2
    assert result.stderr.startswith("ada-otel: SENTRY_DSN cannot be used")
    assert len(result.stderr.splitlines()) == 1
    assert KEY not in result.stderr
