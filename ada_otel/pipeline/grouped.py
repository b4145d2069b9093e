"""What recurs: attributes of a client or a call site, links to a connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.trace import Link

__all__ = ["NOTHING", "PLAIN", "Group", "GroupedAttributes", "SharedLinks", "together"]

#: Values of exactly these types are kept as they are; all others are cleaned by the SDK's own code.
PLAIN = frozenset({str, bool, int, float})

#: The events and links of a span that has none, and dropped none.
NOTHING: Sequence[Any] = ()


class Group:
    """Pairs that recur together. What is worked out for a group is found again by the object: keep it.

    Args:
        pairs: Keys and values, each str, bool, int or float.
    """

    __slots__ = ("keys", "pairs")

    def __init__(self, pairs: tuple[tuple[str, Any], ...]) -> None:
        self.pairs = pairs
        self.keys = frozenset([key for key, _ in pairs])


class GroupedAttributes(Mapping[str, Any]):
    """A mapping whose groups our encoder looks up whole, in one step for each.

    Args:
        groups: The groups; no key occurs twice, here or in ``rest``.
        rest: The other attributes: str, bool, int and float.
    """

    __slots__ = ("groups", "rest")

    def __init__(self, groups: tuple[Group, ...], rest: dict[str, Any]) -> None:
        self.groups = groups
        self.rest = rest

    def together(self) -> dict[str, Any]:
        """A dict of all of them."""
        found = {key: value for group in self.groups for key, value in group.pairs}
        found.update(self.rest)
        return found

    def __getitem__(self, key: str) -> Any:
        return self.together()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.together())

    def __len__(self) -> int:
        return sum([len(group.pairs) for group in self.groups]) + len(self.rest)


def together(attributes: dict[str, Any] | GroupedAttributes) -> dict[str, Any]:
    """A dict of attributes, grouped or not."""
    return attributes.together() if type(attributes) is GroupedAttributes else attributes  # type: ignore[return-value]


class SharedLinks(tuple["Link", ...]):  # noqa: SLOT001  # a tuple's slots would have to be empty
    """Links that many spans have.

    Attributes:
        redacted: Whether secrets have been taken out of them.
        encoded: Their OTLP bytes, kept by the encoder.
    """

    redacted = False
    encoded: bytes | None = None
