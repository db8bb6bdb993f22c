"""Asks a running switch everything, ten times a second, until it is ended: `python3 -m side_by_side.poller SOCKET`.

Prints a line, the milliseconds that it took, for each round of questions that was answered whole: who measures counts
them.
"""

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
        began = time.monotonic()
        try:
            _ask(connection)
            print(f"{(time.monotonic() - began) * 1000:.1f}", flush=True)
        except (OSError, http.client.HTTPException):
            # The switch is stopped while others are measured, and may have lost its patience with us when it goes on.
            connection.close()
        # A late round is made up for, but no more than one: not a hundred after a pause.
        turn = max(turn, time.monotonic() - 1 / TIMES_PER_SECOND) + 1 / TIMES_PER_SECOND
        time.sleep(max(0.0, turn - time.monotonic()))


def _ask(connection: _Connection) -> None:
    for question in QUESTIONS:
        connection.request("GET", f"/v1/{question}")
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"GET /v1/{question}: {answer.status}")


if __name__ == "__main__":
    main(sys.argv[1])
