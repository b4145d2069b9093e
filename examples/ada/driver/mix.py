"""The steps that a load is mixed from; each is one request or one Socket.IO event."""

from __future__ import annotations

import random
from collections.abc import Callable

from .user import UNMATCHED, DrivenUser

Step = Callable[[DrivenUser, random.Random], None]

_WORDS = ("brass", "paper", "silver", "loom", "card", "engine", "notebook")
_PNG = b"\x89PNG\r\n\x1a\n"


def _home(user: DrivenUser, _rng: random.Random) -> None:
    user.request("GET", "/")


def _items(user: DrivenUser, _rng: random.Random) -> None:
    user.request("GET", "/items")


def _search(user: DrivenUser, rng: random.Random) -> None:
    user.request("GET", "/items", params={"search": rng.choice(_WORDS), "limit": str(rng.randint(1, 20))})


def _item(user: DrivenUser, rng: random.Random) -> None:
    user.request("GET", "/items/<int:item_id>", path=f"/items/{rng.randint(1, 12)}")


def _purchase(user: DrivenUser, rng: random.Random) -> None:
    user.request("POST", "/purchases", json={"item_id": rng.randint(1, 11), "quantity": rng.randint(1, 3)})


def _chat(user: DrivenUser, rng: random.Random) -> None:
    user.request("POST", "/chat", json={"text": f"What is a {rng.choice(_WORDS)}?"})


def _chat_fails(user: DrivenUser, rng: random.Random) -> None:
    marker = rng.choice(("[ai:error]", "[ai:overloaded]", "[ai:garbage]"))
    user.request("POST", "/chat", json={"text": f"{marker} What is a {rng.choice(_WORDS)}?"})


def _upload(user: DrivenUser, rng: random.Random) -> None:
    content = _PNG + rng.randbytes(rng.randint(100, 20_000))
    user.request("POST", "/files", files={"file": ("picture.png", content, "image/png")})


def _upload_refused(user: DrivenUser, _rng: random.Random) -> None:
    user.request("POST", "/files", files={"file": ("tool.exe", b"MZ", "application/octet-stream")})


def _sign_in(user: DrivenUser, _rng: random.Random) -> None:
    user.sign_in()


def _sign_in_fails(user: DrivenUser, _rng: random.Random) -> None:
    # Not the user's own name, which would be locked after some failures. At first 401, soon 429.
    user.sign_in("wrong", name=f"not-{user.name}")


def _stream(user: DrivenUser, rng: random.Random) -> None:
    user.request("GET", "/stream", params={"lines": str(rng.randint(1, 50))})


def _slow(user: DrivenUser, _rng: random.Random) -> None:
    user.request("GET", "/slow")


def _slow_query(user: DrivenUser, _rng: random.Random) -> None:
    user.request("GET", "/slow", params={"in": "database"})


def _boom(user: DrivenUser, rng: random.Random) -> None:
    user.request("GET", "/boom", params={"kind": rng.choice(("report", "chained", "lookup", "database"))})


def _critical(user: DrivenUser, _rng: random.Random) -> None:
    user.request("GET", "/boom", params={"kind": "critical"})


def _missing(user: DrivenUser, rng: random.Random) -> None:
    user.request("GET", UNMATCHED, path=f"/missing/{rng.randrange(1_000_000)}")


def _bad_input(user: DrivenUser, _rng: random.Random) -> None:
    user.request("POST", "/purchases", json={"item_id": "one"})


def _room(user: DrivenUser) -> str:
    return f"room-{user.name[-1]}"


def _socket_message(user: DrivenUser, rng: random.Random) -> None:
    _ensure_in_room(user)
    user.emit("message", {"room": _room(user), "text": f"Look at the {rng.choice(_WORDS)}"})


def _socket_ai(user: DrivenUser, rng: random.Random) -> None:
    _ensure_in_room(user)
    user.emit("message", {"room": _room(user), "text": f"@ai What is a {rng.choice(_WORDS)}?"})


def _socket_fails(user: DrivenUser, _rng: random.Random) -> None:
    _ensure_in_room(user)
    user.emit("report", {})


def _socket_again(user: DrivenUser, _rng: random.Random) -> None:
    user.disconnect()
    _ensure_in_room(user)


def _ensure_in_room(user: DrivenUser) -> None:
    if not user.connected:
        user.connect()
        user.emit("join", {"room": _room(user)})


#: Every step, and its weight unless ``--mix`` gives another.
STEPS: dict[str, tuple[Step, float]] = {
    "home": (_home, 5),
    "items": (_items, 20),
    "search": (_search, 10),
    "item": (_item, 15),
    "purchase": (_purchase, 8),
    "chat": (_chat, 10),
    "chat-fails": (_chat_fails, 1),
    "upload": (_upload, 4),
    "upload-refused": (_upload_refused, 1),
    "sign-in": (_sign_in, 2),
    "sign-in-fails": (_sign_in_fails, 1),
    "stream": (_stream, 2),
    "slow": (_slow, 0.5),
    "slow-query": (_slow_query, 0.5),
    "boom": (_boom, 1),
    "critical": (_critical, 0),
    "missing": (_missing, 1),
    "bad-input": (_bad_input, 1),
    "socket-message": (_socket_message, 14),
    "socket-ai": (_socket_ai, 1),
    "socket-fails": (_socket_fails, 1),
    "socket-again": (_socket_again, 1),
}


def parse_mix(text: str) -> dict[str, float]:
    """``name=weight,…`` as weights; only the named steps are sent. Empty text gives the default mix.

    Raises:
        ValueError: an unknown step, a weight that is no number of at least 0, or nothing above 0.
    """
    if not text:
        return {name: weight for name, (_step, weight) in STEPS.items() if weight}
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.strip().partition("=")
        if name not in STEPS:
            raise ValueError(f"there is no step {name!r}; the steps are {', '.join(STEPS)}")
        try:
            weights[name] = float(number)
        except ValueError:
            raise ValueError(f"the weight of {name!r} is {number!r}; write for example {name}=2") from None
        if not 0 <= weights[name] < float("inf"):
            raise ValueError(f"the weight of {name!r} must be a number of at least 0")
    weights = {name: weight for name, weight in weights.items() if weight}
    if not weights:
        raise ValueError("no step has a weight above 0")
    return weights
