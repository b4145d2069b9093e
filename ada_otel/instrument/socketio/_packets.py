"""What an encoded Socket.IO packet says without being decoded: size, kind, namespace, event.

Socket.IO protocol, revision 5: a digit for the kind, attachments and ``-``, the namespace and ``,`` unless it
is ``/``, the acknowledgement's id, then JSON.
"""

from __future__ import annotations

from typing import Any

#: Kinds of packets, plain and with attachments.
EVENTS = frozenset({2, 5})
ACKNOWLEDGEMENTS = frozenset({3, 6})


def size(part: str | bytes) -> int:
    """Bytes of one part of a packet on the wire, without the framing of Engine.IO."""
    if isinstance(part, str) and not part.isascii():
        return len(part.encode("utf-8", "surrogatepass"))
    return len(part)


def namespace(text: str) -> str:
    """The namespace of an encoded packet."""
    start = text.find("-") + 1 if text[:1] in {"5", "6"} else 1
    if text[start : start + 1] != "/":
        return "/"
    end = text.find(",", start)
    return (text[start:] if end < 0 else text[start:end]).partition("?")[0]


def event(text: str) -> Any:
    """The name of the event in an encoded packet, or ``None`` where it is not plain to see."""
    start = text.find('["')
    if start < 0:
        return None
    end = text.find('"', start + 2)
    name = text[start + 2 : end]
    return None if "\\" in name else name
