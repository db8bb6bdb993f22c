"""A tenant: a Linux network stack in a namespace of its own, with one interface."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from .netns import Namespace
from .ping import ping
from .wait import until
from .wire import Sender, Sniffer


@dataclass(frozen=True)
class Throughput:
    """What one iperf3 run measured."""

    bits_per_second: float
    segments: int
    retransmits: int


@dataclass(frozen=True)
class Tenant:
    """A station of a virtual network. `address` is without a prefix length; the network is a /24."""

    namespace: Namespace
    interface: str
    address: str
    mac: str

    def sniff(self) -> Sniffer:
        return Sniffer(self.namespace, self.interface)

    def sender(self) -> Sender:
        return Sender(self.namespace, self.interface)

    def ping(self, address: str, *, count: int = 3, size: int = 56, df: bool = False, wait: float = 1.0) -> int:
        """Sends echo requests of `size` payload bytes; returns how many were answered."""
        return ping(self.namespace, address, count=count, size=size, df=df, wait=wait)

    def reaches(self, other: "Tenant", *, seconds: float = 5.0) -> None:
        """Waits until `other` answers: ARP, learning and the underlay's next hop may take a moment."""
        until(
            f"{self.namespace.label} reaches {other.namespace.label} ({other.address})",
            lambda: self.ping(other.address, count=1, wait=0.3) == 1,
            seconds=seconds,
        )

    def iperf(
        self, server: "Tenant", *, seconds: int = 2, reverse: bool = False, megabits: int = 0
    ) -> Throughput:
        """A TCP stream from here to `server` (or back, if `reverse`), as fast as it goes or at `megabits` per second."""
        port = 5201
        listener = server.namespace.popen(
            "iperf3", "-s", "-1", "-p", str(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until("iperf3 listens", lambda: server.namespace.listens_on(port))
            way = ["-R"] if reverse else []
            done = self.namespace.run(
                "iperf3", "-c", server.address, "-p", str(port), "-t", str(seconds), "-J", "-b", f"{megabits}M", *way,
                check=False, timeout=seconds + 20,
            )
        finally:
            listener.terminate()
            listener.wait(timeout=5)
        report = json.loads(done.stdout)
        assert "error" not in report, f"iperf3: {report['error']}"
        sent = report["end"]["sum_sent"]
        mss = report["start"].get("tcp_mss_default") or 1448
        return Throughput(
            bits_per_second=report["end"]["sum_received"]["bits_per_second"],
            segments=int(sent["bytes"] / mss),
            retransmits=sent["retransmits"],
        )
