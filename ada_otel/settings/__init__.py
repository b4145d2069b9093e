"""Every setting of ada-otel, in one typed table: environment name, default, meaning.

The documentation page and the start-up checks are made from this table. A bad value never stops the app:
the default is taken, and one warning says which variable was wrong and what would be right.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from ada_otel._diagnostics import report
from ada_otel.settings._otel_variables import apply_defaults
from ada_otel.settings._parsers import without_password
from ada_otel.settings._table import Setting, Settings

__all__ = ["Setting", "Settings", "apply_defaults", "load", "rows"]


def rows() -> tuple[Setting, ...]:
    """The table itself, in the order of the documentation."""
    return tuple(cast("Setting", f.metadata["setting"]) for f in fields(Settings))


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; a bad or empty value falls back to its default, with one warning.

    Args:
        environ: Where to read; ``os.environ`` by default.
    """
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for item in fields(Settings):
        row = cast("Setting", item.metadata["setting"])
        text = source.get(row.env, "").strip()
        if not text:
            continue
        try:
            values[item.name] = row.parse(text)
        except ValueError as wanted:
            report(
                f"setting:{row.env}",
                f"{row.env} is {without_password(text)!r}, which is not {wanted}; "
                f"the default {row.default!r} is used.",
            )
    return Settings(**values)
