"""Puts a real Elasticsearch node together: the published server jars, and a small main class to start them.

Elasticsearch's own archive is not on Maven Central, but its server and its Netty transport are, and they are
enough for one node without security. Missing in it: ILM, ES|QL, painless, ingest processors.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools import paths
from tools.builds.inputs import input_hash
from tools.builds.java import find_jdk
from tools.builds.publish import build_once
from tools.builds.run import run
from tools.errors import ToolError
from tools.progress import step
from tools.versions import pinned

SOURCES = Path(__file__).with_name("elasticsearch")
#: Elasticsearch calls libzstd for `best_compression`; it looks for it in a folder of its own, by this name.
_ZSTD_LINK = "libzstd.so"
_ZSTD_FOLDERS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib")


@dataclass(frozen=True)
class ElasticsearchNode:
    """A node that is ready to be started.

    Attributes:
        java: The ``java`` that starts it.
        class_path: Our classes, then all jars.
        native: The folder of libraries that Elasticsearch loads.
    """

    java: Path
    class_path: str
    native: Path


def build(environ: Mapping[str, str] | None = None, cache: Path | None = None) -> ElasticsearchNode:
    """Fetch the jars and compile our classes, unless the cache holds them.

    Args:
        environ: This process's environment by default.
        cache: The cache folder; :func:`tools.paths.cache_folder` by default.

    Raises:
        ToolError: No JDK, no Maven, no libzstd, or one of them failed; says what to do.
    """
    env = dict(os.environ if environ is None else environ)
    store = paths.cache_folder(env) if cache is None else cache
    jdk = find_jdk(env)
    zstd = find_zstd()
    version, plugin = pinned("elasticsearch"), pinned("maven_dependency_plugin")
    pom = SOURCES / "pom.xml"
    java_files = sorted((SOURCES / "src").rglob("*.java"))

    def fetch(folder: Path) -> None:
        maven = shutil.which("mvn", path=env.get("PATH"))
        if maven is None:
            raise ToolError(
                f"Elasticsearch {version} is fetched by Maven, and there is no mvn on PATH.\n"
                "    Install it: apt-get install maven (or https://maven.apache.org/download.cgi)."
            )
        with step(f"fetching Elasticsearch {version} (46 MB of jars): about a minute the first time"):
            run(
                [
                    maven,
                    "--batch-mode",
                    "--file",
                    str(pom),
                    f"-Delasticsearch.version={version}",
                    f"-DoutputDirectory={folder}",
                    f"org.apache.maven.plugins:maven-dependency-plugin:{plugin}:copy-dependencies",
                ],
                what=f"fetching Elasticsearch {version}",
                log=store / "logs" / "elasticsearch-jars.log",
                folder=folder,
                environ={**env, "JAVA_HOME": str(jdk.home)},
            )

    place = store / "elasticsearch"
    jars = build_once(place / f"jars-{version}-{input_hash(SOURCES, [pom], [version, plugin])}", fetch)
    jar_path = os.pathsep.join(str(jar) for jar in sorted(jars.glob("*.jar")))

    def compile_classes(folder: Path) -> None:
        run(
            [
                str(jdk.home / "bin" / "javac"),
                "-nowarn",
                "-d",
                str(folder),
                "-cp",
                jar_path,
                *map(str, java_files),
            ],
            what="compiling the Elasticsearch node",
            log=store / "logs" / "elasticsearch-classes.log",
            folder=SOURCES,
            environ=env,
        )

    classes = build_once(
        place / f"classes-{input_hash(SOURCES, [pom, *java_files], [version, jdk.version])}", compile_classes
    )
    native = build_once(
        place / f"native-{input_hash(zstd.parent, [], [str(zstd)])}",
        lambda folder: (folder / _ZSTD_LINK).symlink_to(zstd),
    )
    return ElasticsearchNode(jdk.home / "bin" / "java", f"{classes}{os.pathsep}{jar_path}", native)


def find_zstd(folders: tuple[str, ...] = _ZSTD_FOLDERS) -> Path:
    """The system's libzstd.

    Raises:
        ToolError: There is none; says how to install it.
    """
    for folder in folders:
        for pattern in ("libzstd.so.1", "*/libzstd.so.1", "libzstd.dylib"):
            for library in sorted(Path(folder).glob(pattern)):
                return library.resolve()
    raise ToolError(
        "Elasticsearch needs the system library libzstd, and there is none.\n"
        "    Install it: apt-get install libzstd1 (Fedora: dnf install libzstd; macOS: brew install zstd)."
    )
