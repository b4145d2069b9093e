"""The one kind of error that a tool's user sees."""

from __future__ import annotations


class ToolError(Exception):
    """Something that the person at the keyboard can mend; the text says what is wrong and how to mend it."""
