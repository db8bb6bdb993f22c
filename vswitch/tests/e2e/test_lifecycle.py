"""Starting, stopping, and starting again."""

from __future__ import annotations

import signal

import pytest
from lib.lab import Lab, overlay_config
from lib.netns import run
from lib.switch import Switch
from lib.wait import until


@pytest.fixture
def ready(lab: Lab) -> Switch:
    """A switch that can start, and has not."""
    sw = lab.namespace("sw")
    sw.ip("link add up0 type veth peer name up1", "link add ta type veth peer name ta1", "link set up1 up", "link set ta1 up")
    return lab.switch(overlay_config(["198.51.100.2"], tenant_device="net_af_packet1,iface=ta", underlay_mtu=1500))


def test_it_tells_what_it_started(ready: Switch) -> None:
    ready.start()
    said = ready.log()
    for expected in ("uplink", "tenant-a", "net_af_packet", ready.namespace.mac_of("up0"), "blue", "127.0.0.1:9144"):
        assert expected in said, f"{expected!r} is not in:\n{said}"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_within_a_second_and_leaves_nothing(ready: Switch, how: signal.Signals) -> None:
    ready.start()
    assert "vtep0" in ready.namespace.interfaces()
    assert ready.socket.exists()
    ready.stop(how)


def test_the_kernel_is_quiet_on_the_switchs_interfaces_while_it_runs(ready: Switch) -> None:
    def settings() -> list[str]:
        folders = [f"/proc/sys/net/ipv4/conf/{name}" for name in ("up0", "ta")]
        return ready.namespace.run("cat", *[f"{f}/{key}" for f in folders for key in ("arp_ignore", "rp_filter")]).stdout.split()

    before = settings()
    ready.start()
    assert settings() == ["8", "1", "8", "1"]
    ready.stop()
    assert settings() == before


def test_it_starts_again_after_a_kill(ready: Switch) -> None:
    ready.start()
    ready.kill()
    until("the TAP goes with its process", lambda: "vtep0" not in ready.namespace.interfaces())
    assert ready.socket.exists(), "a killed process cannot remove its socket"
    ready.start()
    assert ready.show("ports")
    ready.stop()


def test_it_starts_again_and_again(ready: Switch) -> None:
    for _ in range(3):
        ready.start()
        ready.verify()
        ready.stop()


def test_with_hugepages_nothing_is_left_either(ready: Switch) -> None:
    """Needs hugepages: where the kernel has none, this asks only that the refusal is clean."""
    ready.config.hugepages = True
    ready.config.memory_mib = 128
    if hugepages_free() < 80:
        ready.refuses()
        return
    ready.start()
    ready.verify()
    free = hugepages_free()
    ready.stop()
    until("the hugepages are given back", lambda: hugepages_free() > free)


def hugepages_free() -> int:
    with open("/proc/meminfo") as lines:
        return next((int(line.split()[1]) for line in lines if line.startswith("HugePages_Free:")), 0)


def test_an_af_xdp_port_leaves_no_program_on_its_interface(ready: Switch) -> None:
    ready.config.ports[1].device = "net_af_xdp0,iface=ta"
    ready.start()
    assert "xdp" in link_details(ready, "ta")
    ready.stop()
    assert "xdp" not in link_details(ready, "ta")


def link_details(switch: Switch, interface: str) -> str:
    return run("ip", "-n", switch.namespace.name, "-d", "link", "show", "dev", interface).stdout


def test_the_mac_of_the_vtep_can_be_given(ready: Switch) -> None:
    ready.config.vteps[0].mac = "02:00:00:00:00:f0"
    ready.start()
    assert ready.namespace.mac_of("vtep0") == "02:00:00:00:00:f0"


def test_by_default_the_tap_has_the_uplinks_mac(ready: Switch) -> None:
    ready.start()
    assert ready.namespace.mac_of("vtep0") == ready.namespace.mac_of("up0")
