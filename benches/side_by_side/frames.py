"""The cases that are measured, and the frames of each, written as pcap files for `net_pcap`.

A case has N pairs of stations: N local ones, N behind the remote VTEP. In what order the pairs
come, and who talks to whom, is shuffled, the same way in every run. Each pair has UDP ports and IP
addresses of its own, as flows have; so has the outer UDP source port (RFC 7348, section 5).
"""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

SCENARIOS = ("l2", "encap", "decap", "mixed")

VNI = 100
UDP_PORT = 4789
OUTER_BYTES = 50
"""Ethernet, IPv4, UDP and VXLAN headers around a tenant's frame."""
LOCAL_VTEP, REMOTE_VTEP = "198.51.100.1", "198.51.100.2"
LOCAL_VTEP_MAC, REMOTE_VTEP_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FCS_BYTES = 4


@dataclass(frozen=True)
class Case:
    """One scenario with one number of MAC pairs and one frame size (with FCS, as sizes are quoted)."""

    scenario: str
    macs: int
    size: int

    def __str__(self) -> str:
        return f"{self.scenario}, {self.macs:,} MAC pairs, {self.size} bytes"

    @property
    def sources(self) -> int:
        """How many ports frames come from."""
        return 2 if self.scenario == "mixed" else 1

    @property
    def tenant_bytes(self) -> int:
        """A tenant's frame in memory."""
        return self.size - FCS_BYTES

    def sent_bytes(self, port: int) -> int:
        """How long the frames are that `port` sends."""
        grows = self.scenario == "encap" or (self.scenario == "mixed" and port == 1)
        return self.tenant_bytes + (OUTER_BYTES if grows else 0)

    def received_bytes(self, port: int) -> int:
        """How long the frames are that `port` receives."""
        is_tunnelled = self.scenario == "decap" or (self.scenario == "mixed" and port == 1)
        return self.tenant_bytes + (OUTER_BYTES if is_tunnelled else 0)


def local_mac(number: int) -> str:
    """A station on a port of this host."""
    return _mac_text(_LOCAL + number)


def remote_mac(number: int) -> str:
    """A station behind the remote VTEP; in scenario l2, on the other port."""
    return _mac_text(_REMOTE + number)


_LOCAL, _REMOTE = 0x02_10_00_00_00_00, 0x02_20_00_00_00_00


def _mac_text(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _address(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def _checksum(header: bytes) -> int:
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def _udp(source: bytes, destination: bytes, source_port: int, port: int, payload: bytes) -> bytes:
    """IPv4 and UDP around a payload. No UDP checksum: tunnels send none (RFC 7348), and nobody here looks."""
    length = 28 + len(payload)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0x4000, 64, 17, 0, source, destination)
    header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    return header + struct.pack("!HHHH", source_port, port, length - 20, 0) + payload


def _tenant_frame(source: int, destination: int, flow: int, length: int) -> bytes:
    ip = bytes((203, 0, 113))
    packet = _udp(
        ip + bytes((1 + flow % 120,)), ip + bytes((130 + flow // 120 % 120,)),
        1024 + flow % 60_000, 1024 + flow // 60_000, bytes(length - 42),
    )
    return destination.to_bytes(6, "big") + source.to_bytes(6, "big") + b"\x08\x00" + packet


def _tunnelled(frame: bytes, flow: int) -> bytes:
    vxlan = struct.pack("!II", 0x0800_0000, VNI << 8)
    # Multiplied by an odd number: a flow's port looks as random as a hash.
    port = 49_152 + flow * 40_503 % 16_384
    packet = _udp(_address(REMOTE_VTEP), _address(LOCAL_VTEP), port, UDP_PORT, vxlan + frame)
    return _mac(LOCAL_VTEP_MAC) + _mac(REMOTE_VTEP_MAC) + b"\x08\x00" + packet


def _pairs(count: int) -> list[tuple[int, int]]:
    """Who talks to whom, in the order of the file."""
    shuffled = random.Random(count)
    local, remote = list(range(count)), list(range(count))
    shuffled.shuffle(local)
    shuffled.shuffle(remote)
    return list(zip(local, remote))


def _from_local(case: Case) -> list[bytes]:
    return [
        _tenant_frame(_LOCAL + local, _REMOTE + remote, flow, case.tenant_bytes)
        for flow, (local, remote) in enumerate(_pairs(case.macs))
    ]


def _from_remote(case: Case) -> list[bytes]:
    return [
        _tunnelled(_tenant_frame(_REMOTE + remote, _LOCAL + local, flow, case.tenant_bytes), flow)
        for flow, (local, remote) in enumerate(_pairs(case.macs))
    ]


def write(case: Case, folder: Path) -> list[Path]:
    """The files of what comes in at port 0 and port 1. A port that is only sent to has one without a frame."""
    frames: list[list[bytes]] = {
        "l2": lambda: [_from_local(case), []],
        "encap": lambda: [_from_local(case), []],
        "decap": lambda: [_from_remote(case), []],
        "mixed": lambda: [_from_local(case), _from_remote(case)],
    }[case.scenario]()
    paths = []
    for port, list_of_frames in enumerate(frames):
        path = folder / f"{case.scenario}-{case.macs}-{case.size}-{port}.pcap"
        _write_pcap(path, list_of_frames)
        paths.append(path)
    return paths


def _write_pcap(path: Path, frames: list[bytes]) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2_C3D4, 2, 4, 0, 0, 65_535, 1))
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)))
            file.write(frame)


def devices(paths: list[Path]) -> list[str]:
    """The two devices as DPDK takes them: sources replay their file for ever, all drop what they are sent."""
    return [
        f"net_pcap{port},rx_pcap={path}" + (",infinite_rx=1" if path.stat().st_size > 24 else "")
        for port, path in enumerate(paths)
    ]
