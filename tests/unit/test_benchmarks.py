"""The benchmark's arithmetic, its report, its sink, and a tiny real run. Nothing here asserts a timing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks import __main__ as bench
from benchmarks import environments, measure, observers, processes, report
from benchmarks.figures import GOALS, Spread, judge, summarise
from benchmarks.programs import sink
from benchmarks.variants import CASES, COMPARED, VARIANTS
from tools.errors import ToolError

ROUNDS = {"none": [100.0, 200.0, 110.0], "stock": [400.0, 500.0, 410.0], "ada": [130.0, 230.0, 170.0]}


class TestFigures:
    def test_spread_has_median_quartiles_and_least(self) -> None:
        found = Spread.of([5.0, 1.0, 3.0, 2.0, 4.0])
        assert (found.median, found.p25, found.p75, found.least) == (3.0, 2.0, 4.0, 1.0)

    def test_spread_of_one_round_is_that_round(self) -> None:
        assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 7.0, 7.0, 7.0)

    @pytest.mark.parametrize(
        ("rounds", "outside"), [(2, 0), (5, 0), (8, 0), (9, 1), (12, 2), (24, 6), (100, 39)]
    )
    def test_the_interval_of_the_median_is_that_of_the_sign_test(self, rounds: int, outside: int) -> None:
        # Of the published tables of the sign test, two-sided, 5 %.
        found = Spread.of([float(value) for value in range(rounds)])
        assert (found.low, found.high) == (outside, rounds - 1 - outside)

    def test_shares_are_taken_round_by_round(self) -> None:
        # Added by ada: 30, 30, 60; by stock: 300 each. The drift of the second round cancels out.
        row = summarise(ROUNDS)["ada"]
        assert row["added"]["median"] == 30
        assert row["of_stock"]["median"] == pytest.approx(0.1)
        assert row["of_stock"]["p75"] == pytest.approx(0.15)
        assert row["of_stock_least"] == pytest.approx((130 - 100) / (400 - 100))

    def test_stock_is_all_of_stock(self) -> None:
        assert summarise(ROUNDS)["stock"]["of_stock"]["median"] == 1

    def test_bare_app_adds_nothing_and_has_no_share(self) -> None:
        assert {"added", "of_stock"}.isdisjoint(summarise(ROUNDS)["none"])

    def test_no_share_without_stock(self) -> None:
        row = summarise({name: ROUNDS[name] for name in ("none", "ada")})["ada"]
        assert "added" in row
        assert "of_stock" not in row

    def test_a_round_in_which_stock_added_nothing_has_no_share(self) -> None:
        row = summarise({"none": [100.0, 100.0], "stock": [90.0, 200.0], "ada": [120.0, 120.0]})["ada"]
        assert row["of_stock"]["median"] == pytest.approx(0.2)
        assert "of_stock_least" not in row

    def test_shares_may_be_of_what_stock_adds_to_another_measure(self) -> None:
        # Added by ada: 6, 6, 6; by stock to requests: 300 each.
        events = {"none": [10.0, 20.0, 12.0], "ada": [16.0, 26.0, 18.0]}
        row = summarise(events, {name: ROUNDS[name] for name in ("none", "stock")})["ada"]
        assert row["added"]["median"] == 6
        assert row["of_bare"]["median"] == pytest.approx(1.5)
        assert row["of_stock"]["median"] == pytest.approx(0.02)
        assert row["of_stock_least"] == pytest.approx(6 / 300)

    def test_a_variant_with_fewer_rounds_is_compared_in_those(self) -> None:
        row = summarise({**ROUNDS, "ada": [130.0, 230.0]})["ada"]
        assert row["added"]["median"] == 30
        assert row["of_stock"]["p75"] == pytest.approx(0.1)

    def test_a_variant_with_more_rounds_than_the_bare_app_is_refused(self) -> None:
        with pytest.raises(ValueError, match="shorter"):
            summarise({"none": [1.0], "ada": [2.0, 3.0]})


class TestGoals:
    def test_met_and_missed(self) -> None:
        results = {
            "cpu": {
                "plain": {"ada": {"of_stock": {"median": 0.1, "low": 0.05, "high": 0.2}}},
                "full": {"ada": {"of_stock": {"median": 0.3, "low": 0.2, "high": 0.4}}},
            }
        }
        assert [(row["low"], row["share"], row["high"], row["met"]) for row in judge(results)] == [
            (0.05, 0.1, 0.2, True),
            (0.2, 0.3, 0.4, False),
        ]

    def test_the_start_is_judged_by_our_own_launcher(self) -> None:
        interval = {"low": 0.3, "high": 0.8}
        shares = {
            "ada": {"of_stock": {"median": 0.7, **interval}},
            "ada-run": {"of_stock": {"median": 0.4, **interval}},
        }
        (row,) = judge({"start": {"cpu_s": shares}})
        assert (row["share"], row["met"]) == (0.4, True)

    @pytest.mark.parametrize(("added", "met"), [(38.0, True), (39.0, False)])
    def test_a_socket_io_event_is_judged_by_what_a_plain_request_costs(self, added: float, met: bool) -> None:
        # Stock adds 300 to a request: 30/237 of that is 37.97.
        events = summarise({"none": [10.0] * 3, "ada": [10 + added - 0.1] * 3}, ROUNDS)
        (row,) = judge({"socketio": {"event": events}})
        assert "Socket.IO event" in row["goal"]
        assert row["met"] is met

    def test_what_was_not_measured_is_left_out(self) -> None:
        assert judge({"cpu": {}, "http": {}}) == []

    def test_every_goal_names_a_measure_that_a_run_takes(self) -> None:
        known = {("cpu", case) for case in CASES} | {("start", "cpu_s"), ("start", "rss_kib")}
        known |= {("socketio", "event")}
        assert {goal.path for goal in GOALS} <= known


class TestVariants:
    @pytest.mark.parametrize("name", VARIANTS)
    def test_has_pins(self, name: str) -> None:
        pins = (environments.PINS / f"{VARIANTS[name].pins}.txt").read_text()
        assert (
            not VARIANTS[name].package
            or VARIANTS[name].package == "ada-otel"
            or VARIANTS[name].package in pins
        )

    def test_all_pin_the_same_versions_of_what_the_app_uses(self) -> None:
        found: dict[str, set[str]] = {}
        for pins in {variant.pins for variant in VARIANTS.values()}:
            for line in (environments.PINS / f"{pins}.txt").read_text().splitlines():
                package, _, number = line.partition("==")
                if package in environments.SHARED:
                    found.setdefault(package, set()).add(number)
        assert set(found) == set(environments.SHARED)
        assert all(len(numbers) == 1 for numbers in found.values()), found

    def test_sampling_reaches_each_kind_of_sdk(self) -> None:
        made = {
            name: VARIANTS[name].environment(CASES["sampled"], "http://127.0.0.1:1", 2)
            for name in ("stock", "sentry", "ddtrace")
        }
        assert made["stock"]["OTEL_TRACES_SAMPLER_ARG"] == "0.01"
        assert made["sentry"]["BENCH_SAMPLE_RATE"] == "0.01"
        assert json.loads(made["ddtrace"]["DD_TRACE_SAMPLING_RULES"]) == [{"sample_rate": 0.01}]

    def test_fast_path_off_differs_from_ours_in_that_only(self) -> None:
        ours, off = (
            VARIANTS[name].environment(CASES["full"], "http://127.0.0.1:1", 2)
            for name in ("ada", "ada-stock")
        )
        assert set(off.items()) - set(ours.items()) == {
            ("ADA_OTEL_FAST_PATH", "false"),
            ("BENCH_VARIANT", "ada-stock"),
        }


def test_without_what_the_goals_compare_there_are_no_further_rounds() -> None:
    rounds = measure.Rounds(number=2, further=3, requests=1, seconds=60)
    answers = measure._interleave(rounds, ["logfire"], measure._one_by_one(lambda _name: {"cpu": 1.0}))
    assert answers == {"logfire": [{"cpu": 1.0}] * 2}


def test_variants_take_turns_every_few_requests_and_begin_in_turn() -> None:
    assert list(measure._slices(120, ["none", "stock"])) == [
        (50, ("none", "stock")),
        (50, ("stock", "none")),
        (20, ("none", "stock")),
    ]


class TestCommandLine:
    def test_unknown_variant_is_named_with_what_would_be_right(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            bench.main(["--variants", "none,nonsense"])
        said = capsys.readouterr().err
        assert "nonsense is not one of none, stock, ada" in said

    @pytest.mark.parametrize("text", ["0", "-1", "many"])
    def test_rounds_must_be_a_whole_number(self, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            bench.main([f"--rounds={text}"])
        assert f"{text!r} is not a whole number above 0" in capsys.readouterr().err


class TestSink:
    def test_counts_the_spans_of_all_resources_and_scopes(self) -> None:
        request = ExportTraceServiceRequest()
        for _ in range(2):
            resource = request.resource_spans.add()
            resource.resource.attributes.add(key="service.name").value.string_value = "bench"
            for _ in range(3):
                scope = resource.scope_spans.add()
                scope.scope.name = "scope"
                for _ in range(4):
                    scope.spans.add(name="GET /", start_time_unix_nano=1 << 60, flags=257)
        assert sink.otlp_items(request.SerializeToString()) == 24

    def test_counts_the_items_of_a_sentry_envelope(self) -> None:
        transaction = json.dumps({"type": "transaction", "spans": [{}, {}]}).encode()
        logs = b'{"items":[{"body":"a\xc3\xa9"}]}'
        envelope = b'{"dsn":"x"}\n'
        envelope += json.dumps({"type": "transaction", "length": len(transaction)}).encode() + b"\n"
        envelope += transaction + b"\n"
        envelope += json.dumps({"type": "log", "item_count": 7, "length": len(logs)}).encode() + b"\n" + logs
        assert sink.sentry_items(envelope) == {"spans": 3, "log_records": 7}

    def test_keeps_ports_apart_and_takes_chunks(self) -> None:
        command = [sys.executable, str(processes.PROGRAMS / "sink.py"), "2"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin
            assert process.stdout
            first, second = json.loads(process.stdout.readline())
            request = ExportTraceServiceRequest()
            request.resource_spans.add().scope_spans.add().spans.add(name="one")
            body = request.SerializeToString()
            for data in (body, iter([body[:3], body[3:]])):  # the second is sent in chunks
                post = urllib.request.Request(f"http://127.0.0.1:{first}/v1/traces", data=data, method="POST")
                assert urllib.request.urlopen(post, timeout=10).status == 200
            deadline = time.monotonic() + 10
            while (counted := _counts(first)).get("requests", 0) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            assert counted == {"requests": 2, "bytes": 2 * len(body), "spans": 2}
            assert _counts(second) == {}
            process.stdin.close()
            assert process.wait(timeout=10) == 0


class TestReport:
    @pytest.fixture
    def results(self) -> dict[str, Any]:
        cpu = summarise(ROUNDS)
        for name, row in cpu.items():
            spans = {"spans": 1.0, "bytes": 474.0} if name != "none" else {}
            row |= {"thread_us": row["least"], "received": spans}
        versions = dict.fromkeys(environments.SHARED, "1.0")
        found: dict[str, Any] = {
            "run": {
                "date": "2026-01-01 00:00 UTC",
                "python": "3.11.7",
                "system": "Linux x86_64",
                "processor": "a processor",
                "cores": 2,
                "rounds": 3,
                "further_rounds": 2,
                "requests_per_round": 10,
                "load_average": [1.0, 2.0],
            },
            "variants": {
                name: {"title": VARIANTS[name].title, "note": "", "versions": versions} for name in ROUNDS
            },
            "cpu": {"plain": cpu},
            "http": {"plain": {"wall": cpu, "p99": cpu, "cpu": cpu}},
            "socketio": {
                "event": summarise({name: ROUNDS[name] for name in ("none", "ada")}, ROUNDS),
                "request": summarise({name: ROUNDS[name] for name in ("none", "stock")}),
            },
            "start": {"cpu_s": cpu, "rss_kib": cpu},
            "memory": {
                "ada": {
                    "rss_kib": [[0, 1024], [5, 2048], [10, 3072]],
                    "peak_bytes": 2048,
                    "blocks_until_sent": 4.5,
                    "blocks_after": 0.25,
                }
            },
        }
        found["goals"] = judge(found)
        return found

    def test_figures_stand_in_their_tables(self, results: dict[str, Any]) -> None:
        text = report.render(results)
        assert "| ada-otel | 170.0 (150.0-200.0) | 130.0 | 30.0 (30.0-45.0) | 0.10 (0.10-0.15) |" in text
        assert "| ada-otel | 1.0 | 2.0 | 3.0 | 2.0 | 4.5 | 0.25 |" in text
        assert "1.00 spans, 474 B" in text
        assert "load average 1.0 to 2.0" in text

    def test_socket_io_has_a_table_with_the_ratio_to_the_bare_handler(self, results: dict[str, Any]) -> None:
        text = report.render(results)
        assert "## CPU per event: one Socket.IO event" in text
        assert (
            "| event, ada-otel | 170.0 (150.0-200.0) | 130.0 | 30.0 (30.0-45.0) | 1.30 (1.23-1.42) "
            "| 0.10 (0.10-0.15) |" in text
        )
        assert "CPU added per Socket.IO event" in text.split("\n## ")[1]

    def test_a_missed_goal_is_shown_as_missed(self, results: dict[str, Any]) -> None:
        results["goals"] = [
            {"goal": "CPU", "limit": 0.25, "share": 0.3, "low": 0.21, "high": 0.39, "met": False}
        ]
        assert "| CPU | 0.250 | 0.300 | 0.210 to 0.390 | **no** |" in report.render(results)

    def test_every_row_of_a_table_has_as_many_cells_as_its_head(self, results: dict[str, Any]) -> None:
        for section in report.render(results).split("\n## ")[1:]:
            widths = {line.count("|") for line in section.splitlines() if line.startswith("|")}
            assert len(widths) == 1, section

    def test_the_page_has_what_the_drill_of_the_log_volume_measured(
        self, results: dict[str, Any], tmp_path: Path
    ) -> None:
        seconds = {
            "query_seconds": {"slow": 1.25, "command: slow": 2.5},
            "query_again_seconds": {"slow": 0.5},
        }
        drill = {"lines": 1000000, "requests": 100000, "sent_seconds": 400.4, "arrived_seconds": 410.2}
        rows = [{"drill": "forks", "hung": 0}, {"drill": "log volume", **drill, **seconds}]
        page, plot = tmp_path / "page.md", tmp_path / "images" / "plot.png"
        report.write(results, page, plot, rows)
        (section,) = (part for part in page.read_text().split("\n## ") if part.startswith("Log search\n"))
        assert "1,000,000 lines" in section
        assert "100,000 requests" in section
        assert section.endswith("| slow | 1.250 | 0.500 |\n| command: slow | 2.500 |  |\n")
        report.write(results, page, plot, rows[:1])
        assert "Log search" not in page.read_text()

    def test_the_page_in_docs_is_the_results(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        page, plot = bench.PAGE.read_text(), bench.PLOT.relative_to(bench.PAGE.parent)
        copy = tmp_path / "docs" / "benchmarks.md"
        copy.parent.mkdir()
        monkeypatch.setattr(bench, "PAGE", copy)
        monkeypatch.setattr(bench, "PLOT", copy.parent / plot)
        assert bench.main(["--page-only"]) == 0
        assert copy.read_text() == page

    def test_cases_that_were_measured_again_take_the_place_of_the_former(
        self, results: dict[str, Any]
    ) -> None:
        shares = {"median": 0.3, "low": 0.2, "high": 0.4}
        start = {"ada-run": {**results["start"]["cpu_s"]["ada"], "of_stock": shares}}
        found = {
            "run": {**results["run"], "date": "2026-02-02 00:00 UTC"},
            "variants": results["variants"],
            "cpu": {},
            "http": {},
            "start": {"cpu_s": start, "rss_kib": results["start"]["rss_kib"]},
        }
        made = bench.renewed(results, found)
        assert (made["cpu"], made["memory"]) == (results["cpu"], results["memory"])
        assert made["start"] == found["start"]
        assert [
            goal["share"] for goal in made["goals"] if goal["goal"].startswith("CPU added to the start")
        ] == [0.3]
        assert made["run"]["date"] == "2026-01-01 00:00 UTC"
        text = report.render({**made, "start": results["start"]})
        assert "Measured again, in a run of its own: start, 2026-02-02 00:00 UTC" in text
        assert "Measured again" not in report.render(results)
        with pytest.raises(ToolError, match="run all cases again"):
            bench.renewed({**results, "variants": {}}, found)

    def test_measures_that_were_not_taken_are_left_out(self, results: dict[str, Any]) -> None:
        for key in ("start", "memory", "socketio"):
            del results[key]
        results |= {"http": {}, "goals": []}
        text = report.render(results)
        assert "## Start" not in text
        assert "against its goals" not in text


def test_observers_are_read_anew_in_each_round_beside_stock(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    assert observers.main(["--rounds", "2", "--json", str(file)]) == 0
    cases = json.loads(file.read_text())["cases"]
    assert set(cases) == {"stock", "ours"}
    # CPU, memory, file systems and network of the host, and the process.
    assert all(figures["points"] > 25 and figures["least_us"] > 0 for figures in cases.values())
    assert cases["stock"]["share_of_stock"] == 1


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_real_run_of_none_and_ada() -> None:
    results = bench.run(
        ("none", "ada", "ada-stock"),
        ("full", "http", "memory"),
        rounds=1,
        further=1,
        block=20,
        memory_requests=40,
    )
    received = results["cpu"]["full"]["ada"]["received"]
    assert (received["spans"], received["log_records"]) == (3, 2)  # the app's line, and the request's
    assert received["metrics"] > 0
    assert results["cpu"]["full"]["none"]["received"] == {}
    rounds = {name: len(row["rounds"]) for name, row in results["cpu"]["full"].items()}
    assert rounds == {"none": 2, "ada": 2, "ada-stock": 1}
    assert all(row["least"] > 0 for row in results["cpu"]["full"].values())
    assert set(results["http"]["full"]["wall"]) == {"none", "ada", "ada-stock"}
    assert results["memory"]["ada"]["rss_kib"][-1][0] == 40
    assert results["variants"]["ada"]["versions"]["ada-otel"]
    assert results["goals"] == []  # there is no stock to compare with
    assert "| ada-otel |" in report.render(results)


def _counts(port: int) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_counts", timeout=10) as answer:
        return json.load(answer)


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_real_run_of_socket_io() -> None:
    results = bench.run(COMPARED, ("socketio",), rounds=1, further=1, block=20, memory_requests=1)
    measured = results["socketio"]
    assert set(measured["event"]) == {"none", "ada"}
    assert set(measured["request"]) == {"none", "stock"}
    received = measured["event"]["ada"]["received"]
    assert received["spans"] == 1
    assert received["metrics"] > 0
    assert all(row["least"] > 0 for rows in measured.values() for row in rows.values())
    assert [row["goal"] for row in results["goals"]] == [
        goal.title for goal in GOALS if goal.path == ("socketio", "event")
    ]
