"""Changes of what holds a device or an interface of the kernel: it ends, and begins again with other properties."""

from __future__ import annotations

from lib.api import Api
from lib.lab import VTEP, Lab, af_packet, overlay_config
from lib.wait import until


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
