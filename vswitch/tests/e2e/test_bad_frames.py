"""Frames that must not pass: each ends once, in its own drop reason, and nobody else sees it.

One switch serves all the cases; every case checks the difference that it makes, and the promise
that holds after every test.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Iterator

import pytest
from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab, af_packet, overlay_config
from lib.overlay import OTHER_REMOTE, PROBE_MAC, REMOTE, Probe, experimental, probe, resolve, start, uplink_to_probe
from lib.ping import checksum
from lib.switch import Switch
from lib.tenant import Tenant
from lib.wait import until
from lib.wire import Sniffer
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

A_MAC, B_MAC, FAR_MAC, OTHER_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:fa", "02:00:00:00:00:fb"
BROADCAST = "ff:ff:ff:ff:ff:ff"
ABSENT_REMOTE, UNREACHED_MAC = "198.51.100.9", "02:00:00:00:00:99"
UNKNOWN_VNI = 4242


@dataclass
class Court:
    """The switch and everyone who might see what they must not."""

    switch: Switch
    far: Probe
    tenants: dict[str, Tenant]
    eyes: dict[str, Sniffer]

    def seen(self) -> dict[str, int]:
        """Experimental or tunnelled frames that anyone has received since the last clear."""
        found = {name: len(eye.frames(lambda f: f.source != "02:00:00:00:00:00" and f.ethertype not in (0x0806,)))
                 for name, eye in self.eyes.items()}
        found["underlay"] = len(self.far.tunnelled())
        return {name: count for name, count in found.items() if count}

    def clear(self) -> None:
        for eye in (*self.eyes.values(), self.far.sniffer):
            eye.clear()


@pytest.fixture(scope="module")
def court(tmp_path_factory) -> Iterator[Court]:
    lab = Lab(tmp_path_factory.mktemp("court"))
    try:
        yield hold_court(lab)
        lab.verify()
    finally:
        lab.close()


def hold_court(lab: Lab) -> Court:
    # The switch believes in an underlay of 1500; the wire has room for what it must refuse.
    uplink_to_probe(lab)
    tenants = {
        "a": lab.local_tenant("ta", "a", "203.0.113.10", A_MAC, mtu=1400),
        "b": lab.local_tenant("tb", "b", "203.0.113.11", B_MAC),
        "lonely": lab.local_tenant("tc", "c", "203.0.113.12", "02:00:00:00:00:0c"),
        "stranded": lab.local_tenant("td", "d", "203.0.113.13", "02:00:00:00:00:0d"),
        "unused": lab.local_tenant("te", "e", "203.0.113.14", "02:00:00:00:00:0e"),
    }
    switch = start(
        lab,
        Config(
            ports=[
                Port("uplink", af_packet(0, "up0"), mtu=1500),
                Port("tenant-a", af_packet(1, "ta"), mtu=1400),
                Port("tenant-b", af_packet(2, "tb")),
                Port("tenant-c", af_packet(3, "tc")),
                Port("tenant-d", af_packet(4, "td")),
                Port("unused", af_packet(5, "te")),
            ],
            vteps=[Vtep("198.51.100.1/24")],
            networks=[
                Network("blue", 100, ["tenant-a", "tenant-b"], [REMOTE, OTHER_REMOTE]),
                Network("lonely", 101, ["tenant-c"], vtep=None),
                Network(
                    "stranded", 102, ["tenant-d"], [ABSENT_REMOTE],
                    macs={UNREACHED_MAC: ("remote-vtep", ABSENT_REMOTE)},
                ),
            ],
        ),
    )
    far = probe(lab)
    resolve(switch, tenants["b"], far, (REMOTE, OTHER_REMOTE))
    eyes = {name: lab.sniff(tenant.namespace, "eth0") for name, tenant in tenants.items()}
    # Everyone is known before the first case.
    far.send_inner(experimental(BROADCAST, FAR_MAC, b"here"))
    far.send_inner(experimental(BROADCAST, OTHER_MAC, b"here"), source=OTHER_REMOTE)
    for name in ("a", "b"):
        with tenants[name].sender() as hand:
            hand.send(experimental(BROADCAST, tenants[name].mac, b"here"))
    until("all are learned", lambda: {A_MAC, B_MAC, FAR_MAC, OTHER_MAC} <= set(switch.fdb("blue")))
    time.sleep(0.1)
    return Court(switch, far, tenants, eyes)


INNER = experimental(A_MAC, FAR_MAC, b"must not arrive")
"""What the spoilt frames carry: it would reach tenant a, were they not spoilt."""


def spoilt(change: Callable[[Ether], object]) -> Callable[[Probe], bytes]:
    """A well-made VXLAN frame with one thing changed in it before it is built."""

    def build(far: Probe) -> bytes:
        frame = far.wrap(INNER)
        changed = change(frame)
        return bytes(changed if isinstance(changed, (Ether, bytes)) else frame)

    return build


def patched(offset: int, value: bytes, *, fix_checksum: bool = False) -> Callable[[Probe], bytes]:
    """A well-made VXLAN frame with some bytes overwritten."""

    def build(far: Probe) -> bytes:
        frame = bytearray(bytes(far.wrap(INNER)))
        frame[offset : offset + len(value)] = value
        if fix_checksum:
            frame[24:26] = b"\0\0"
            frame[24:26] = checksum(bytes(frame[14:34])).to_bytes(2, "big")
        return bytes(frame)

    return build


def inner(frame: bytes) -> Callable[[Probe], bytes]:
    return lambda far: bytes(far.wrap(frame))


def set_field(layer, **fields) -> Callable[[Ether], None]:
    def change(frame: Ether) -> None:
        for name, value in fields.items():
            setattr(frame[layer], name, value)

    return change


FROM_THE_UNDERLAY = {
    # case: (reason, builder of the frame)
    "destination MAC of another host": ("not_our_mac", spoilt(set_field(Ether, dst="02:00:00:00:09:09"))),
    "destination address of another host": ("not_our_address", spoilt(set_field(IP, dst="198.51.100.77"))),
    "IHL of four words": ("outer_bad_ihl", patched(14, b"\x44", fix_checksum=True)),
    "IHL of zero": ("outer_bad_ihl", patched(14, b"\x40", fix_checksum=True)),
    "IP version 6 in an IPv4 frame": ("outer_bad_ihl", patched(14, b"\x65", fix_checksum=True)),
    "IP length beyond the frame": ("truncated", patched(16, b"\x05\x00", fix_checksum=True)),
    "IP length below its header": ("outer_bad_length", patched(16, b"\x00\x13", fix_checksum=True)),
    "UDP length beyond the IP packet": ("outer_bad_length", patched(38, b"\x05\x00")),
    "UDP length below its header": ("outer_bad_length", patched(38, b"\x00\x07")),
    "wrong IP checksum": ("outer_bad_checksum", patched(24, b"\xde\xad")),
    "another tunnel's UDP port": ("vxlan_wrong_udp_port", spoilt(set_field(UDP, dport=4790))),
    "no I flag": ("vxlan_no_vni_flag", spoilt(set_field(VXLAN, flags=0))),
    "unknown VNI": ("unknown_vni", spoilt(set_field(VXLAN, vni=UNKNOWN_VNI))),
    "VNI 0": ("unknown_vni", spoilt(set_field(VXLAN, vni=0))),
    "unknown remote VTEP": ("unknown_remote_vtep", spoilt(set_field(IP, src="198.51.100.88"))),
    "inner frame of 13 bytes": ("inner_runt", inner(INNER[:13])),
    "no inner frame": ("inner_runt", inner(b"")),
    "inner VLAN tag": ("vlan_not_configured", inner(bytes(Ether(dst=A_MAC, src=FAR_MAC) / Dot1Q(vlan=7) / Raw(b"x" * 50)))),
    "inner source MAC zero": ("invalid_source_mac", inner(experimental(A_MAC, "00:00:00:00:00:00", b"x"))),
    "inner source MAC multicast": ("invalid_source_mac", inner(experimental(A_MAC, "03:00:00:00:00:01", b"x"))),
    "inner destination of the local link": ("link_local_multicast", inner(experimental("01:80:c2:00:00:0e", FAR_MAC, b"x"))),
    "for a MAC behind another remote VTEP": ("split_horizon", inner(experimental(OTHER_MAC, FAR_MAC, b"x"))),
    "too long for the tenant's port": ("exceeds_port_mtu", inner(experimental(A_MAC, FAR_MAC, b"x", 1415))),
}

FROM_A_TENANT = {
    # case: (reason, which tenant sends, frame)
    "source MAC zero": ("invalid_source_mac", "a", experimental(B_MAC, "00:00:00:00:00:00", b"x")),
    "source MAC multicast": ("invalid_source_mac", "a", experimental(B_MAC, "01:00:5e:00:00:01", b"x")),
    "source MAC broadcast": ("invalid_source_mac", "a", experimental(B_MAC, BROADCAST, b"x")),
    "VLAN tag": ("vlan_not_configured", "a", bytes(Ether(dst=B_MAC, src=A_MAC) / Dot1Q(vlan=7) / Raw(b"x" * 50))),
    "two VLAN tags": (
        "vlan_not_configured", "a",
        bytes(Ether(dst=B_MAC, src=A_MAC, type=0x88A8) / Dot1Q(vlan=7) / Dot1Q(vlan=8) / Raw(b"x" * 50)),
    ),
    "to oneself": ("same_port", "a", experimental(A_MAC, A_MAC, b"x")),
    "for the local link": ("link_local_multicast", "a", experimental("01:80:c2:00:00:00", A_MAC, b"x")),
    "too long for the underlay": ("exceeds_underlay_mtu", "b", experimental(FAR_MAC, B_MAC, b"x", 1465)),
    "too long for the other tenant's port": ("exceeds_port_mtu", "b", experimental(A_MAC, B_MAC, b"x", 1415)),
    "broadcast to nobody": ("no_destination", "lonely", experimental(BROADCAST, "02:00:00:00:00:0c", b"x")),
    "next hop that nobody answers for": (
        "next_hop_unresolved", "stranded", experimental(UNREACHED_MAC, "02:00:00:00:00:0d", b"x"),
    ),
    "port of no network": ("port_unused", "unused", experimental(BROADCAST, "02:00:00:00:00:0e", b"x")),
}


def judge(court: Court, send: Callable[[], None], reason: str) -> None:
    """`send` one frame: it is counted once, under `reason`, and nobody gets anything."""
    court.clear()
    before = court.switch.drops()
    send()

    def difference() -> dict[str, int]:
        now = court.switch.drops()
        return {name: count - before.get(name, 0) for name, count in now.items() if count != before.get(name, 0)}

    until("a drop is counted", difference)
    time.sleep(0.02)
    assert difference() == {reason: 1}
    assert court.seen() == {}
    court.switch.verify()


@pytest.mark.parametrize("case", FROM_THE_UNDERLAY)
def test_from_the_underlay(court: Court, case: str) -> None:
    reason, build = FROM_THE_UNDERLAY[case]
    judge(court, lambda: court.far.sender.send(build(court.far)), reason)


@pytest.mark.parametrize("case", FROM_A_TENANT)
def test_from_a_tenant(court: Court, case: str) -> None:
    reason, who, frame = FROM_A_TENANT[case]

    def send() -> None:
        with court.tenants[who].sender() as hand:
            hand.send(frame)

    judge(court, send, reason)


def test_outer_fragments(lab: Lab) -> None:
    """Over net_af_xdp: net_af_packet's sockets let the kernel reassemble before the switch sees anything."""
    uplink_to_probe(lab)
    tenant = lab.local_tenant("ta", "a", "203.0.113.10", A_MAC)
    config = overlay_config([REMOTE], tenant_device=af_packet(0, "ta"))
    config.ports[0].device = "net_af_xdp0,iface=up0"
    switch = start(lab, config)
    far = probe(lab)
    resolve(switch, tenant, far)
    with tenant.sniff() as eye:
        for number, fields in enumerate(({"flags": "MF"}, {"flags": 0, "frag": 8}, {"flags": "MF", "frag": 8}), start=1):
            far.sender.send(spoilt(set_field(IP, id=number, **fields))(far))
            until("the fragment is counted", lambda: switch.drops().get("outer_fragment") == number)
        assert not eye.frames(lambda f: f.data == INNER)
    assert set(switch.drops()) <= {"outer_fragment", "next_hop_unresolved"}


def test_truncated_at_every_byte_of_every_header(court: Court) -> None:
    """Cut after any byte of the outer headers (and the wire never has less than 14): one drop each, never a crash."""
    court.clear()
    whole = bytes(court.far.wrap(INNER))
    before = court.switch.drops()
    cuts = range(14, 14 + 20 + 8 + 8 + 14)
    for cut in cuts:
        court.far.sender.send(whole[:cut])

    def difference() -> dict[str, int]:
        return {n: c - before.get(n, 0) for n, c in court.switch.drops().items() if c != before.get(n, 0)}

    until("every cut is counted", lambda: sum(difference().values()) >= len(cuts))
    time.sleep(0.05)
    assert difference() == {"truncated": len(cuts)}
    assert court.seen() == {}
    court.switch.verify()


def test_cut_in_the_inner_header_with_right_lengths(court: Court) -> None:
    """The outer headers are whole and agree; the inner frame ends within its Ethernet header."""
    court.clear()
    before = court.switch.drops().get("inner_runt", 0)
    for length in range(14):
        court.far.send_inner(INNER[:length])
    until("every one is counted", lambda: court.switch.drops().get("inner_runt", 0) - before >= 14)
    assert court.switch.drops()["inner_runt"] - before == 14
    assert court.seen() == {}
    court.switch.verify()


def test_what_is_not_for_the_overlay_is_the_kernels(court: Court) -> None:
    """Other UDP to the VTEP is no bad frame: it is punted, and the kernel answers for the port."""
    before = court.switch.metric("vswitch_punted_packets_total", vtep="fabric")
    drops = court.switch.drops()
    court.far.sender.send(
        Ether(src=PROBE_MAC, dst=court.far.switch_mac) / IP(src=REMOTE, dst="198.51.100.1") / UDP(sport=50000, dport=3784)
    )
    # At least: an answer to the kernel's own ARP may come in between.
    until("it is punted", lambda: court.switch.metric("vswitch_punted_packets_total", vtep="fabric") > before)
    assert court.switch.drops() == drops


def test_good_frames_still_pass(court: Court) -> None:
    """After everything above."""
    court.clear()
    court.far.send_inner(INNER)
    court.eyes["a"].wait(lambda f: f.data == INNER)
    back = experimental(FAR_MAC, A_MAC, b"and back")
    with court.tenants["a"].sender() as hand:
        hand.send(back)
    until("it leaves", lambda: court.far.tunnelled(lambda i: i == back))
    court.switch.verify()
