from __future__ import annotations

import os
from importlib.metadata import distribution, version
from pathlib import Path

import ada_otel

ROOT = Path(__file__).resolve().parents[2]


def test_ci_tests_the_wheel_and_not_the_work_tree() -> None:
    place = Path(ada_otel.__file__).resolve()
    if os.environ.get("CI", "").lower() == "true":
        assert not place.is_relative_to(ROOT / "ada_otel"), place
    else:
        # A developer may have an editable install, which leads back here.
        assert place.parent.name == "ada_otel"


def test_the_distribution_carries_types_licence_and_entry_points() -> None:
    installed = distribution("ada-otel")
    assert version("ada-otel") == ada_otel.__version__
    groups = {(point.group, point.name) for point in installed.entry_points}
    assert ("opentelemetry_distro", "ada_otel") in groups
    assert ("opentelemetry_configurator", "ada_otel") in groups
    assert ("console_scripts", "ada-otel") in groups
    assert (Path(ada_otel.__file__).parent / "py.typed").exists()
    assert installed.metadata["License-Expression"] == "Apache-2.0"
