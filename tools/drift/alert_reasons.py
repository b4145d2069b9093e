"""Why each alert waits before anybody is told, and stays after its end: from the comments of the rules.

They stand above the values, in the rule files, for whoever changes one::

    # Waits: one burst is in the 5 minutes' rate for less than 5 minutes.
    for: 5m
    # Stays: the ratio swings around 5 % after a half mend.
    keep_firing_for: 5m

An alert without ``for`` says ``No wait:``, one without ``keep_firing_for`` says ``No stay:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ALERT = re.compile(r"^ *- alert: (\w+)\n(.*?)^ *labels:$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^ *# ?(.*)$")
_LEAD = re.compile(r"(Waits|No wait|Stays|No stay): (.+)")


@dataclass(frozen=True)
class Reasons:
    """Of one alert.

    Attributes:
        wait: Why ``for`` is what it is, or why there is none.
        stay: Why ``keep_firing_for`` is what it is, or why there is none.
    """

    wait: str
    stay: str


def alert_reasons(text: str) -> dict[str, Reasons]:
    """The reasons of each alert in a rule file.

    Raises:
        ValueError: An alert comes without one, or with one for what it has not; says which.
    """
    return {name: _reasons(name, rule) for name, rule in _ALERT.findall(text)}


def _reasons(name: str, rule: str) -> Reasons:
    found = dict(_comments(rule))
    wait = "Waits" if re.search(r"^ *for:", rule, re.MULTILINE) else "No wait"
    stay = "Stays" if re.search(r"^ *keep_firing_for:", rule, re.MULTILINE) else "No stay"
    if set(found) != {wait, stay}:
        raise ValueError(f'{name}: comments "# {wait}: …" and "# {stay}: …" have to say why, and no others')
    return Reasons(found[wait], found[stay])


def _comments(rule: str) -> Iterator[tuple[str, str]]:
    """The comments of a rule that begin with one of the words, each to its end."""
    lead = ""
    words: list[str] = []
    for line in rule.splitlines():
        comment = _COMMENT.match(line)
        begun = _LEAD.match(comment[1]) if comment else None
        if lead and (begun or not comment):
            yield lead, " ".join(words)
            lead = ""
        if begun:
            lead, words = begun[1], [begun[2]]
        elif comment and lead:
            words.append(comment[1].strip())
    if lead:
        yield lead, " ".join(words)
