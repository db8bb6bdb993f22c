"""Changes of what holds a device or an interface of the kernel: it ends, and begins again with other properties."""

from __future__ import annotations

from lib.api import Api
from lib.config import Config, Network, Port
from lib.lab import VTEP, Lab, af_packet, overlay_config
from lib.wait import until

IFF_PROMISC = 0x100


def test_an_interface_goes_from_one_device_to_another(lab: Lab) -> None:
    """Both devices would set up the same interface of the kernel, and the one that closes would undo it."""
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    b = lab.local_tenant("tb", "b", "203.0.113.11", "02:00:00:00:00:0b")
    sw = lab.namespace("sw")
    sw.ip("link set lo up")

    def settings() -> tuple[bool, str]:
        read = lambda path: sw.run("cat", path).stdout.strip()  # noqa: E731
        is_promiscuous = int(read("/sys/class/net/tb/flags"), 16) & IFF_PROMISC != 0
        return is_promiscuous, read("/proc/sys/net/ipv4/conf/tb/arp_ignore")

    before = settings()
    switch = lab.switch(Config(
        ports=[Port("tenant-a", af_packet(1, "ta")), Port("tenant-b", af_packet(2, "tb"))],
        networks=[Network("blue", 100, ["tenant-a", "tenant-b"], vtep=None)],
    )).start()
    api = lab.keep(Api(switch.socket))
    a.reaches(b)
    while_running = settings()
    assert while_running == (True, "8") != before
    document = api.get("/v1/config")
    for number in (7, 2):
        [port] = [port for port in document["port"] if port["name"] == "tenant-b"]
        port["device"] = af_packet(number, "tb")
        api.change("POST", "/v1/apply", document)
        a.reaches(b)
        assert settings() == while_running
    switch.stop()
    assert settings() == before


def test_a_vtep_that_changes_begins_to_count_at_zero(lab: Lab) -> None:
    fabric = lab.fabric()
    fabric.attach(lab.namespace("sw"), "up0")
    peer = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    switch = lab.switch(overlay_config(["198.51.100.2"], tenant_device=af_packet(1, "ta"))).start()
    api = lab.keep(Api(switch.socket))

    def ping() -> None:
        peer.namespace.run("ping", "-c", "20", "-i", "0.01", "-W", "1", VTEP)

    def punted() -> float:
        return switch.metric("vswitch_punted_packets_total", vtep="fabric")

    ping()
    until("frames are punted", lambda: punted() >= 20)
    for host_interface in ("vtep1", "vtep2"):
        seen = punted()
        document = api.get("/v1/config")
        document["vtep"][0]["host-interface"] = host_interface
        api.change("POST", "/v1/apply", document)
        assert 0 <= punted() < seen
        until("the kernel answers by the new interface", lambda: punted() < 1e6 and (ping(), punted() >= 20)[1])


def test_a_change_that_fails_half_way_and_cannot_go_back_is_another_generation(lab: Lab) -> None:
    """A port's device is closed for the next one, and its interface turns out to be gone."""
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    lab.local_tenant("tb", "b", "203.0.113.11", "02:00:00:00:00:0b")
    c = lab.local_tenant("tc", "c", "203.0.113.12", "02:00:00:00:00:0c")
    sw = lab.namespace("sw")
    sw.ip("link set lo up")
    names = ("tenant-a", "tenant-b", "tenant-c")
    switch = lab.switch(Config(
        ports=[Port(name, af_packet(number, f"t{name[-1]}")) for number, name in enumerate(names)],
        networks=[Network("blue", 100, list(names), vtep=None)],
    )).start()
    api = lab.keep(Api(switch.socket))
    document = api.get("/v1/config")
    before = api.generation
    sw.ip("link delete tb")
    document["port"][1]["mtu"] = 1400
    answer = api.ask("POST", "/v1/apply", document, If_Match=before or "")
    assert answer.status == 409 and b"could not be restored either" in answer.body, answer

    # What is left is not what was planned for, and says so.
    now = api.get("/v1/config")
    assert [port["name"] for port in now["port"]] == ["tenant-a", "tenant-c"]
    assert api.generation != before
    assert api.ask("POST", "/v1/networks", {"name": "x", "vni": 9}, If_Match=before or "").status == 412
    a.reaches(c)
    api.change("POST", "/v1/networks", {"name": "x", "vni": 9})
    switch.idle_mbufs = float("inf")  # one port less than at the start
