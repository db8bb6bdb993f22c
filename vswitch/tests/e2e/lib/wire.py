"""Eyes and hands on an interface: a sniffer that keeps every frame, and a sender of raw bytes."""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Callable

from .netns import Namespace
from .wait import until

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_PACKET_OUTGOING = 4
_TP_STATUS_VLAN_VALID = 1 << 4
_SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class Frame:
    """A frame as seen on an interface: its bytes, when, and whether this interface sent it."""

    data: bytes
    at: float
    outgoing: bool

    @property
    def destination(self) -> str:
        return _mac(self.data[0:6])

    @property
    def source(self) -> str:
        return _mac(self.data[6:12])

    @property
    def ethertype(self) -> int:
        return int.from_bytes(self.data[12:14], "big")


def _mac(octets: bytes) -> str:
    return ":".join(f"{octet:02x}" for octet in octets)


class Sniffer:
    """Keeps every frame that passes an interface, in either direction, until closed.

    The kernel takes a VLAN tag out of a received frame and hands it over beside it; it is put
    back here, so that `data` is what was on the wire.
    """

    def __init__(self, namespace: Namespace, interface: str):
        self.where = f"{namespace.label}/{interface}"
        self._frames: list[Frame] = []
        self._socket = namespace.call(lambda: self._open(interface))
        self._open_for_work = True
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    @staticmethod
    def _open(interface: str) -> socket.socket:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
        opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        opened.bind((interface, _ETH_P_ALL))
        opened.settimeout(0.05)
        return opened

    def _collect(self) -> None:
        while self._open_for_work:
            try:
                data, ancillary, _, address = self._socket.recvmsg(65536, 64)
            except TimeoutError:
                continue
            except OSError:  # interface or socket gone
                return
            self._frames.append(Frame(_with_vlan(data, ancillary), time.monotonic(), address[2] == _PACKET_OUTGOING))

    def frames(self, wanted: Callable[[Frame], bool] = lambda _: True, *, outgoing: bool | None = False) -> list[Frame]:
        """The frames so far that are `wanted`; by default those that arrived here."""
        return [f for f in list(self._frames) if outgoing in (None, f.outgoing) and wanted(f)]

    def wait(self, wanted: Callable[[Frame], bool], *, count: int = 1, seconds: float = 2.0) -> list[Frame]:
        """Waits for at least `count` arrived frames that are `wanted`."""
        until(f"{count} wanted frame(s) at {self.where}", lambda: len(self.frames(wanted)) >= count, seconds=seconds)
        return self.frames(wanted)

    def clear(self) -> None:
        self._frames.clear()

    def close(self) -> None:
        self._open_for_work = False
        self._thread.join(timeout=1)
        self._socket.close()

    def __enter__(self) -> "Sniffer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _with_vlan(data: bytes, ancillary: list) -> bytes:
    for level, kind, value in ancillary:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
            # struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid
            status, _, _, _, _, tci, tpid = struct.unpack("=IIIHHHH", value[:20])
            if status & _TP_STATUS_VLAN_VALID:
                return data[:12] + struct.pack("!HH", tpid or 0x8100, tci) + data[12:]
    return data


class Sender:
    """Sends frames as they are, byte for byte, out of an interface."""

    def __init__(self, namespace: Namespace, interface: str):
        def opened() -> socket.socket:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            made.bind((interface, 0))
            return made

        self._socket = namespace.call(opened)

    def send(self, *frames) -> None:
        """Sends bytes, or anything that turns into bytes (a scapy packet)."""
        for frame in frames:
            self._socket.send(bytes(frame))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
