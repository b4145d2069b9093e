"""A stand-in for the AI, for machines that have none: it echoes, counts words as tokens, and fails on demand.

It answers ``POST /v1/chat/completions`` in the form that many model servers share. A marker in the prompt
makes it fail: ``[ai:error]`` 500, ``[ai:overloaded]`` 429, ``[ai:garbage]`` no JSON, ``[ai:slow]`` too late.

    python -m examples.ada.ai_stub --port 8090 --latency 0.05 --error-rate 0.1
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from typing_extensions import Self

#: Longer than any sensible AI_TIMEOUT_SECONDS, in seconds.
_TOO_LATE = 20.0

_MARKED_STATUS = {"[ai:error]": 500, "[ai:overloaded]": 429}


class AiStub(ThreadingHTTPServer):
    """The stand-in, on loopback. As a context manager it serves from a thread of its own.

    Args:
        port: 0 takes a free one; see `url`.
        latency: Seconds before each answer.
        error_rate: The share (0 to 1) of requests that are answered 500 without being asked to.
        seed: Makes the choice of those the same in each run.
    """

    daemon_threads = True

    def __init__(self, port: int = 0, latency: float = 0.0, error_rate: float = 0.0, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.latency = latency
        self.error_rate = error_rate
        self.stopping = threading.Event()
        self.requests: list[dict[str, str]] = []
        """The headers of each request, by lower-case name."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """What ``AI_URL`` has to be."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, headers: dict[str, str]) -> bool:
        """Note one request, and say whether it is to fail by chance."""
        with self._lock:
            self.requests.append(headers)
            return self._random.random() < self.error_rate

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one completion."""
        stub = cast("AiStub", self.server)
        fails = stub.count({key.lower(): value for key, value in self.headers.items()})
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            self._answer(404, {"error": {"message": "only /v1/chat/completions is here"}})
            return
        try:
            asked = json.loads(content)
            model, prompt = str(asked["model"]), str(asked["messages"][-1]["content"])
        except (ValueError, KeyError, IndexError, TypeError):
            self._answer(400, {"error": {"message": "no model or messages"}})
            return
        stub.stopping.wait(_TOO_LATE if "[ai:slow]" in prompt else stub.latency)
        status = next(
            (code for marker, code in _MARKED_STATUS.items() if marker in prompt), 500 if fails else 200
        )
        if status != 200:
            self._answer(status, {"error": {"message": f"made to fail, asked: {prompt}"}})
        elif "[ai:garbage]" in prompt:
            self._answer(200, "no completion")
        else:
            self._answer(200, _completion(model, prompt))

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing: the stand-in's own log is of no use."""


def _completion(model: str, prompt: str) -> dict[str, Any]:
    text = f"You said: {prompt}"
    tokens = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    return {
        "id": f"stub-{time.time_ns()}",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {**tokens, "total_tokens": sum(tokens.values())},
    }


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A stand-in for the AI that ADA asks.")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--latency", type=float, default=0.05, metavar="SECONDS")
    parser.add_argument("--error-rate", type=float, default=0.0, metavar="SHARE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with AiStub(options.port, options.latency, options.error_rate, options.seed) as stub:
        print(f"AI stand-in at {stub.url}", flush=True)
        try:
            stub.stopping.wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
