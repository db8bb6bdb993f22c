"""Known traffic at full rate: what a change that does not concern it must leave alone, to the last frame.

Network `known` carries three streams, each as fast as the worker takes it: from port `source` to static MACs on
`sink`, from `source` to static MACs behind a remote VTEP (encapsulated), and from that VTEP to `sink`
(decapsulated). Source and uplink replay their frames for ever, and sink and uplink take everything. Ports on
`net_null` beside them are busy, too: what they receive is whatever their buffers held before, so frames of the
known stations come up in other networks.
"""

from __future__ import annotations

from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.utils import wrpcap

from .config import Config, Network, Port, Vtep
from .lab import VTEP, Lab
from .switch import Switch
from .wait import until

STATIONS = 64
"""Of each of the three kinds: those that speak on `source`, those on `sink`, those behind the remote VTEP."""
ENTRIES = 3 * STATIONS
"""What the FDB has of network `known`."""
KNOWN = "known"
PORTS = ("source", "sink", "uplink")
VNI = 4000
PEER, PEER_MAC = "198.51.100.250", "02:00:00:00:01:fa"
VTEP_MAC = "02:00:00:00:00:01"
BURST = 64
"""Frames that are in the hands of a worker, for each port; and twice as many in its own."""


def _mac(side: int, number: int) -> str:
    return f"02:{side:02x}:00:00:00:{number:02x}"


def _frame(source: int, destination: int, number: int) -> Ether:
    ip = IP(src=f"203.0.113.{source}", dst=f"203.0.113.{destination}")
    return Ether(src=_mac(source, number), dst=_mac(destination, number)) / ip / UDP(sport=1000 + number, dport=9)


def full_rate(lab: Lab, directory: Path, networks: list[Network] | None = None) -> Switch:
    """A switch with that traffic, beside other networks."""
    numbers = range(STATIONS)
    tunnel = Ether(src=PEER_MAC, dst=VTEP_MAC) / IP(src=PEER, dst=VTEP, flags="DF")
    tunnel = tunnel / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=VNI, flags=0x08)
    from_source = [_frame(1, there, n) for n in numbers for there in (2, 3)]
    from_peer = [tunnel / _frame(3, 2, n) for n in numbers]
    wrpcap(str(directory / "source.pcap"), from_source)
    wrpcap(str(directory / "peer.pcap"), from_peer)
    wrpcap(str(directory / "nothing.pcap"), [], linktype=1)
    config = Config(
        ports=[
            Port("source", f"net_pcap0,rx_pcap={directory}/source.pcap,infinite_rx=1"),
            Port("sink", f"net_pcap1,rx_pcap={directory}/nothing.pcap"),
            Port("uplink", f"net_pcap2,rx_pcap={directory}/peer.pcap,infinite_rx=1", mtu=1600),
            Port("t0", "net_null1"),
            Port("t1", "net_null2"),
        ],
        vteps=[Vtep(f"{VTEP}/24", mac=VTEP_MAC)],
        networks=[
            Network(KNOWN, VNI, ["source", "sink"], macs={
                **{_mac(2, n): ("port", "sink") for n in numbers},
                **{_mac(3, n): ("remote-vtep", PEER) for n in numbers},
            }),
            *(networks or []),
        ],
        memory_mib=512,
    )
    namespace = lab.namespace("sw")
    switch = lab.switch(config)
    switch.spawn()
    until("metrics answer", lambda: switch.scrape() is not None, seconds=15, every=0.05)
    namespace.ip(f"neigh replace {PEER} lladdr {PEER_MAC} nud permanent dev vtep0")
    until("every station is learned", lambda: switch.metric("vswitch_fdb_entries", network=KNOWN) == ENTRIES)
    until("the way to the peer is known", lambda: switch.metric("vswitch_next_hop_resolved", remote_vtep=PEER) == 1)
    # A source that never pauses keeps its frames, and has others in flight. Rings hold none: no device has one.
    switch.idle_mbufs = len(from_source) + len(from_peer) + BURST * (len(config.ports) + 2)
    return switch


class Watch:
    """What the known traffic lost since a moment, and how much of it there was."""

    def __init__(self, switch: Switch):
        self.switch = switch
        self.before = switch.metrics()

    def lost(self) -> dict[str, float]:
        """Every way in which a frame can go astray, and how many did."""
        now = self.switch.metrics()

        def grown(name: str, **labels: str) -> float:
            return now.value(name, **labels) - self.before.value(name, **labels)

        reasons = {labels["reason"] for name, labels, _ in now.samples if name == "vswitch_drops_total"}
        lost = {
            f"{port}: {reason}": grown("vswitch_drops_total", reason=reason, port=port)
            for port in PORTS for reason in reasons
        }
        lost["flooded"] = grown("vswitch_replicated_packets_total", network=KNOWN)
        lost["punted"] = grown("vswitch_punted_packets_total", vtep="fabric")
        # What came and did not leave by the two ports that it is for, but for a burst that is on its way.
        came = sum(grown("vswitch_port_receive_packets_total", port=port) for port in ("source", "uplink"))
        left = sum(grown("vswitch_port_transmit_packets_total", port=port) for port in ("sink", "uplink"))
        astray = came + grown("vswitch_host_packets_total", vtep="fabric") - left
        lost["astray"] = astray if abs(astray) > 4 * BURST else 0
        lost["unaccounted"] = now.value("vswitch_unaccounted_packets")
        return {what: count for what, count in lost.items() if count}

    def sent(self) -> dict[str, float]:
        """Frames that left by the two ports that take them."""
        now, name = self.switch.metrics(), "vswitch_port_transmit_packets_total"
        return {port: now.value(name, port=port) - self.before.value(name, port=port) for port in ("sink", "uplink")}
