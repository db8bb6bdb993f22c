"""Counters, metrics and `vswitch show`: one registry, one truth."""

from __future__ import annotations

import re

import pytest
from lib.api import Api
from lib.lab import Lab
from lib.monitor import promtool
from lib.netns import run
from lib.overlay import Probe, experimental, wired
from lib.switch import BINARY, ROOT, Switch
from lib.tenant import Tenant
from lib.wait import until

LOCAL_MAC, FAR_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:fa"
WHATS = ("ports", "networks", "fdb", "vteps", "workers", "drops")


@pytest.fixture(name="wired")
def wired_lab(lab: Lab) -> tuple[Switch, Tenant, Probe]:
    return wired(lab, LOCAL_MAC)


def test_promtool_accepts_the_scrape(wired) -> None:
    switch, _, _ = wired
    said = promtool("check", "metrics", stdin=switch.metrics().text)
    assert not said.strip(), said


def test_the_promised_metrics_are_there(wired) -> None:
    switch, _, _ = wired
    metrics = switch.metrics()
    for name in (
        "vswitch_port_receive_packets_total", "vswitch_port_transmit_packets_total",
        "vswitch_port_receive_bytes_total", "vswitch_port_transmit_bytes_total", "vswitch_drops_total",
        "vswitch_fdb_entries", "vswitch_fdb_refused_total", "vswitch_fdb_moves_total", "vswitch_worker_cycles_total",
        "vswitch_unaccounted_packets", "vswitch_punted_packets_total", "vswitch_replicated_packets_total",
        "vswitch_mbufs_in_use", "vswitch_mbufs_capacity", "vswitch_learn_events_lost_total", "vswitch_build_info",
    ):
        assert metrics.has(name), name
    [build] = [labels for name, labels, _ in metrics.samples if name == "vswitch_build_info"]
    assert all(build[label] for label in ("version", "rustc", "dpdk")), build
    # Of an archive there is nothing to be known; of a checkout, the commit.
    is_checkout = run("git", "-C", str(ROOT), "rev-parse", "HEAD", check=False).returncode == 0
    assert re.fullmatch("[0-9a-f]{12}" if is_checkout else "unknown", build["revision"]), build
    states = {labels["state"] for n, labels, _ in metrics.samples if n == "vswitch_worker_cycles_total"}
    assert states == {"busy", "idle"}


def test_show_drops_and_the_metrics_list_the_same(wired) -> None:
    switch, local, far = wired
    far.sender.send(far.wrap(experimental(LOCAL_MAC, FAR_MAC, b"x"), vni=4242))
    until("the drop is counted", lambda: switch.drops().get("unknown_vni"))
    shown = {(d["reason"], d.get("port") or "", d.get("network") or ""): d["packets"] for d in switch.show("drops")}
    scraped = {
        (labels["reason"], labels.get("port", ""), labels.get("network", "")): int(value)
        for name, labels, value in switch.metrics().samples if name == "vswitch_drops_total"
    }
    assert shown == scraped
    assert sum(v for (reason, _, _), v in shown.items() if reason == "unknown_vni") == 1


@pytest.mark.parametrize("what", WHATS)
def test_show_speaks_to_people_and_to_programs(wired, what: str) -> None:
    switch, _, _ = wired
    assert isinstance(switch.show(what), list)
    assert switch.show_text(what).strip()


def test_counters_count_what_was_sent(wired) -> None:
    """A known number of frames and bytes each way, read back from the counters of both ports."""
    switch, local, far = wired
    far.send_inner(experimental(LOCAL_MAC, FAR_MAC, b"here"))
    until("the far MAC is learned", lambda: FAR_MAC in switch.fdb("blue"))
    before = switch.metrics()
    count, length = 100, 200
    with local.sender() as hand:
        hand.send(*[experimental(FAR_MAC, LOCAL_MAC, n.to_bytes(2, "big"), length) for n in range(count)])
    until("all have left", lambda: difference(switch, before, "transmit_packets", "uplink") >= count)
    assert difference(switch, before, "receive_packets", "tenant-a") == count
    assert difference(switch, before, "receive_bytes", "tenant-a") == count * length
    assert difference(switch, before, "transmit_packets", "uplink") == count
    assert difference(switch, before, "transmit_bytes", "uplink") == count * (length + 50)


def test_drops_stay_with_the_network_that_they_happened_in(wired) -> None:
    switch, local, _ = wired
    api = Api(switch.socket)
    made = api.ask("POST", "/v1/networks", {"name": "red", "vni": 200, "vtep": "fabric"}, if_match="*")
    assert made.status == 201, made.body
    cause = {"reason": "invalid_source_mac", "port": "tenant-a"}
    with local.sender() as hand:
        hand.send(experimental(FAR_MAC, "03:00:00:00:00:0a", b""))
        until("the drop is counted", lambda: switch.metric("vswitch_drops_total", network="blue", **cause) == 1)
        move = {"port": {"name": "tenant-a", "from": "blue", "to": "red"}}
        assert api.ask("POST", "/v1/migrate", move, if_match="*").status == 200
        metrics = switch.metrics()
        assert metrics.value("vswitch_drops_total", **cause) == 0, "neither in red nor in blue"
        assert metrics.value("vswitch_drops_by_reason_total", reason="invalid_source_mac") == 1
        assert [port["drops"] for port in switch.show("ports") if port["name"] == "tenant-a"] == [1], "it is the port's"
        assert {network["name"]: network["drops"] for network in switch.show("networks")}["red"] == 0
        hand.send(experimental(FAR_MAC, "03:00:00:00:00:0a", b""))
    until("it counts in red", lambda: switch.metric("vswitch_drops_total", network="red", **cause) == 1)


def difference(switch: Switch, before, what: str, port: str) -> float:
    name = f"vswitch_port_{what}_total"
    return switch.metric(name, port=port) - before.value(name, port=port)


def test_show_without_a_switch_says_so(lab: Lab, tmp_path) -> None:
    done = run(str(BINARY), "show", "ports", "--socket", str(tmp_path / "none.sock"), check=False)
    assert done.returncode == 1
    assert "none.sock" in done.stderr and "running" in done.stderr
