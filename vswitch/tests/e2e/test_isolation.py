"""Two networks whose tenants use the same MACs and the same addresses: neither ever sees the other."""

from __future__ import annotations

from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab, af_packet
from lib.overlay import EXPERIMENTAL, experimental, is_vxlan, start
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

LOCAL_MAC, REMOTE_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:14"
LOCAL, REMOTE = "203.0.113.10", "203.0.113.20"
VNIS = {"blue": 100, "green": 200}


def test_identical_tenants_never_meet(lab: Lab) -> None:
    fabric = lab.fabric()
    our_port = fabric.attach(lab.namespace("sw"), "up0")
    vtep = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    local, remote = {}, {}
    for network, vni in VNIS.items():
        vtep.network(vni, ["198.51.100.1"])
        remote[network] = vtep.tenant(lab.namespace(f"r-{network}"), vni, REMOTE, REMOTE_MAC)
        local[network] = lab.local_tenant(f"t-{network}", f"l-{network}", LOCAL, LOCAL_MAC)
    start(
        lab,
        Config(
            ports=[Port("uplink", af_packet(0, "up0"), mtu=1600)]
            + [Port(f"tenant-{n}", af_packet(i + 1, f"t-{n}")) for i, n in enumerate(VNIS)],
            vteps=[Vtep("198.51.100.1/24")],
            networks=[Network(n, vni, [f"tenant-{n}"], ["198.51.100.2"]) for n, vni in VNIS.items()],
        ),
    )
    ends = [(network, end[network]) for network in VNIS for end in (local, remote)]
    eyes = [(network, lab.sniff(tenant.namespace, tenant.interface)) for network, tenant in ends]
    underlay = lab.sniff(fabric.namespace, our_port)

    for network in VNIS:
        local[network].reaches(remote[network])
        remote[network].reaches(local[network])

    # Known, unknown and broadcast destinations, each frame with the name of its network in it.
    for network, tenant in ends:
        peer = REMOTE_MAC if tenant.mac == LOCAL_MAC else LOCAL_MAC
        with tenant.sender() as hand:
            for destination in (peer, "02:00:00:00:00:ee", "ff:ff:ff:ff:ff:ff") * 5:
                hand.send(experimental(destination, tenant.mac, network.encode()))
    for network, eye in eyes:
        eye.wait(lambda f: f.ethertype == EXPERIMENTAL, count=15)
    for network, eye in eyes:
        heard = [f.data[14:].rstrip(b"\0") for f in eye.frames(lambda f: f.ethertype == EXPERIMENTAL)]
        assert heard == [network.encode()] * 15, eye.where

    # On the wire as well: a frame of one network never carries the other's VNI.
    seen = set()
    for frame in underlay.frames(is_vxlan, outgoing=None):
        outer = Ether(frame.data)[VXLAN]
        inner = bytes(outer.payload)
        if inner[12:14] == EXPERIMENTAL.to_bytes(2, "big"):
            seen.add((inner[14:].rstrip(b"\0").decode(), outer.vni))
    assert seen == set(VNIS.items())
