"""A tenant behind the switch and a tenant on a Linux host with the kernel's own VXLAN and bridge."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Thread

import pytest
from lib.lab import Lab, af_packet, overlay_config
from lib.netns import run
from lib.overlay import experimental
from lib.ping import ping
from lib.switch import Switch
from lib.tenant import Tenant
from lib.underlay import UNDERLAY_MTU, LinuxVtep

LOCAL_MAC = "02:00:00:00:00:0a"
REMOTE_MAC = "02:00:00:00:00:14"
LOCAL, REMOTE = "203.0.113.10", "203.0.113.20"

DEVICES = {
    "af_packet": af_packet(1, "ta"),
    "af_xdp": "net_af_xdp0,iface=ta",
    "tap": "net_tap0,iface=ta",
}


@dataclass
class Pair:
    """The smallest overlay: one tenant at each end."""

    switch: Switch
    local: Tenant
    remote: Tenant
    vtep: LinuxVtep


def make_pair(lab: Lab, kind: str = "af_packet", underlay_mtu: int = UNDERLAY_MTU) -> Pair:
    fabric = lab.fabric(underlay_mtu)
    fabric.attach(lab.namespace("sw"), "up0")
    vtep = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    vtep.network(100, ["198.51.100.1"])
    remote = vtep.tenant(lab.namespace("r"), 100, REMOTE, REMOTE_MAC)
    switch = lab.switch(overlay_config([vtep.address], tenant_device=DEVICES[kind], underlay_mtu=underlay_mtu))
    if kind == "tap":
        switch.start()
        local = adopt_tap(lab)
    else:
        local = lab.local_tenant("ta", "a", LOCAL, LOCAL_MAC)
        switch.start()
    return Pair(switch, local, remote, vtep)


def adopt_tap(lab: Lab) -> Tenant:
    """The tenant's end of a net_tap port is the TAP itself: it moves into the tenant's namespace."""
    tenant = lab.namespace("a")
    run("ip", "-n", lab.namespace("sw").name, "link", "set", "ta", "netns", tenant.name)
    tenant.ip("link set ta down", f"link set ta name eth0 address {LOCAL_MAC} up", f"addr add {LOCAL}/24 dev eth0")
    return Tenant(tenant, "eth0", LOCAL, LOCAL_MAC)


@pytest.fixture(params=DEVICES)
def pair(request: pytest.FixtureRequest, lab: Lab) -> Pair:
    return make_pair(lab, request.param)


@pytest.fixture
def veth_pair(lab: Lab) -> Pair:
    return make_pair(lab)


def test_ping_in_both_directions_at_every_size(pair: Pair) -> None:
    """From a 60-byte frame (18 bytes of payload) to 1514 bytes (1472), never fragmented."""
    pair.local.reaches(pair.remote)
    assert pair.local.ping(pair.remote.address, count=10) == 10
    assert pair.remote.ping(pair.local.address, count=10) == 10
    for size in (18, 19, 22, 86, 214, 470, 982, 1358, 1408, 1458, 1471, 1472):
        assert pair.local.ping(pair.remote.address, size=size, df=True) == 3, f"{size} bytes, local to remote"
        assert pair.remote.ping(pair.local.address, size=size, df=True) == 3, f"{size} bytes, remote to local"


@pytest.mark.parametrize("reverse", [False, True], ids=["out", "back"])
def test_tcp_without_a_retransmission_storm(pair: Pair, reverse: bool) -> None:
    """Below what the path can do, hardly anything is lost; at full speed, TCP finds its rate.

    A TCP without a limit fills any queue until it overflows (here the packet sockets' rings, when
    the worker's core is shared), so that full speed only has a bound on how bad it may be.
    """
    pair.local.reaches(pair.remote)
    steady = pair.local.iperf(pair.remote, reverse=reverse, megabits=50)
    assert steady.bits_per_second > 45e6, steady
    assert steady.retransmits < steady.segments / 100, steady
    full = pair.local.iperf(pair.remote, reverse=reverse)
    assert full.bits_per_second > 50e6, full
    assert full.retransmits < full.segments / 10, full


def test_frames_of_every_length_arrive_as_they_were(veth_pair: Pair) -> None:
    """Every length from 60 to 1514 bytes, in both directions, byte for byte and once."""
    pair = veth_pair
    pair.local.reaches(pair.remote)
    for sender, receiver in ((pair.local, pair.remote), (pair.remote, pair.local)):
        sent = [
            experimental(receiver.mac, sender.mac, bytes(i & 0xFF for i in range(length - 14)), length)
            for length in range(60, 1515)
        ]
        with receiver.sniff() as eye, sender.sender() as hand:
            for start in range(0, len(sent), 97):  # in bursts that no ring on the way overflows
                hand.send(*sent[start : start + 97])
                eye.wait(is_experimental, count=min(start + 97, len(sent)))
            assert [f.data for f in eye.frames(is_experimental)] == sent


def is_experimental(frame) -> bool:
    return frame.ethertype == 0x88B5


def test_the_underlays_mtu_is_exact(lab: Lab) -> None:
    """With 1500 bytes of underlay, 1464 bytes of inner frame fit; one more is dropped, and counted."""
    pair = make_pair(lab, underlay_mtu=1500)
    pair.local.reaches(pair.remote)
    before = pair.switch.drops().get("exceeds_underlay_mtu", 0)
    with pair.remote.sniff() as eye, pair.local.sender() as hand:
        hand.send(experimental(pair.remote.mac, pair.local.mac, b"fits", 1464))
        eye.wait(is_experimental)
        hand.send(experimental(pair.remote.mac, pair.local.mac, b"does not", 1465))
        hand.send(experimental(pair.remote.mac, pair.local.mac, b"fits again", 1464))
        eye.wait(is_experimental, count=2)
        assert [len(f.data) for f in eye.frames(is_experimental)] == [1464, 1464]
    assert pair.switch.drops().get("exceeds_underlay_mtu", 0) == before + 1


def test_the_vteps_address_answers_while_tenants_talk(veth_pair: Pair) -> None:
    """The kernel answers ICMP through the TAP; tenants' TCP does not starve it."""
    pair = veth_pair
    pair.local.reaches(pair.remote)
    measured = []
    load = Thread(target=lambda: measured.append(pair.local.iperf(pair.remote, seconds=3)))
    load.start()
    try:
        answered = ping(pair.vtep.namespace, "198.51.100.1", count=40)
    finally:
        load.join()
    assert answered == 40
    assert measured and measured[0].segments > 1000
    assert pair.switch.metric("vswitch_punted_packets_total", vtep="fabric") >= 40


def test_another_udp_port_and_a_mac_of_our_own(lab: Lab) -> None:
    """Peers that speak VXLAN on Linux's old port 8472, and a VTEP whose MAC is not the uplink's."""
    fabric = lab.fabric()
    fabric.attach(lab.namespace("sw"), "up0")
    vtep = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    vtep.network(100, ["198.51.100.1"], udp_port=8472)
    remote = vtep.tenant(lab.namespace("r"), 100, REMOTE, REMOTE_MAC)
    local = lab.local_tenant("ta", "a", LOCAL, LOCAL_MAC)
    config = overlay_config([vtep.address], tenant_device=DEVICES["af_packet"])
    config.vteps[0].udp_port = 8472
    config.vteps[0].mac = "02:00:00:00:00:f0"
    lab.switch(config).start()
    local.reaches(remote)
    assert local.ping(remote.address, count=10) == 10
    assert remote.ping(local.address, count=10) == 10
    neighbours = run("ip", "-n", vtep.namespace.name, "neigh").stdout
    assert "198.51.100.1 dev eth0 lladdr 02:00:00:00:00:f0" in neighbours
