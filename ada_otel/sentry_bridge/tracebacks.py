"""Reads the text of a Python traceback back into exceptions and frames.

The text is what ``traceback.format_exception`` writes, with chains and exception groups. Whatever does not
look like that is passed over: a traceback may come from another version or be cut off. Time is linear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

_FRAME = re.compile(r'  File "(?P<path>.*)", line (?P<line>\d+), in (?P<function>.+)')
_MARKERS = re.compile(r"[\s^~]+")
_TYPE = re.compile(r"(?P<type>[^\W\d][\w.<>]*)(?:: ?(?P<value>.*))?")
_GROUP_TITLE = "Exception Group Traceback (most recent call last):"
_TITLE = "Traceback (most recent call last):"
_CHAINS: dict[str, Literal["__cause__", "__context__"]] = {
    "The above exception was the direct cause of the following exception:": "__cause__",
    "During handling of the above exception, another exception occurred:": "__context__",
}
#: Groups that are nested deeper than this are passed over; Python itself prints ten levels.
_MOST_NESTED = 12


@dataclass
class ParsedFrame:
    """One frame.

    Attributes:
        path: The file, as the traceback names it.
        line: Line number in it, from 1.
        function: Name of the function.
        text: The source line, without its indentation; empty where the traceback holds none.
    """

    path: str
    line: int
    function: str
    text: str = ""


@dataclass
class ParsedException:
    """One exception.

    Attributes:
        type: Its class, with the module unless that is ``builtins``; empty where the text was cut off.
        value: Its message, with its notes.
        frames: Outermost call first.
        cause: The exception before it in the chain.
        link: How the cause came about: ``__cause__`` is ``raise … from``.
        members: The exceptions of a group.
    """

    type: str = ""
    value: str = ""
    frames: list[ParsedFrame] = field(default_factory=list)
    cause: ParsedException | None = None
    link: Literal["__cause__", "__context__"] = "__context__"
    members: list[ParsedException] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Whether nothing of an exception was found."""
        return not (self.type or self.frames or self.members)


def parse_traceback(text: str) -> ParsedException | None:
    """Read a traceback.

    Args:
        text: Such as the attribute ``exception.stacktrace``.

    Returns:
        The exception that was raised last, with those before it as its :attr:`~ParsedException.cause`;
        ``None`` if the text holds none.
    """
    return _parse(text.splitlines(), 0)


#: A line of the block itself, or the lines of one member of a group.
_Token = str | list[str]


def _parse(lines: Sequence[str], depth: int) -> ParsedException | None:
    """The last exception of a chain at one level of nesting."""
    newest: ParsedException | None = None
    link: Literal["__cause__", "__context__"] = "__context__"
    part: list[_Token] = []
    for token in [*_tokens(lines, depth), None]:
        chain = _CHAINS.get(token) if isinstance(token, str) else None
        if token is not None and chain is None:
            part.append(token)
            continue
        found = _exception(part, depth)
        if not found.is_empty():
            found.cause, found.link = newest, link
            newest = found
        part = []
        link = chain or link
    return newest


def _tokens(lines: Sequence[str], depth: int) -> list[_Token]:
    """The lines of one level without their margin, and each member of a group as a list of its lines."""
    # Python sets a group off by two blanks, each member by two more, and ends a group with a line.
    level = max(depth, 1)
    inner = " " * (2 * level + 2)
    begin = re.compile(rf"(?:{inner[2:]}\+-|{inner})\+-+ (?:\d+|\.\.\.) -+")
    end = re.compile(rf"{inner}\+-+")
    margin = " " * (2 * level) + "| "
    tokens: list[_Token] = []
    member: list[str] | None = None
    for line in lines:
        if begin.fullmatch(line):
            member = []
            tokens.append(member)
        elif member is not None:
            if end.fullmatch(line):
                member = None
            else:
                member.append(line)
        else:
            tokens.append(_without_margin(line, margin, depth))
    return tokens


def _without_margin(line: str, margin: str, depth: int) -> str:
    if line.startswith(margin):
        return line[len(margin) :]
    if depth == 0:
        # What is before the group in its chain has no margin.
        return _GROUP_TITLE if line == f"  + {_GROUP_TITLE}" else line
    return line.strip(" |")


def _exception(tokens: Sequence[_Token], depth: int) -> ParsedException:
    found = ParsedException()
    value: list[str] = []
    for token in tokens:
        if isinstance(token, list):
            member = _parse(token, max(depth, 1) + 1) if depth < _MOST_NESTED else None
            if member is not None:
                found.members.append(member)
        elif found.type:
            value.append(token)
        elif token in (_TITLE, _GROUP_TITLE) or not token.strip():
            continue
        elif token.startswith(" "):
            _frame_line(token, found.frames)
        elif match := _TYPE.fullmatch(token):
            found.type = match["type"]
            value.append(match["value"] or "")
    found.value = "\n".join(value).strip()
    return found


def _frame_line(line: str, frames: list[ParsedFrame]) -> None:
    if match := _FRAME.fullmatch(line):
        frames.append(ParsedFrame(match["path"], int(match["line"]), match["function"]))
    elif frames and not frames[-1].text and line.startswith("    ") and not _MARKERS.fullmatch(line):
        frames[-1].text = line.strip()
