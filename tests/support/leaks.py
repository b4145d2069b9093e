"""Secrets, and a client that sends one through each channel of the example app."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

import redis
import requests
import socketio

from examples.ada.driver.user import PASSWORD

#: Secrets that are known by the key before them, or by where they stand.
_PLAIN = (
    # Signing in, and Redis behind it.
    *("sign_in_name", "sign_in_password", "redis_argument", "redis_value", "redis_command"),
    # Headers, cookies, query strings, paths.
    *("header", "authorization", "basic", "api_key_header", "cookie", "user_agent", "referer", "tracestate"),
    *("baggage", "query", "query_json", "query_url", "query_twice", "search", "path", "form"),
    # Chat, upload, purchase.
    *("chat_text", "chat_parameter", "ai_url", "ai_key", "upload_name", "upload_content", "upload_type"),
    "purchase",
    # The routes that fail.
    *("report", "chained", "lookup", "sql_parameter", "critical"),
    # Socket.IO.
    *("socket_header", "socket_query", "socket_auth", "socket_room", "socket_text", "socket_parameter"),
    *("socket_event", "socket_data", "socket_ai_room", "socket_refused"),
    # leaky.py
    *("bearer", "database_url", "extra", "nested", "json_text", "structlog", "ours"),
    *("alert", "alert_detail", "suspicious", "reason", "cause", "exception", "unhandled", "source_line"),
    *("span_attribute", "span_text", "span_event", "span_link", "span_exception", "span_status"),
    *("sql_literal",),
)

#: What no channel shows, redacted or not: nobody logs bodies, and stock instrumentations leave values out.
NEVER_SHOWN = {
    *("sign_in_password", "redis_value", "chat_text", "upload_name", "upload_content", "purchase"),
    *("ai_key", "socket_header", "socket_auth", "socket_text", "socket_event", "socket_data"),
}


def card_number() -> str:
    """A number that passes Luhn's check."""
    digits = "4" + "".join(secrets.choice("0123456789") for _ in range(14))
    doubled = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(digits)]
    return digits + str(-sum(number - 9 * (number > 9) for number in doubled) % 10)


def jwt() -> str:
    """A token in the form of a JSON web token."""

    def part(value: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'sub': secrets.token_hex(8)})}.{secrets.token_urlsafe(24)}"


def new_secrets() -> dict[str, str]:
    """One for each channel; none is part of another."""
    found = {name: f"{secrets.token_hex(10)}x" for name in _PLAIN}
    cards = ("card_message", "card_number", "card_list", "card_query")
    found |= {name: card_number() for name in cards}
    found |= {name: jwt() for name in ("jwt", "request_id", "jwt_path")}
    body = base64.b64encode(secrets.token_bytes(48)).decode()
    found["private_key"] = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    return found


def looked_for(name: str, secret: str) -> list[bytes]:
    """The bytes that would give the secret away, in forms that no encoding of text changes."""
    if name == "private_key":
        return [secret.splitlines()[1].encode()]
    forms = [secret, base64.b64encode(f"ada:{secret}".encode()).decode().rstrip("=")]
    return [form.encode() for form in forms]


class Client:
    """Sends the secrets to the app.

    Attributes:
        secrets: Those sent; what the app gave in exchange (its session cookie) comes to them.
        requests: How many requests were sent, without those of Socket.IO's transports.
    """

    def __init__(self, url: str, hidden: dict[str, str], redis_url: str) -> None:
        self.secrets = hidden
        self.requests = 0
        self._url = url
        self._redis = redis.Redis.from_url(redis_url)
        self._http = requests.Session()
        self._http.trust_env = False
        # A connection that the server closes while it is idle would cost a request.
        self._http.headers["Connection"] = "close"

    def send_all(self) -> None:
        """All of them, through every channel."""
        for step in (self._sign_in, self._headers, self._texts, self._shop, self._fail, self._own):
            step()
        for transport in ("polling", "websocket"):
            self._socket(transport)
        self._ask("POST", "/auth/sign-out", 204)
        self._http.close()

    def _ask(self, method: str, path: str, status: int, **options: Any) -> None:
        answer = self._http.request(method, self._url + path, timeout=30, **options)
        self.requests += 1
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)

    def _sign_in(self) -> None:
        s = self.secrets
        wrong = {"name": f"token={s['sign_in_name']}", "password": s["sign_in_password"]}
        self._ask("POST", "/auth/sign-in", 401, json=wrong)
        # Redis refuses to count what is no whole number, and says with which arguments it was asked.
        name = f"token={s['redis_argument']}"
        self._redis.set(f"attempts:sign-in:{name}", " 1 ", ex=60)
        self._ask("POST", "/auth/sign-in", 500, json={"name": name, "password": "wrong"})
        self._ask("POST", "/auth/sign-in", 200, json={"name": "ada", "password": PASSWORD})
        s["session_cookie"] = self._http.cookies["ada_session"]

    def _headers(self) -> None:
        s = self.secrets
        given = {
            "X-Auth-Token": s["header"],
            "Authorization": f"Bearer {s['authorization']}",
            "X-Api-Key": s["api_key_header"],
            "User-Agent": f"leaks/1 (password={s['user_agent']})",
            "Referer": f"https://shop.example/in?token={s['referer']}",
            "X-Request-ID": s["request_id"],
            "traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01",
            "tracestate": f"token={s['tracestate']}",
            "baggage": f"api_key={s['baggage']}",
        }
        cookies = {"session_token": s["cookie"]}
        self._ask("GET", "/auth/me", 200, headers=given, cookies=cookies)
        basic = base64.b64encode(f"ada:{s['basic']}".encode()).decode()
        self._ask("GET", "/", 200, headers={"Authorization": f"Basic {basic}"})

    def _texts(self) -> None:
        s = self.secrets
        queries = {
            "query": f"access_token={s['query']}",
            "query_json": f"data=%7B%22password%22%3A+%22{s['query_json']}%22%7D",
            "query_url": f"back=https%3A%2F%2Fada%3A{s['query_url']}%40shop.example%2F",
            "query_twice": f"next=%2Fin%3Ftoken%253D{s['query_twice']}",
            "card_query": f"number={s['card_query']}",
        }
        for query in queries.values():
            self._ask("GET", f"/stream?lines=2&{query}", 200)
        self._ask("GET", "/items", 200, params={"search": f"token={s['search']}"})
        self._ask("GET", f"/missing/token={s['path']}", 404)
        self._ask("GET", f"/missing/{s['jwt_path']}", 404)

    def _shop(self) -> None:
        s = self.secrets
        self._ask("POST", "/chat", 200, json={"text": f"my password is {s['chat_text']}"})
        # The AI's address, with its password, is in the error's text.
        self._ask("POST", "/chat", 502, json={"text": "[ai:error]"})
        # PostgreSQL takes no NUL, and SQLAlchemy says with which parameters it was asked.
        self._ask("POST", "/chat", 500, json={"text": f"{s['chat_parameter']}\0"})
        named = (f"password={s['upload_name']}.txt", s["upload_content"].encode(), "text/plain")
        self._ask("POST", "/files", 201, files={"file": named})
        typed = ("a.txt", b"a", f"text/token={s['upload_type']}")
        self._ask("POST", "/files", 415, files={"file": typed})
        bought = {"item_id": 1, "quantity": 1, "card_number": s["purchase"]}
        self._ask("POST", "/purchases", 201, json=bought)

    def _fail(self) -> None:
        s = self.secrets
        details = {
            "report": f"password={s['report']}",
            "chained": f"{{'secret': '{s['chained']}'}}",
            "lookup": f"api_key={s['lookup']}",
            "database": f"secret={s['sql_parameter']}",
            "critical": f"Bearer {s['critical']}",
        }
        for kind, detail in details.items():
            self._ask("GET", "/boom", 500, params={"kind": kind, "detail": detail})

    def _own(self) -> None:
        form = {"user": "ada", "password": self.secrets["form"]}
        self._ask("POST", "/leaks/form", 200, data=form)
        for path, status in (
            ("texts", 200),
            ("business", 200),
            ("spans", 200),
            ("data", 200),
            ("errors", 500),
        ):
            self._ask("GET", f"/leaks/{path}", status)

    def _socket(self, transport: str) -> None:
        s = self.secrets
        self._refused(transport)
        client = self._connected(transport)
        for name, data, good in (
            ("join", {"room": f"token={s['socket_room']}"}, True),
            ("message", {"room": f"token={s['socket_room']}", "text": s["socket_text"]}, True),
            ("message", {"room": "leaks", "text": f"{s['socket_parameter']}\0"}, False),
            ("message", {"room": f"token={s['socket_ai_room']}", "text": "@ai [ai:error]"}, True),
            ("join", {"password": s["socket_data"]}, False),
            ("report", {"token": s["socket_data"]}, False),
            ("leave", {"room": f"token={s['socket_room']}"}, True),
        ):
            answer = client.call(name, data, namespace="/chat", timeout=30)
            assert ("error" in answer) is not good, (name, answer)
        client.emit(f"password={s['socket_event']}", {}, namespace="/chat")
        client.disconnect()

    def _connected(self, transport: str) -> socketio.Client:
        s = self.secrets
        http = requests.Session()
        http.trust_env = False
        http.cookies.update(self._http.cookies)
        client = socketio.Client(reconnection=False, http_session=http, request_timeout=30)
        client.connect(
            f"{self._url}?token={s['socket_query']}",
            namespaces=["/chat"],
            transports=[transport],
            headers={"X-Auth-Token": s["socket_header"]},
            auth={"password": s["socket_auth"]},
            wait_timeout=30,
        )
        return client

    def _refused(self, transport: str) -> None:
        client = socketio.Client(reconnection=False, request_timeout=30)
        try:
            client.connect(
                self._url,
                namespaces=["/chat"],
                transports=[transport],
                headers={"User-Agent": f"leaks/1 password={self.secrets['socket_refused']}"},
                wait_timeout=30,
            )
        except socketio.exceptions.ConnectionError:
            client.disconnect()
        else:
            raise AssertionError("a client without a session was let in")
