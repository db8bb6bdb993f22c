"""What happens to a running host: links that go and come, neighbours flushed, an interface removed."""

from __future__ import annotations

import time

import pytest
from lib.config import Port
from lib.lab import Lab, af_packet, overlay_config
from lib.netns import run
from lib.switch import Switch
from lib.tenant import Tenant
from lib.wait import until


@pytest.fixture
def three(lab: Lab) -> tuple[Switch, Tenant, Tenant, Tenant]:
    """Two local tenants and one behind a Linux VTEP, who all reach each other."""
    fabric = lab.fabric()
    fabric.attach(lab.namespace("sw"), "up0")
    vtep = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    vtep.network(100, ["198.51.100.1"])
    remote = vtep.tenant(lab.namespace("r"), 100, "203.0.113.20", "02:00:00:00:00:14")
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    b = lab.local_tenant("tb", "b", "203.0.113.11", "02:00:00:00:00:0b")
    config = overlay_config(["198.51.100.2"], tenant_device=af_packet(1, "ta"))
    config.ports.append(Port("tenant-b", af_packet(2, "tb")))
    config.networks[0].ports.append("tenant-b")
    switch = lab.switch(config).start()
    for here, there in ((a, b), (a, remote), (b, remote)):
        here.reaches(there)
    return switch, a, b, remote


@pytest.mark.parametrize("interface", ["up0", "ta"])
def test_a_link_that_goes_down_and_comes_back(three, interface: str) -> None:
    switch, a, b, remote = three
    switch.namespace.ip(f"link set {interface} down")
    assert a.ping(remote.address, count=2, wait=0.2) == 0
    if interface == "ta":
        assert b.ping(remote.address) == 3, "the others do not notice"
    switch.namespace.ip(f"link set {interface} up")
    a.reaches(remote)
    a.reaches(b)


def test_a_tenants_interface_that_is_removed(three) -> None:
    """As when a container ends. The switch and everyone else go on."""
    switch, a, b, remote = three
    switch.namespace.ip("link del ta")
    for _ in range(3):
        b.ping("203.0.113.99", count=1, wait=0.1)  # floods, also to the port that is no more
    assert b.ping(remote.address, count=10) == 10
    assert remote.ping(b.address, count=10) == 10


def test_flushed_neighbours_are_asked_for_again(three) -> None:
    switch, a, _, remote = three
    for _ in range(3):
        run("ip", "-n", switch.namespace.name, "neigh", "flush", "dev", "vtep0")
        changed = time.monotonic()
        until("the remote is reached again", lambda: a.ping(remote.address, count=1, wait=0.2) == 1, seconds=2)
        assert time.monotonic() - changed < 1.5
    assert a.ping(remote.address, count=10) == 10


def test_a_remote_host_that_restarts(three, lab: Lab) -> None:
    """Its link flaps, its neighbour entry fails; after that, everything is as before."""
    switch, a, _, remote = three
    host = lab.namespace("h1")
    host.ip("link set eth0 down")
    run("ip", "-n", switch.namespace.name, "neigh", "flush", "dev", "vtep0")
    assert a.ping(remote.address, count=3, wait=0.2) == 0
    host.ip("link set eth0 up")
    a.reaches(remote)
