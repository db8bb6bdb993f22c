"""What is shipped for monitoring, against a running switch and Debian's Prometheus: the dashboard's queries all have
an answer, the alerts load, fire, and say something that can be acted on; and a scrape stays small however many networks
there are."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
import yaml
from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab
from lib.monitor import (
    ALERTS, DASHBOARD, MONITORING, Prometheus, dashboard_panels, dashboard_queries, promtool,
)
from lib.overlay import REMOTE, Probe, experimental, wired
from lib.switch import ROOT, Switch
from lib.tenant import Tenant
from lib.wait import until

LOCAL_MAC, FAR_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:fa"
GUIDE = ROOT / "docs" / "monitoring.md"
EXPOSITION = ROOT / "vswitch" / "src" / "control" / "exposition.rs"
DROP_REASONS = ROOT / "vswitch" / "src" / "metrics" / "drop_reason.rs"

METRIC = re.compile(r"\bvswitch_[a-z_]+")
HISTOGRAM_SUFFIX = re.compile(r"_(bucket|sum|count)$")

MANY_NETWORKS = 10_000
MANY_BYTES = 600_000
"""What a scrape of a switch with so many networks may have: docs/monitoring.md promises it."""
USUAL_BYTES = 60_000
"""And one with a network or two."""


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def listed_metrics() -> set[str]:
    """The names in the table at the head of exposition.rs."""
    table = [line for line in EXPOSITION.read_text().splitlines() if line.startswith("//! | `vswitch_")]
    return {name for line in table for name in METRIC.findall(line.split("|")[1])}


def base(name: str) -> str:
    """The name of the metric that a name in a query belongs to."""
    short = HISTOGRAM_SUFFIX.sub("", name)
    return short if short in listed_metrics() else name


# --- what is shipped, by itself ---------------------------------------------------------------------


def test_promtool_accepts_rules_and_configuration() -> None:
    promtool("check", "rules", str(ALERTS))
    promtool("check", "config", str(MONITORING / "prometheus.yml"))


def test_each_alert_fires_and_does_not_fire() -> None:
    promtool("test", "rules", str(MONITORING / "alerts_test.yml"))
    tested = (MONITORING / "alerts_test.yml").read_text()
    for rule in rules():
        assert f'alertname="{rule["alert"]}"' in tested, f"no test shows that {rule['alert']} fires"


def test_each_alert_says_what_is_wrong_and_where_to_read_on() -> None:
    headings = {line.lstrip("# ").strip().lower() for line in GUIDE.read_text().splitlines() if line.startswith("#")}
    for rule in rules():
        told = rule["annotations"]
        assert told["summary"] and told["description"], rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
        assert told["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
        assert rule["alert"].lower() in headings, f"docs/monitoring.md has no heading {rule['alert']}"


def test_rules_and_dashboard_ask_for_what_there_is() -> None:
    known = listed_metrics()
    asked = {name for rule in rules() for name in METRIC.findall(rule["expr"])}
    asked |= {name for _, query in dashboard_queries() for name in METRIC.findall(query)}
    assert {base(name) for name in asked} <= known, {base(name) for name in asked} - known
    reasons = set(re.findall(r' = "([a-z_]+)" at \[', DROP_REASONS.read_text()))
    for rule in rules():
        for pattern in re.findall(r'reason=~?"([^"]+)"', rule["expr"]):
            matched = {reason for reason in reasons if re.fullmatch(pattern, reason)}
            assert len(matched) >= 2 if "|" in pattern else matched, f"{rule['alert']}: {pattern}"


def test_each_panel_says_what_to_do() -> None:
    document = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    assert set(variables) == {"datasource", "instance", "port", "network"}
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        at = panel["gridPos"]
        places = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not places & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= places
    for panel in dashboard_panels():
        assert len(panel["description"]) > 40, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"]), panel["title"]


# --- against a running switch -----------------------------------------------------------------------


@pytest.fixture(name="wired")
def wired_lab(lab: Lab) -> tuple[Switch, Tenant, Probe]:
    return wired(lab, LOCAL_MAC)


def traffic(local: Tenant, far: Probe) -> None:
    """Some of everything: both ways, a broadcast, a drop of the tenant's and one of the network's."""
    with local.sender() as hand:
        hand.send(*[experimental(FAR_MAC, LOCAL_MAC, bytes([n])) for n in range(20)])
        hand.send(experimental("ff:ff:ff:ff:ff:ff", LOCAL_MAC, b"everybody"))
        hand.send(experimental(FAR_MAC, "01:00:00:00:00:01", b"nobody sends so"))
    far.send_inner(experimental(LOCAL_MAC, FAR_MAC, b"back"))
    far.send_inner(experimental(FAR_MAC, LOCAL_MAC[:-2] + "0b", b"split horizon"))


def test_every_query_of_the_dashboard_has_an_answer(lab: Lab, wired, tmp_path: Path) -> None:
    switch, local, far = wired
    prometheus = lab.keep(Prometheus(switch, tmp_path))
    unanswered = dashboard_queries()
    deadline = time.monotonic() + 40
    while unanswered and time.monotonic() < deadline:
        traffic(local, far)
        time.sleep(0.5)
        unanswered = [(title, query) for title, query in unanswered if not prometheus.query(query)]
    assert not unanswered, unanswered
    # Not only zeros: what was sent is seen.
    for query in (
        'sum(rate(vswitch_queue_receive_packets_total{port="tenant-a",worker="0"}[10s]))',
        'sum(rate(vswitch_queue_transmit_packets_total{port="uplink",queue="0"}[10s]))',
        'sum(rate(vswitch_drops_total{reason="split_horizon",network="blue"}[10s]))',
        'sum(rate(vswitch_worker_burst_frames_count[10s]))',
        'sum(rate(vswitch_worker_turn_seconds_sum[10s]))',
        'sum(rate(vswitch_control_work_seconds_count{work="request"}[10s]))',
    ):
        assert prometheus.query(query)[0][1] > 0, query


def test_the_rules_load_and_an_alert_fires(lab: Lab, wired, tmp_path: Path) -> None:
    switch, local, far = wired
    prometheus = lab.keep(Prometheus(switch, tmp_path))
    until("it is scraped", lambda: prometheus.query('up{job="vswitch"} == 1'), seconds=20, every=0.5)
    loaded = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in loaded} == {rule["alert"] for rule in rules()}

    def evaluated() -> bool:
        now = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return all(rule["health"] == "ok" for rule in now)

    until("every rule is evaluated", evaluated, seconds=20, every=0.5)
    time.sleep(2)
    assert prometheus.alerts() == {}, "nothing is wrong yet"
    far.sender.send(far.wrap(experimental(LOCAL_MAC, FAR_MAC, b"x"), vni=4242))
    until("the alert fires", lambda: "VswitchUnknownTunnelFrames" in prometheus.alerts(), seconds=20, every=0.5)
    fired = prometheus.alerts()
    assert set(fired) == {"VswitchUnknownTunnelFrames"}
    alert = fired["VswitchUnknownTunnelFrames"]
    assert alert["labels"]["reason"] == "unknown_vni"
    assert "frames in five minutes were dropped for unknown_vni" in alert["annotations"]["description"]


# --- the metrics themselves -------------------------------------------------------------------------


def test_the_scrape_has_the_metrics_of_the_table_and_no_others(wired) -> None:
    switch, local, far = wired
    traffic(local, far)
    metrics = switch.metrics()
    scraped = set(re.findall(r"^# TYPE (\S+) ", metrics.text, re.MULTILINE))
    assert scraped == listed_metrics(), scraped ^ listed_metrics()
    assert len(metrics.text) < USUAL_BYTES, len(metrics.text)


def test_queues_workers_and_ports_tell_the_same(wired) -> None:
    switch, local, far = wired
    traffic(local, far)

    def agree() -> bool:
        metrics = switch.metrics()
        ports = {labels["port"] for name, labels, _ in metrics.samples if name == "vswitch_port_up"}
        assert ports == {"uplink", "tenant-a"}
        for way in ("receive", "transmit"):
            for port in ports:
                by_queue = metrics.value(f"vswitch_queue_{way}_packets_total", port=port)
                if by_queue != metrics.value(f"vswitch_port_{way}_packets_total", port=port) or not by_queue:
                    return False
            total = metrics.value(f"vswitch_port_{way}_packets_total")
            if metrics.value(f"vswitch_worker_{way}_packets_total") != total:
                return False
        bursts = metrics.value("vswitch_worker_burst_frames_sum")
        everywhere = sum(metrics.drops().values()) == metrics.value("vswitch_drops_by_reason_total")
        return bursts == metrics.value("vswitch_port_receive_packets_total") and everywhere

    until("all counters tell the same", agree)
    metrics = switch.metrics()
    for name, state in (
        ("vswitch_worker_burst_frames", {}), ("vswitch_worker_turn_seconds", {"state": "busy"}),
        ("vswitch_worker_turn_seconds", {"state": "idle"}),
    ):
        buckets = [v for n, labels, v in metrics.samples if n == f"{name}_bucket" and state.items() <= labels.items()]
        assert buckets == sorted(buckets) and buckets[-1] > 0, f"{name}: {buckets}"
        assert buckets[-1] == metrics.value(f"{name}_count", **state)


def test_the_guide_knows_how_many_series_there_are(wired) -> None:
    switch, _, _ = wired
    rows = dict(re.findall(r"^\| ((?:each|the) [\w ]+) \| (\d+)", GUIDE.read_text(), re.MULTILINE))
    samples = [(name, labels) for name, labels, _ in switch.metrics().samples]

    def count(names: str, **wanted: str) -> int:
        return sum(bool(re.match(f"vswitch_({names})", name)) and wanted.items() <= labels.items() for name, labels in samples)

    assert count("port_", port="tenant-a") == int(rows["each port"])
    assert count("worker_|learn_", worker="0") == int(rows["each worker"])
    assert count("punted_|host_", vtep="fabric") == int(rows["each local VTEP"])
    assert count("next_hop_", remote_vtep=REMOTE) == int(rows["each remote VTEP of a local VTEP"])
    assert count("fdb_|replicated_", network="blue") == int(rows["each network"]) + 5
    assert count("control_|state_") == int(rows["the control thread"])
    assert count("pool_") == int(rows["each pool of packet buffers"])
    assert count("fdb_capacity|mbufs_|unaccounted_|generation|last_|change_|start_|build_") == int(rows["the switch"])


def test_changes_are_told_with_their_time_and_drops_never_go_back(wired) -> None:
    switch, local, far = wired
    from lib.api import Api

    before = switch.metrics()
    assert before.value("vswitch_generation") == 1 and before.value("vswitch_change_pending") == 0
    started = before.value("vswitch_start_time_seconds")
    assert abs(time.time() - started) < 60 and before.value("vswitch_last_change_timestamp_seconds") >= started


    def is_dropped() -> int | None:
        traffic(local, far)  # the first time, its destination may not be known yet
        return switch.drops().get("split_horizon")

    until("it is dropped", is_dropped, every=0.1)
    by_reason = switch.metrics().value("vswitch_drops_by_reason_total", reason="split_horizon")
    api = Api(switch.socket)
    try:
        asked = time.time()
        api.change("DELETE", "/v1/networks/blue")
    finally:
        api.close()
    after = switch.metrics()
    assert after.value("vswitch_generation") == 2
    assert asked - 0.1 <= after.value("vswitch_last_change_timestamp_seconds") <= time.time()
    assert after.value("vswitch_start_time_seconds") == started
    assert after.value("vswitch_state_saves_total", result="done") > before.value("vswitch_state_saves_total")
    assert "split_horizon" not in switch.drops(), "the network is gone, and its drops with it"
    assert after.value("vswitch_drops_by_reason_total", reason="split_horizon") >= by_reason, "but not from the sum"


def test_reasons_are_listed_only_where_they_can_happen(wired) -> None:
    switch, _, _ = wired
    rows = {(r["reason"], r["port"], r["network"]) for r in switch.show("drops")}
    assert ("unknown_vni", "uplink", "") in rows and ("split_horizon", "uplink", "blue") in rows
    assert ("exceeds_underlay_mtu", "tenant-a", "blue") in rows
    assert not any(reason == "unknown_vni" and port != "uplink" for reason, port, _ in rows)
    assert not any(reason == "transmit_queue_full" and (port, network) == ("uplink", "blue")
                   for reason, port, network in rows)
    assert len(rows) < 60, len(rows)


def test_a_scrape_of_ten_thousand_networks_stays_small(lab: Lab) -> None:
    networks = [Network(f"tenant-{n}", 1000 + n, [], [REMOTE]) for n in range(MANY_NETWORKS)]
    switch = lab.switch(Config(
        ports=[Port("uplink", "net_null0")], vteps=[Vtep("198.51.100.1/24")], networks=networks,
    ))
    switch.spawn()
    until("metrics answer", lambda: switch.scrape() is not None, seconds=60, every=0.2)
    switch.idle_mbufs = float("inf")  # net_null receives without a pause
    began = time.monotonic()
    metrics = switch.metrics()
    took = time.monotonic() - began
    work = metrics.value("vswitch_control_work_seconds_sum", work="request")
    print(f"{len(metrics.text)} bytes, {len(metrics.samples)} series, {took:.3f} s, "
          f"{work / metrics.value('vswitch_control_work_seconds_count', work='request'):.3f} s of the control thread")
    assert len(metrics.text) < MANY_BYTES, len(metrics.text)
    assert sum(name == "vswitch_fdb_entries" for name, _, _ in metrics.samples) == MANY_NETWORKS
    # What is not zero is there: net_null's frames are empty, and for nobody.
    dropped = metrics.value("vswitch_drops_by_reason_total")
    assert dropped > 0 and metrics.drops(), "what was dropped is listed"
    assert all(value > 0 for name, _, value in metrics.samples if name == "vswitch_drops_total")
