"""What is on the wire, judged by others: scapy and tshark decode what we send, and we what scapy builds."""

from __future__ import annotations

import shutil

import pytest
from lib.lab import Lab, af_packet, overlay_config
from lib.netns import run
from lib.overlay import PROBE_MAC, REMOTE, VNI, Probe, experimental, is_vxlan, probe, resolve, start, uplink_to_probe
from lib.switch import Switch
from lib.tenant import Tenant
from lib.wait import until
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from scapy.utils import wrpcap

LOCAL_MAC, FAR_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:fa"
LOCAL, FAR = "203.0.113.10", "203.0.113.20"


@pytest.fixture
def wired(lab: Lab) -> tuple[Switch, Tenant, Probe]:
    uplink_to_probe(lab, remotes=(REMOTE,))
    local = lab.local_tenant("ta", "a", LOCAL, LOCAL_MAC)
    switch = start(lab, overlay_config([REMOTE], tenant_device=af_packet(1, "ta")))
    far = probe(lab)
    resolve(switch, local, far)
    far.sniffer.clear()
    return switch, local, far


def flows(count: int) -> list[bytes]:
    """Inner frames of many flows and kinds."""
    pair = Ether(src=LOCAL_MAC, dst=FAR_MAC)
    frames = [bytes(pair / IP(src=LOCAL, dst=FAR) / UDP(sport=1024 + n, dport=9999) / Raw(b"q" * n)) for n in range(count)]
    frames += [bytes(pair / IP(src=LOCAL, dst=FAR) / TCP(sport=1024 + n, dport=80)) for n in range(count)]
    frames.append(bytes(pair / ARP(psrc=LOCAL, pdst=FAR)))
    frames.append(experimental(FAR_MAC, LOCAL_MAC, b"not IP at all", 1514))
    return frames


def test_encapsulated_frames_decode_to_the_inner_bytes(wired: tuple[Switch, Tenant, Probe], tmp_path) -> None:
    switch, local, far = wired
    inner_frames = flows(50)
    with local.sender() as hand:
        hand.send(*inner_frames)
    until("all are encapsulated", lambda: len(far.tunnelled(lambda i: i in inner_frames)) >= len(inner_frames))
    captured = far.sniffer.frames(is_vxlan)
    outers = [o for o in map(lambda f: Ether(f.data), captured) if bytes(o[VXLAN].payload) in inner_frames]
    assert [bytes(o[VXLAN].payload) for o in outers] == inner_frames

    source_ports: dict[bytes, int] = {}
    for outer, inner in zip(outers, inner_frames):
        assert outer.dst == PROBE_MAC and outer.src == far.switch_mac and outer.type == 0x0800
        ip, udp, vxlan = outer[IP], outer[UDP], outer[VXLAN]
        assert (ip.version, ip.ihl, ip.tos & 0b11) == (4, 5, 0)
        assert (ip.src, ip.dst, ip.ttl, ip.proto) == ("198.51.100.1", REMOTE, 64, 17)
        assert ip.flags == "DF" and ip.frag == 0
        assert ip.len == len(inner) + 36 and udp.len == len(inner) + 16
        assert ip.chksum == checksum_of(ip)
        assert udp.dport == 4789 and udp.chksum == 0
        assert 49152 <= udp.sport <= 65535
        assert (int(vxlan.flags), vxlan.vni) == (0x08, VNI)
        assert bytes(vxlan)[:8] == b"\x08\0\0\0" + VNI.to_bytes(3, "big") + b"\0", "reserved bits are zero"
        source_ports[inner] = udp.sport
    assert len(set(source_ports.values())) > 60, "the source port spreads over flows"

    # The same flow keeps its port: ECMP must not reorder it.
    far.sniffer.clear()
    with local.sender() as hand:
        hand.send(*inner_frames[:50])
    until("they are encapsulated again", lambda: len(far.tunnelled(lambda i: i in inner_frames)) >= 50)
    again = {bytes(o[VXLAN].payload): o[UDP].sport for o in far.tunnelled(lambda i: i in inner_frames)}
    assert all(source_ports[inner] == port for inner, port in again.items())

    assert tshark_finds_nothing_wrong([f.data for f in captured], tmp_path) == len(captured)


def checksum_of(ip: IP) -> int:
    """The header checksum as scapy computes it."""
    fresh = ip.copy()
    fresh.remove_payload()
    del fresh.chksum
    return IP(bytes(fresh)).chksum


def tshark_finds_nothing_wrong(frames: list[bytes], directory) -> int:
    """Reads the frames with tshark; returns how many it takes for VXLAN, all well-formed."""
    assert shutil.which("tshark"), "tshark is missing: run scripts/setup"
    capture = str(directory / "underlay.pcap")
    wrpcap(capture, [Ether(f) for f in frames])
    options = ("-o", "ip.check_checksum:TRUE", "-n", "-r", capture)
    bad = run("tshark", *options, "-Y", "_ws.malformed || ip.checksum.status == 0").stdout
    assert not bad, bad
    return len(run("tshark", *options, "-Y", f"vxlan.vni == {VNI}").stdout.splitlines())


def test_frames_that_scapy_builds_decapsulate_to_the_inner_bytes(wired: tuple[Switch, Tenant, Probe]) -> None:
    switch, local, far = wired
    swap = [f[6:12] + f[0:6] + f[12:] for f in flows(50)]
    with local.sniff() as eye:
        for inner in swap:
            far.send_inner(inner)
        eye.wait(lambda f: f.data in swap, count=len(swap))
        assert [f.data for f in eye.frames(lambda f: f.data in swap)] == swap


def test_what_the_rfc_says_to_ignore_is_ignored(wired: tuple[Switch, Tenant, Probe]) -> None:
    """Reserved bits, a UDP checksum that is there and right, IP options, any TTL, padding behind the IP packet."""
    switch, local, far = wired
    inner = experimental(LOCAL_MAC, FAR_MAC, b"")
    variants = {}
    for name in ("reserved bits", "udp checksum", "ip options", "ttl 1", "tos", "padding", "no DF", "source port 1"):
        frame = far.wrap(inner[:20] + name.encode() + inner[20 + len(name):])
        if name == "reserved bits":
            raw = bytearray(bytes(frame))
            raw[42] = 0xFF
            raw[43:46] = b"\xff\xff\xff"
            raw[49] = 0xFF
            variants[name] = bytes(raw)
            continue
        if name == "udp checksum":
            del frame[UDP].chksum
        elif name == "ip options":
            frame[IP].options = [b"\x01\x01\x01\x00"]
            del frame[IP].ihl, frame[IP].len, frame[IP].chksum
        elif name == "ttl 1":
            frame[IP].ttl = 1
        elif name == "tos":
            frame[IP].tos = 0xFC
        elif name == "no DF":
            frame[IP].flags = 0
        elif name == "source port 1":
            frame[UDP].sport = 1
        variants[name] = bytes(frame) + (b"\xee" * 9 if name == "padding" else b"")
    for name, frame in variants.items():
        with local.sniff() as eye:
            far.sender.send(frame)
            [arrived] = eye.wait(lambda f: f.source == FAR_MAC)
            assert name.encode() in arrived.data, name
            assert len(arrived.data) == len(inner), name
