"""The pages say what is there: links, variables, commands, messages, and every snippet, which is run."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import opentelemetry.sdk
import pytest
import yaml

from ada_otel import settings
from ada_otel._diagnostics import forget_reports
from tests.support.otlp_receiver import otlp_receiver
from tests.support.ports import free_port
from tests.support.process import LAUNCHER, clean_environment, run_program
from tools import docs
from tools.paths import REPOSITORY
from tools.stack.ports import PORTS, variable

ROOT = REPOSITORY
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "collector" / "README.md",
    ROOT / "examples" / "ada" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
VARIABLE = re.compile(r"\b(?:ADA_OTEL|OTEL|ADA)_[A-Z0-9_]*[A-Z0-9]\b")
APP_PAGE = ROOT / "docs" / "app-developer.md"

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page that are tagged with a language."""
    return [code for tag, code in FENCE.findall(page.read_text(encoding="utf-8")) if tag == language]


def every_block(language: str) -> list[Any]:
    """The code blocks of all pages that are tagged with a language, as parameters of a test."""
    return [
        pytest.param(code, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, code in enumerate(blocks(page, language), 1)
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# -- Links ---------------------------------------------------------------------------------------------------


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    dead = []
    for target in LINK.findall(text):
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


def test_a_dead_anchor_would_be_seen() -> None:
    assert "a-configuration-file" in anchors(APP_PAGE)
    assert "no-such-heading" not in anchors(APP_PAGE)


def test_the_picture_is_a_png_of_moderate_size() -> None:
    picture = (ROOT / "docs" / "images" / "demo.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    assert len(picture) < 200_000


# -- Names ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def stock_variables() -> frozenset[str]:
    """Every ``OTEL_*`` variable that the installed opentelemetry packages name."""
    # The namespace package has many roots; the SDK's is the one that all are installed into.
    root = Path(opentelemetry.sdk.__path__[0]).parent
    found: set[str] = set()
    for file in root.rglob("*.py"):
        found.update(re.findall(r"\bOTEL_[A-Z0-9_]+\b", file.read_text(encoding="utf-8", errors="replace")))
    return frozenset(found)


@lru_cache(maxsize=1)
def own_variables() -> frozenset[str]:
    """Every ``ADA_*`` variable that the configuration, the tools, the example app or the package reads."""
    places = [
        ROOT / ".env.example",
        ROOT / "docker-compose.yml",
        *(ROOT / "collector").glob("*.yaml"),
        *(ROOT / "tools").rglob("*.py"),
        *(ROOT / "examples").rglob("*.py"),
        *(ROOT / "ada_otel").rglob("*.py"),
    ]
    found = {row.env for row in settings.rows()} | {variable(name) for name in PORTS}
    for place in places:
        if place != Path(docs.__file__):
            found.update(VARIABLE.findall(place.read_text(encoding="utf-8")))
    return frozenset(found)


@each_page
def test_every_variable_is_one_that_something_reads(page: Path) -> None:
    named = set(VARIABLE.findall(page.read_text(encoding="utf-8")))
    known = own_variables() | stock_variables() | set(docs.otel_defaults())
    assert named - known == set()


def test_an_invented_variable_would_be_seen() -> None:
    assert "OTEL_EXPORTER_OTLP_TIMEOUT" in stock_variables()
    assert "OTEL_NO_SUCH_THING" not in stock_variables()
    assert "ADA_OTEL_NO_SUCH_THING" not in own_variables()


def test_the_port_table_is_that_of_the_stack() -> None:
    text = (ROOT / "docs" / "platform.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \| `(ADA_STACK_\w+)` \|$", text, re.MULTILINE)
    assert {(name, int(number)) for number, name in rows} == {
        (variable(name), port.default) for name, port in PORTS.items()
    }


def test_the_tool_versions_in_the_readme_are_the_pinned_ones() -> None:
    from tools.versions import pinned

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Go {pinned('go', 'minimum')} or newer" in text
    assert f"JDK {pinned('jdk', 'minimum')} or newer" in text


def test_the_settings_page_is_what_the_code_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main(["--check"]) == 0, capsys.readouterr().err


def test_make_docs_mends_a_stale_page_and_check_only_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "settings.md"
    monkeypatch.setattr(docs, "SETTINGS_PAGE", page)
    page.write_text("old")
    assert docs.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert page.read_text() == "old"
    assert docs.main([]) == 0
    assert page.read_text() == docs.settings_page()
    for row in settings.rows():
        assert f"| `{row.env}` |" in page.read_text()


# -- Commands ------------------------------------------------------------------------------------------------

#: Programs that the reader has, or gets by what the page says before.
_OUTSIDE = {"pip", "docker", "curl"}


@pytest.mark.parametrize("code", every_block("sh"))
def test_every_shell_block_can_be_typed(code: str) -> None:
    parsed = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
    assert (parsed.returncode, parsed.stderr) == (0, "")
    for words in commands(code):
        _check_command(words)


def commands(code: str) -> Iterator[list[str]]:
    """Each simple command of a block, without leading assignments; also the one within ``eval "$(…)"``."""
    for line in code.splitlines():
        inner = re.sub(r'eval "\$\((.*)\)"', r"\1", line)
        words = shlex.split(inner, comments=True)
        while words and re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0]):
            words = words[1:]
        if words:
            yield words


def _check_command(words: list[str]) -> None:
    program, *rest = words
    if program == "make":
        assert_target(rest[0])
    elif program == "sh":
        assert (ROOT / rest[0]).is_file(), rest[0]
    elif program.endswith("python"):
        assert rest[0] == "-m", words
        known_words(rest[1], rest[2:])
    elif program == "ada-otel":
        known_words("ada_otel.cli", rest)
    elif program == "opentelemetry-instrument":
        assert rest[0] in {"gunicorn", "flask"}, words
    else:
        assert program in _OUTSIDE, words


def assert_target(name: str) -> None:
    """A target counts when it has a recipe; a phony one without does nothing."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(name)}:", makefile, re.MULTILINE), f"make {name}"


def known_words(module: str, words: list[str]) -> None:
    """Ask a tool's own help for its subcommand and options; any free argument, a server say, will do."""
    command = [sys.executable, "-m", module, *(word for word in words[:1] if not word.startswith("-"))]
    asked = subprocess.run(
        [*command, "--help"], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    for word in words:
        assert not word.startswith("-") or word in asked.stdout, f"{module} has no {word}"


@each_page
def test_every_make_target_in_the_text_exists(page: Path) -> None:
    for name in re.findall(r"`make ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
        assert_target(name)


def test_the_sentry_variables_are_as_shown() -> None:
    page = ROOT / "docs" / "platform.md"
    (line,) = [
        line for code in blocks(page, "sh") for line in code.splitlines() if line.startswith("SENTRY_DSN=")
    ]
    dsn = line.split("=", 1)[1].split(" ", 1)[0]
    done = subprocess.run(
        [sys.executable, "-m", "ada_otel._sentry_dsn"],
        cwd=ROOT,
        env=clean_environment({"SENTRY_DSN": dsn}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout in blocks(page, "text")


# -- Snippets ------------------------------------------------------------------------------------------------

DRIVE = (
    '\nassert app.test_client().get("/", headers={"X-Tenant": "south"}).status_code == 200\nprint("served")\n'
)


#: What asks Elasticsearch is run by tests/integration/test_analysis.py, which has one.
_OFFLINE = [block for block in every_block("python") if "log-analysis" not in str(block.id)]


@pytest.mark.parametrize("code", _OFFLINE)
def test_every_python_snippet_runs_and_its_request_is_traced(code: str, tmp_path: Path) -> None:
    with otlp_receiver() as received:
        done = run_program(
            code + DRIVE,
            tmp_path,
            environment={
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "ADA_OTEL_RAISE": "true",
            },
        )
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr
    (server,) = (span for span in received.spans() if span["name"] == "GET /")
    assert received.resources()[0]["service.name"] == "shop"
    if "request_hook" in code:
        assert server["attributes"]["shop.tenant"] == "south"
    if "start_as_current_span" in code:
        (inner,) = (span for span in received.spans() if span["name"] == "price the basket")
        (record,) = (entry for entry in received.records() if entry["body"] == "basket priced")
        assert server["attributes"]["shop.tenant"] == "north"
        assert inner["parent_span_id"] == server["span_id"]
        assert record["span_id"] == inner["span_id"]
        assert record["attributes"]["basket_id"] == 17


def test_the_hook_of_the_text_works_under_the_launcher(tmp_path: Path) -> None:
    (code,) = (code for code in blocks(APP_PAGE, "python") if "request_hook" in code)
    (call,) = set(
        re.findall(r"FlaskInstrumentor\.instrument_app\(.*\)", APP_PAGE.read_text(encoding="utf-8"))
    )
    kept = [line for line in code.splitlines() if "instrument(" not in line and "ada_otel.setup" not in line]
    with otlp_receiver() as received:
        done = run_program(
            "\n".join([*kept, call, DRIVE]),
            tmp_path,
            launcher=True,
            environment={
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask",
            },
        )
    assert done.returncode == 0, done.stderr
    (server,) = (span for span in received.spans() if span["name"] == "GET /")
    assert server["attributes"]["shop.tenant"] == "south"


def test_the_line_of_the_readme_serves_and_is_traced(tmp_path: Path) -> None:
    (line,) = (
        words
        for code in blocks(ROOT / "README.md", "sh")
        for words in commands(code)
        if words[0] == "opentelemetry-instrument"
    )
    (tmp_path / "shop.py").write_text(
        'import flask\napp = flask.Flask("shop")\napp.get("/")(lambda: "served")\n', encoding="utf-8"
    )
    address = f"127.0.0.1:{free_port()}"
    scripts = Path(sysconfig.get_path("scripts"))
    with otlp_receiver() as received:
        environment = {
            "OTEL_SERVICE_NAME": "ada",
            "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
            "GUNICORN_CMD_ARGS": f"--bind {address}",
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        }
        server = subprocess.Popen(
            [LAUNCHER, *line[1:]],
            cwd=tmp_path,
            env=clean_environment(environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert _answer(f"http://{address}/") == "served"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(20)
    assert [span["name"] for span in received.spans()] == ["GET /"]
    assert received.resources()[0]["service.name"] == "ada"


def _answer(url: str, seconds: float = 30) -> str:
    """What a server answers, once it does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
        time.sleep(0.1)
    raise AssertionError(f"nothing answered at {url} within {seconds} s")


def test_the_configuration_file_sends_all_three_signals(tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="the extra config-file is not installed")
    (text,) = blocks(APP_PAGE, "yaml")
    assert yaml.safe_load(text)["file_format"] == "1.0"
    (tmp_path / "otel.yaml").write_text(text, encoding="utf-8")
    (code,) = (code for code in blocks(APP_PAGE, "python") if "start_as_current_span" in code)
    with otlp_receiver() as received:
        done = run_program(
            code + DRIVE,
            tmp_path,
            environment={
                "OTEL_CONFIG_FILE": "otel.yaml",
                "OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint,
                "ADA_OTEL_RAISE": "true",
            },
        )
    assert done.returncode == 0, done.stderr
    assert received.resources()[0]["service.name"] == "shop"
    assert {"GET /", "price the basket"} <= {span["name"] for span in received.spans()}
    assert "basket priced" in {record["body"] for record in received.records()}
    assert "http.server.request.duration" in {name for name, *_ in received.points()}


# -- Messages ------------------------------------------------------------------------------------------------

_START = "import logging\nlogging.basicConfig(format='%(message)s')\n"
_SETUP = "import ada_otel\nada_otel.setup()\n"
_BROKEN = """
from ada_otel.instrument.redis import RedisInstrumentor
def refuse(self, **kwargs):
    raise RuntimeError("out of cheese")
RedisInstrumentor._instrument = refuse
"""
_WITHOUT_EXTRA = "import sys\nsys.modules['opentelemetry.configuration'] = None\n"
_NOBODY = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "ADA_OTEL_EXIT_TIMEOUT": "0.5"}

#: Programs in trouble: source, whether under the launcher, environment.
_TROUBLE: list[tuple[str, bool, dict[str, str]]] = [
    (f"{_START}{_BROKEN}{_SETUP}import time\ntime.sleep(0.3)\n", False, _NOBODY),
    (_START + _WITHOUT_EXTRA + _SETUP, False, {"OTEL_CONFIG_FILE": "otel.yaml"}),
    ("pass", True, {"OTEL_PYTHON_CONFIGURATOR": "other"}),
]

#: Variables that the SDK could not start with.
_BAD = [
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
    {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
    {"OTEL_TRACES_EXPORTER": "fax"},
    {"ADA_OTEL_LOG_LEVEL": "loud"},
]


def documented_messages() -> list[str]:
    """The messages of the page's last section, each in the first cell of a row."""
    section = APP_PAGE.read_text(encoding="utf-8").partition("## When nothing arrives")[2]
    return re.findall(r"^\| `(.+?)` \|", section, re.MULTILINE)


def test_every_message_is_said_word_by_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    for source, launcher, environment in _TROUBLE:
        done = run_program(source, tmp_path, launcher=launcher, environment=environment)
        assert done.returncode == 0, done.stderr
        said += done.stderr.splitlines()
    for bad in _BAD:
        forget_reports()
        environ = dict(bad)
        settings.apply_defaults(environ)
        settings.load(environ)
    said += [record.getMessage() for record in caplog.records if record.name == "ada_otel"]
    messages = documented_messages()
    assert len(messages) >= 10
    for message in messages:
        pattern = ".+".join(re.escape(part) for part in message.split("…"))
        assert any(re.fullmatch(pattern, line) for line in said), f"{message}\n\n" + "\n".join(said)
