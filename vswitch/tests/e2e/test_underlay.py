"""The underlay through the kernel: gateways, routes and neighbours that change while traffic runs."""

from __future__ import annotations

import socket
import time
from typing import Iterator

import pytest
from lib.lab import Lab, af_packet, overlay_config
from lib.netns import Namespace
from lib.overlay import REMOTE as PEER
from lib.overlay import experimental, is_vxlan, probe, resolve, uplink_to_probe
from lib.ping import ping
from lib.switch import Switch
from lib.tenant import Tenant
from lib.underlay import Fabric, LinuxVtep
from lib.wait import until
from lib.wire import Sniffer

FOLLOWS_WITHIN_SECS = 1.0

NEAR_NET, FAR_NET = "198.51.100.0/26", "198.51.100.128/26"
REMOTE = "198.51.100.130"
GATEWAYS = {"g1": ("198.51.100.61", "198.51.100.189"), "g2": ("198.51.100.62", "198.51.100.190")}


class Routed:
    """Our VTEP on one fabric, the remote on another, two gateways between them, and a steady ping."""

    def __init__(self, lab: Lab):
        near, far = Fabric(lab.namespace("near")), Fabric(lab.namespace("far"))
        near.attach(lab.namespace("sw"), "up0")
        self.gateways: dict[str, Namespace] = {}
        self.eyes: dict[str, Sniffer] = {}
        for name, (near_address, far_address) in GATEWAYS.items():
            gateway = lab.namespace(name)
            near.attach(gateway, "near")
            far.attach(gateway, "far")
            gateway.ip(f"addr add {near_address}/26 dev near", f"addr add {far_address}/26 dev far")
            gateway.sysctl("net/ipv4/ip_forward", "1")
            gateway.sysctl("net/ipv4/conf/all/send_redirects", "0")
            gateway.sysctl("net/ipv4/conf/near/send_redirects", "0")
            self.gateways[name] = gateway
            self.eyes[name] = lab.sniff(gateway, "near")
        host = lab.namespace("h1")
        far.attach(host, "eth0")
        vtep = LinuxVtep(host, "eth0", f"{REMOTE}/26")
        host.ip(f"route add {NEAR_NET} via {GATEWAYS['g1'][1]}")
        vtep.network(100, ["198.51.100.1"])
        self.remote: Tenant = vtep.tenant(lab.namespace("r"), 100, "203.0.113.20", "02:00:00:00:00:14")
        self.local: Tenant = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
        config = overlay_config([REMOTE], tenant_device=af_packet(1, "ta"))
        config.vteps[0].address = "198.51.100.1/26"
        self.switch: Switch = lab.switch(config).start()
        self.ours: Namespace = lab.namespace("sw")
        self.ours.ip(f"route add {FAR_NET} via {GATEWAYS['g1'][0]} dev vtep0")

    def follows(self, gateway: str, since: float, mac: str) -> float:
        """Waits until our tunnel's frames come to this gateway's MAC; seconds since the change."""

        def to_it(frame) -> bool:
            return is_vxlan(frame) and frame.at > since and frame.destination == mac

        return self.eyes[gateway].wait(to_it, seconds=5)[0].at - since


@pytest.fixture
def routed(lab: Lab) -> Iterator[Routed]:
    made = Routed(lab)
    made.local.reaches(made.remote)
    pinging = made.local.namespace.popen("ping", "-nq", "-i", "0.02", made.remote.address, stdout=-3, stderr=-3)
    try:
        yield made
    finally:
        pinging.kill()
        pinging.wait()


def test_a_remote_vtep_behind_a_gateway_and_a_changed_route(routed: Routed) -> None:
    assert routed.local.ping(routed.remote.address, count=10) == 10
    assert routed.eyes["g1"].frames(is_vxlan) and not routed.eyes["g2"].frames(is_vxlan)

    changed = time.monotonic()
    routed.ours.ip(f"route replace {FAR_NET} via {GATEWAYS['g2'][0]} dev vtep0")
    took = routed.follows("g2", changed, routed.gateways["g2"].mac_of("near"))
    assert took < FOLLOWS_WITHIN_SECS, f"the new gateway got its first frame after {took:.2f} s"
    time.sleep(0.1)
    settled = time.monotonic()
    assert routed.local.ping(routed.remote.address, count=10) == 10
    near_g1 = routed.gateways["g1"].mac_of("near")
    late = routed.eyes["g1"].frames(lambda f: is_vxlan(f) and f.at > settled and f.destination == near_g1)
    assert not late, "the old gateway still gets frames"


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "silent"])
def test_a_gateway_that_changes_its_mac(routed: Routed, announced: bool) -> None:
    """Announced by a gratuitous ARP, as when a gateway fails over; or silently, as when a card is replaced."""
    gateway = routed.gateways["g1"]
    gateway.sysctl("net/ipv4/conf/near/arp_notify", "1" if announced else "0")
    new_mac = "02:00:00:00:0f:01"
    time.sleep(1.1)  # the kernel ignores what contradicts a neighbour entry younger than a second
    changed = time.monotonic()
    gateway.ip(f"link set near address {new_mac}")
    took = routed.follows("g1", changed, new_mac)
    assert took < FOLLOWS_WITHIN_SECS, f"the gateway's new MAC got its first frame after {took:.2f} s"
    until("pings are answered again", lambda: routed.local.ping(routed.remote.address, count=5, wait=0.3) == 5)


def test_a_next_hop_that_comes_late_is_found(lab: Lab) -> None:
    """Frames for a next hop that nobody answers for are counted; once somebody does, they flow."""
    fabric = lab.fabric()
    fabric.attach(lab.namespace("sw"), "up0")
    local = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    switch = lab.switch(overlay_config(["198.51.100.2"], tenant_device=af_packet(1, "ta"))).start()
    local.ping("203.0.113.20", count=2, wait=0.3)
    assert switch.drops().get("next_hop_unresolved", 0) >= 1

    vtep = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    vtep.network(100, ["198.51.100.1"])
    remote = vtep.tenant(lab.namespace("r"), 100, "203.0.113.20", "02:00:00:00:00:14")
    local.reaches(remote)


@pytest.mark.parametrize("driver", ["net_af_packet0", "net_af_xdp0"])
def test_only_the_vtep_answers_for_the_vtep(lab: Lab, driver: str) -> None:
    """The kernel owns the VTEP's address on the TAP, and may see the uplink's frames as well (AF_PACKET
    only copies them): it must not answer twice, nor tell a peer that nobody listens for VXLAN."""
    uplink_to_probe(lab)
    local = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    config = overlay_config([PEER], tenant_device=af_packet(1, "ta"))
    config.ports[0].device = f"{driver},iface=up0"
    switch = lab.switch(config).start()
    far = probe(lab)
    resolve(switch, local, far, (PEER,))
    far.sniffer.clear()
    peer = lab.namespace("probe")

    for _ in range(3):
        far.send_inner(experimental(local.mac, "02:00:00:00:00:fa", b"no answer, please"))
        time.sleep(0.1)
    time.sleep(0.1)
    assert not [f for f in far.sniffer.frames() if is_icmp(f)], "an ICMP error for a frame of the overlay"

    assert ping(peer, "198.51.100.1", count=5) == 5
    time.sleep(0.2)
    assert len([f for f in far.sniffer.frames() if is_icmp(f)]) == 5, "echo replies"
    far.sniffer.clear()
    with peer.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as knock:
        peer.run("ip", "neigh", "flush", "dev", "eth0")
        knock.sendto(b"who are you", ("198.51.100.1", 9))
        far.sniffer.wait(is_arp_reply)
        time.sleep(0.2)
    assert len(far.sniffer.frames(is_arp_reply)) == 1, "ARP replies"


def is_icmp(frame) -> bool:
    return frame.ethertype == 0x0800 and frame.data[23] == 1


def is_arp_reply(frame) -> bool:
    return frame.ethertype == 0x0806 and frame.data[20:22] == b"\x00\x02"
