"""From a parsed frame to a Sentry stack frame: module, in-app mark, and lines of the source around it."""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ada_otel.redaction import redactor
from ada_otel.sentry_bridge.tracebacks import ParsedFrame

#: Lines shown on each side, as Sentry's own SDKs send.
_AROUND = 5
_MAX_LINE = 256
_MAX_SOURCE_BYTES = 2_000_000
#: Beyond this many frames Sentry drops those in the middle.
MAX_FRAMES = 250

_INSTALLED = re.compile(r".*/(?:site|dist)-packages/(?P<rest>.+)")
_STANDARD = re.compile(r".*/(?:lib|lib64|Lib)/(?:python3(?:\.\d+)?/)?(?P<rest>.+)")
_STANDARD_PLACE = re.compile(r"/lib(?:64)?/python3(?:\.\d+)?/|/Python3\d+/Lib/", re.IGNORECASE)


def stack_frame(frame: ParsedFrame, in_app: Sequence[str], *, source: bool) -> dict[str, Any]:
    """One frame of Sentry's stack trace interface.

    Args:
        frame: What the traceback says.
        in_app: Modules that are the app's although they are installed as packages.
        source: Whether to read the lines around it from the file, where it is at hand.
    """
    path = frame.path.replace("\\", "/")
    filename, own = _place(path)
    module = _module(filename)
    own = own or any(module == name or module.startswith(f"{name}.") for name in in_app)
    found: dict[str, Any] = {
        "abs_path": frame.path,
        "filename": filename,
        "function": frame.function,
        "lineno": frame.line,
        "in_app": own,
    }
    if module:
        found["module"] = module
    if frame.text:
        found["context_line"] = frame.text[:_MAX_LINE]
        if source:
            found.update(_around(frame))
    return found


def shortened(frames: Sequence[ParsedFrame]) -> list[ParsedFrame]:
    """The frames, without those in the middle where there are more than Sentry keeps."""
    if len(frames) <= MAX_FRAMES:
        return list(frames)
    half = MAX_FRAMES // 2
    return [*frames[:half], *frames[-half:]]


def _place(path: str) -> tuple[str, bool]:
    """A file's name that is the same on each machine, and whether the file is the app's own."""
    if path.startswith("<"):
        return path, False
    if match := _INSTALLED.fullmatch(path):
        return match["rest"], False
    if _STANDARD_PLACE.search(path) and (match := _STANDARD.fullmatch(path)):
        return match["rest"], False
    filename = _from_package_root(path)
    # This package's wrappers stand between the app and its libraries, also where it runs from a work tree.
    return filename, not filename.startswith("ada_otel/")


@lru_cache(1024)
def _from_package_root(path: str) -> str:
    """The path from the folder that is imported from, by ``__init__.py``; else its last two parts."""
    file = Path(path)
    try:
        folder = file.parent
        while (folder / "__init__.py").is_file() and folder != folder.parent:
            folder = folder.parent
        if file.is_file() and file.is_absolute():
            return file.relative_to(folder).as_posix()
    except (OSError, ValueError):
        pass
    # The folder of a release has another name each time, and must not make another Issue.
    return "/".join(path.split("/")[-2:]).lstrip("/")


def _module(filename: str) -> str:
    if not filename.endswith(".py"):
        return ""
    return filename.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _around(frame: ParsedFrame) -> dict[str, Any]:
    """The lines around a frame, if the file here has the very line that the traceback shows."""
    lines = _source(frame.path)
    if not 0 < frame.line <= len(lines) or lines[frame.line - 1].strip() != frame.text:
        return {}
    at = frame.line - 1
    # The traceback was redacted in the app; these lines are read here.
    shown = [redactor().text(line[:_MAX_LINE]) for line in lines[max(0, at - _AROUND) : at + 1 + _AROUND]]
    before = min(at, _AROUND)
    return {
        "pre_context": shown[:before],
        "context_line": shown[before],
        "post_context": shown[before + 1 :],
    }


def _source(path: str) -> tuple[str, ...]:
    # A record may name any file: only Python source is opened, and nothing of it is sent without a match.
    if not path.endswith(".py"):
        return ()
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return ()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_SOURCE_BYTES:
        return ()
    return _read(path, found.st_mtime_ns)


@lru_cache(128)
def _read(path: str, _changed: int) -> tuple[str, ...]:
    try:
        return tuple(Path(path).read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError:
        return ()
