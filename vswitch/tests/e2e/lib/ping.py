"""Echo requests, counted as these tests want it.

ping(8) gives up on the last request as soon as two round trips have passed, so that a busy
machine looks like a lossy one; it also forgives duplicates. Here every request has a second to
be answered, and an answer that comes twice is an error.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from itertools import count as counter

from .netns import Namespace

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_IP_MTU_DISCOVER, _IP_PMTUDISC_DO = 10, 2
_identifiers = counter(os.getpid())


def ping(
    namespace: Namespace, address: str, *, count: int = 3, size: int = 56, df: bool = False, wait: float = 1.0,
    interval: float = 0.05,
) -> int:
    """Sends `count` echo requests of `size` payload bytes; how many were answered within `wait` of the last."""
    identifier = next(_identifiers) & 0xFFFF
    payload = bytes(i & 0xFF for i in range(size))
    with namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)) as raw:
        if df:
            raw.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DO)
        answered: set[int] = set()
        for sequence in range(count):
            try:
                raw.sendto(_echo(identifier, sequence, payload), (address, 0))
            except OSError:  # no route, or too long for the interface: not answered
                pass
            last = sequence == count - 1
            deadline = time.monotonic() + (wait if last else interval)
            while (left := deadline - time.monotonic()) > 0 and not (last and len(answered) == count):
                if select.select([raw], [], [], left)[0]:
                    _note(raw.recv(65536), identifier, payload, answered)
        return len(answered)


def _echo(identifier: int, sequence: int, payload: bytes) -> bytes:
    header = struct.pack("!BBHHH", _ECHO_REQUEST, 0, 0, identifier, sequence)
    return header[:2] + struct.pack("!H", checksum(header + payload)) + header[4:] + payload


def _note(packet: bytes, identifier: int, payload: bytes, answered: set[int]) -> None:
    """Takes one received IP packet into account, if it answers us."""
    icmp = packet[(packet[0] & 0x0F) * 4 :]
    kind, _, _, its_identifier, sequence = struct.unpack("!BBHHH", icmp[:8])
    if kind == _ECHO_REPLY and its_identifier == identifier:
        assert icmp[8:] == payload, "an echo reply with other bytes than the request"
        assert sequence not in answered, f"echo reply {sequence} came twice"
        answered.add(sequence)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071 §1)."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
