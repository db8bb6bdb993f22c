"""The API as a program uses it: JSON over HTTP on the Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float):
        super().__init__("vswitch", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def connection(path: Path, timeout: float) -> http.client.HTTPConnection:
    """A connection to the socket."""
    return _Connection(path, timeout)


class Api:
    """A client that keeps its connection. Remembers the generation that it saw last, for If-Match."""

    def __init__(self, path: Path, timeout: float = 10):
        self._connection = connection(path, timeout)
        self.generation: str | None = None

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: object = None, *, kind: str | None = None, **headers: str) -> Answer:
        """Sends a request; a body that is not text is sent as JSON."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None
        if body is not None:
            is_text = isinstance(body, str)
            data = (body if is_text else json.dumps(body)).encode()
            sent["Content-Type"] = kind or ("application/toml" if is_text else "application/json")
        self._connection.request(method, path, data, sent)
        response = self._connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        self.generation = answer.headers.get("etag", self.generation)
        return answer

    def get(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status == 200, (path, answer)
        return answer.json

    def change(self, method: str, path: str, body: object = None, **options: str) -> Any:
        """A change based on the generation seen last; it must be made."""
        if self.generation is None:
            self.get("/v1/config")
        answer = self.ask(method, path, body, If_Match=self.generation or "", **options)
        assert answer.status in (200, 201), (method, path, body, answer)
        return answer.json
