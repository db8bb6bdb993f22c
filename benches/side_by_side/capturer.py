"""Captures everything of a running switch and reads it slowly, until it is ended.

    python3 -m side_by_side.capturer SOCKET

A reader as slow as this one leaves the switch with a full queue: every frame is looked at, few can be taken, and all
of them want to be. Each line that it prints is how many bytes it has read so far.
"""

from __future__ import annotations

import socket
import sys
import time

BYTES_PER_SECOND = 1 << 20
TIMES_PER_SECOND = 20


def main(path: str) -> None:
    total = 0
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(path)
        connection.sendall(b"GET /v1/capture HTTP/1.1\r\nHost: vswitch\r\n\r\n")
        status = connection.recv(12)
        if status != b"HTTP/1.1 200":
            sys.exit(f"GET /v1/capture: {status!r}")
        # It may end: the switch is stopped while others are measured, and lets go of whoever takes nothing for long.
        while piece := connection.recv(BYTES_PER_SECOND // TIMES_PER_SECOND):
            total += len(piece)
            print(total, flush=True)
            time.sleep(1 / TIMES_PER_SECOND)


if __name__ == "__main__":
    main(sys.argv[1])
