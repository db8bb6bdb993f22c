"""Broadcasts: to everyone, once, and never back; and floods that go on for long."""

from __future__ import annotations

import random

from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab, af_packet, overlay_config
from lib.overlay import EXPERIMENTAL, REMOTE, experimental, is_vxlan, probe, resolve, start, uplink_to_probe
from lib.tenant import Tenant
from lib.wait import until
from lib.wire import Frame
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

BROADCAST = "ff:ff:ff:ff:ff:ff"


def is_experimental(frame: Frame) -> bool:
    return frame.ethertype == EXPERIMENTAL


def test_three_tenants_hear_each_other_exactly_once(lab: Lab) -> None:
    """One local tenant, two Linux VTEPs. No frame of one remote VTEP is ever sent to the other by us."""
    fabric = lab.fabric()
    our_port = fabric.attach(lab.namespace("sw"), "up0")
    local = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    addresses = {"h1": "198.51.100.2", "h2": "198.51.100.3"}
    remotes: list[Tenant] = []
    for number, (host, address) in enumerate(addresses.items()):
        vtep = lab.linux_vtep(fabric, host, f"{address}/24")
        others = [a for a in (*addresses.values(), "198.51.100.1") if a != address]
        vtep.network(100, others)
        remotes.append(
            vtep.tenant(lab.namespace(f"r{number}"), 100, f"203.0.113.{20 + number}", f"02:00:00:00:01:{number:02x}")
        )
    switch = start(lab, overlay_config(list(addresses.values()), tenant_device=af_packet(1, "ta")))
    tenants = [local, *remotes]
    from_us = lab.sniff(fabric.namespace, our_port)
    for here in tenants:
        for there in tenants:
            if here is not there:
                here.reaches(there)

    eyes = {tenant.mac: lab.sniff(tenant.namespace, tenant.interface) for tenant in tenants}
    rounds = 10
    for number in range(rounds):
        for tenant in tenants:
            with tenant.sender() as hand:
                hand.send(experimental(BROADCAST, tenant.mac, f"round {number}".encode()))
    for eye in eyes.values():
        eye.wait(is_experimental, count=2 * rounds)
    for mac, eye in eyes.items():
        heard = eye.frames(is_experimental)
        assert len(heard) == 2 * rounds, f"{mac} heard {len(heard)} broadcasts"
        assert len({f.data for f in heard}) == 2 * rounds, f"{mac} heard some broadcast twice"
        assert all(f.source != mac for f in heard), f"{mac} heard itself"

    # Frames that arrive at the fabric's end of our uplink are the ones that we sent.
    inner_sources = {Ether(f.data)[VXLAN].payload.src for f in from_us.frames(is_vxlan)}
    assert inner_sources == {local.mac}
    assert switch.metric("vswitch_replicated_packets_total", network="blue") > 0


def test_a_flood_reaches_local_ports_and_never_its_own(lab: Lab) -> None:
    uplink_to_probe(lab, remotes=(REMOTE,))
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    b = lab.local_tenant("tb", "b", "203.0.113.11", "02:00:00:00:00:0b")
    config = overlay_config([REMOTE], tenant_device=af_packet(1, "ta"))
    config.ports.append(Port("tenant-b", af_packet(2, "tb")))
    config.networks[0].ports.append("tenant-b")
    switch = start(lab, config)
    far = probe(lab)
    resolve(switch, a, far)
    eye_a, eye_b = lab.sniff(a.namespace, "eth0"), lab.sniff(b.namespace, "eth0")
    far.sniffer.clear()

    # Short frames are copied; of long ones the copies share the payload.
    for destination, length in ((BROADCAST, 60), ("01:00:5e:01:02:03", 1400), ("02:00:00:00:00:ee", 1400)):
        frame = experimental(destination, a.mac, random.randbytes(length - 14), length)
        with a.sender() as hand:
            hand.send(frame)
        eye_b.wait(lambda f: f.data == frame)
        until("the remote VTEP gets it", lambda: far.tunnelled(lambda inner: inner == frame))
        far.send_inner(experimental(destination, "02:00:00:00:00:cc", b"from afar to all"))
        eye_a.wait(lambda f: f.destination == destination and f.source == "02:00:00:00:00:cc")
        eye_b.wait(lambda f: f.destination == destination and f.source == "02:00:00:00:00:cc")

    assert len(eye_a.frames(is_experimental)) == 3
    assert len(eye_b.frames(is_experimental)) == 6
    assert len(far.tunnelled()) == 3


def test_a_broadcast_storm_does_not_stop_the_others(lab: Lab) -> None:
    """Thousands of broadcasts as fast as they go: what does not fit is counted, and pings are answered after."""
    uplink_to_probe(lab)
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    b = lab.local_tenant("tb", "b", "203.0.113.11", "02:00:00:00:00:0b")
    config = Config(
        ports=[
            Port("uplink", af_packet(0, "up0"), mtu=1600), Port("tenant-a", af_packet(1, "ta")),
            Port("tenant-b", af_packet(2, "tb")),
        ],
        vteps=[Vtep("198.51.100.1/24")],
        networks=[Network("blue", 100, ["tenant-a", "tenant-b"], ["198.51.100.2", "198.51.100.3"])],
    )
    switch = start(lab, config)
    a.reaches(b)
    with a.sender() as hand:
        for number in range(20_000):
            hand.send(experimental(BROADCAST, a.mac, number.to_bytes(4, "big"), 200))
    until("the storm is over", lambda: a.ping(b.address, count=3, wait=0.3) == 3)
    assert switch.metric("vswitch_port_receive_packets_total", port="tenant-a") > 1000
    allowed = {"transmit_queue_full", "no_buffers", "next_hop_unresolved", "link_local_multicast"}
    assert set(switch.drops()) <= allowed
