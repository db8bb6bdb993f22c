"""Asks a running switch everything, ten times a second, until it is ended: `python3 -m side_by_side.poller SOCKET`."""

from __future__ import annotations

import http.client
import socket
import sys
import time

TIMES_PER_SECOND = 10
QUESTIONS = ("config", "ports", "networks", "vteps", "workers", "drops", "fdb?limit=1000", "openapi.json")


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("vswitch")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def main(path: str) -> None:
    connection = _Connection(path)
    turn = time.monotonic()
    while True:
        for question in QUESTIONS:
            connection.request("GET", f"/v1/{question}")
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"GET /v1/{question}: {answer.status}")
        # Not more often after a pause: the switch is stopped while others are measured.
        turn = max(turn + 1 / TIMES_PER_SECOND, time.monotonic())
        time.sleep(max(0.0, turn - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1])
