"""The Go programs of the native stack, and the two that only tests need."""

from __future__ import annotations

from pathlib import Path

from tools import paths
from tools.builds.go import GoBuild
from tools.versions import pinned

_HERE = Path(__file__).parent
#: Both Prometheus and Alertmanager report the version that is linked into this variable.
_VERSION = "github.com/prometheus/common/version.Version"

OTELCOL = GoBuild(
    name="otelcol",
    module=paths.COLLECTOR / "distribution",
    packages=(".",),  # named after the last part of the module path
    programs=("otelcol",),
    duration="about 7 to 15 minutes",
)

PROMETHEUS = GoBuild(
    name="prometheus",
    module=_HERE / "prometheus",
    packages=(
        "github.com/prometheus/prometheus/cmd/prometheus",
        "github.com/prometheus/prometheus/cmd/promtool",
    ),
    programs=("prometheus", "promtool"),
    duration="about 5 minutes",
    # Cloud discovery needs modules that are not served whole; static, file and HTTP discovery stay.
    tags=("remove_all_sd",),
    variables=((_VERSION, pinned("prometheus")),),
)

ALERTMANAGER = GoBuild(
    name="alertmanager",
    module=_HERE / "alertmanager",
    packages=(
        "github.com/prometheus/alertmanager/cmd/alertmanager",
        "github.com/prometheus/alertmanager/cmd/amtool",
    ),
    programs=("alertmanager", "amtool"),
    duration="about 2 minutes",
    variables=((_VERSION, pinned("alertmanager")),),
)

#: Loads docker-compose.yml as docker compose does; the stack has no use for it.
COMPOSE = GoBuild(
    name="compose",
    module=_HERE / "compose",
    packages=(".",),
    programs=("compose",),
    duration="under a minute",
)

#: Builds collector/kustomization.yaml as kubectl does; for tests as well.
KUSTOMIZE = GoBuild(
    name="kustomize",
    module=_HERE / "kustomize",
    packages=(".",),
    programs=("kustomize",),
    duration="under a minute",
)

GO_BUILDS = (OTELCOL, PROMETHEUS, ALERTMANAGER, COMPOSE, KUSTOMIZE)
