"""An overlay small enough to hold in the hand: the test itself is the remote VTEP, byte by byte.

The switch's uplink ends in the namespace `probe`, whose kernel answers for the remote VTEPs'
addresses, but knows no VXLAN. Frames of the overlay are made and read here, by scapy.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from .config import Config
from .lab import Lab, af_packet, overlay_config
from .netns import veth
from .switch import Switch
from .tenant import Tenant
from .underlay import UNDERLAY_MTU
from .wait import until
from .wire import Frame, Sender, Sniffer

VNI = 100
OUR_ADDRESS = "198.51.100.1"
REMOTE = "198.51.100.2"
OTHER_REMOTE = "198.51.100.3"
PROBE_MAC = "02:00:00:00:01:02"
EXPERIMENTAL = 0x88B5
"""IEEE 802: an EtherType for local experiments. No stack answers it, so frames can be counted."""


@dataclass
class Probe:
    """The far end of the uplink: a hand and an eye on the underlay."""

    switch_mac: str
    sender: Sender
    sniffer: Sniffer

    def wrap(self, inner: bytes, *, vni: int = VNI, source: str = REMOTE, destination: str = OUR_ADDRESS) -> Ether:
        """A well-made VXLAN frame for the switch, to be sent or to be spoilt first."""
        return (
            Ether(src=PROBE_MAC, dst=self.switch_mac)
            / IP(src=source, dst=destination, ttl=64, flags="DF")
            / UDP(sport=50000, dport=4789, chksum=0)
            / VXLAN(vni=vni, flags=0x08)
            / Raw(bytes(inner))
        )

    def send_inner(self, inner: bytes, **options) -> None:
        self.sender.send(self.wrap(inner, **options))

    def tunnelled(self, wanted=lambda inner: True) -> list[Ether]:
        """The VXLAN frames that the switch has sent, decoded, whose inner bytes are `wanted`."""
        decoded = [Ether(f.data) for f in self.sniffer.frames(is_vxlan)]
        return [d for d in decoded if wanted(bytes(d[VXLAN].payload))]


def is_vxlan(frame: Frame) -> bool:
    """IPv4, UDP, destination port 4789; options are never sent by anyone here."""
    data = frame.data
    return len(data) >= 42 and data[12:14] == b"\x08\x00" and data[23] == 17 and data[36:38] == b"\x12\xb5"


def uplink_to_probe(lab: Lab, *, mtu: int = UNDERLAY_MTU, remotes: tuple[str, ...] = (REMOTE, OTHER_REMOTE)) -> None:
    """The cable between the switch's uplink `up0` and the probe, which has the remotes' addresses."""
    probe = lab.namespace("probe")
    veth(lab.namespace("sw"), "up0", probe, "eth0", mtu=mtu, b_mac=PROBE_MAC)
    probe.ip(*(f"addr add {address}/24 dev eth0" for address in remotes))
    lab.keep(probe.call(_vxlan_listener))


def _vxlan_listener() -> socket.socket:
    """A socket that swallows the tunnel's frames, so that the kernel does not answer "port unreachable"."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("0.0.0.0", 4789))
    return listener


def probe(lab: Lab) -> Probe:
    """Eye and hand at the far end; after `uplink_to_probe`."""
    namespace = lab.namespace("probe")
    return Probe(
        lab.namespace("sw").mac_of("up0"), lab.sender(namespace, "eth0"), lab.sniff(namespace, "eth0")
    )


def resolve(switch: Switch, tenant: Tenant, eye: Probe, destinations: tuple[str, ...] = (REMOTE,)) -> None:
    """Sends broadcasts until each remote VTEP has got one: from then on its next hop is known."""
    marker = experimental("ff:ff:ff:ff:ff:ff", tenant.mac, b"resolve")

    def arrived() -> bool:
        with tenant.sender() as hand:
            hand.send(marker)
        reached = {d[IP].dst for d in eye.tunnelled(lambda inner: inner == marker)}
        return reached >= set(destinations)

    until(f"the next hops of {destinations} are resolved", arrived, seconds=5, every=0.1)


def experimental(destination: str, source: str, payload: bytes, length: int = 60) -> bytes:
    """An Ethernet frame that no stack answers, padded to `length`."""
    frame = bytes(Ether(dst=destination, src=source, type=EXPERIMENTAL)) + payload
    return frame.ljust(length, b"\0")


def start(lab: Lab, config: Config) -> Switch:
    return lab.switch(config).start()


def wired(lab: Lab, local_mac: str) -> tuple[Switch, Tenant, Probe]:
    """A switch with one local tenant and the probe as its remote VTEP, whose next hop is known."""
    uplink_to_probe(lab, remotes=(REMOTE,))
    local = lab.local_tenant("ta", "a", "203.0.113.10", local_mac)
    switch = start(lab, overlay_config([REMOTE], tenant_device=af_packet(1, "ta")))
    far = probe(lab)
    resolve(switch, local, far)
    return switch, local, far
