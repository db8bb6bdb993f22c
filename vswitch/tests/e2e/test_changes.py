"""Changes while frames are on their way: what they do not concern does not notice them."""

from __future__ import annotations

import copy
import random
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Container

import pytest
from lib.api import Api
from lib.config import Config, Network, Port, Vtep
from lib.known import ENTRIES, KNOWN, PORTS, Watch, full_rate
from lib.lab import Lab, af_packet
from lib.model import Model, canonical
from lib.overlay import REMOTE, experimental, is_vxlan, probe, resolve, uplink_to_probe
from lib.switch import BINARY
from lib.wait import until

CHANGES, SECONDS, ROUNDS = 1000, 60, 2
OWN_GROWTH_KIB, DPDK_GROWTH_KIB = 1024, 32 * 1024
"""What a second round of the same changes may leave: of the switch's own memory 2 KiB for each of its changes (some
20 KiB were seen); of DPDK's a few pools of packet buffers that came to lie where none was in the round before."""


def change_at_random(api: Api, model: Model, seconds: float) -> int:
    """As many changes as in a little more than `CHANGES` in `SECONDS`, spread over the time; how many they were."""
    began, number = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        if number > passed * CHANGES / SECONDS * 1.05:
            time.sleep(0.001)
            continue
        method, path, body = model.step()
        kind = {"kind": "application/merge-patch+json"} if method == "PATCH" else {}
        api.change(method, path, body, **kind)
        number += 1
    return number


def with_ports(document: dict, names: Container[str]) -> dict:
    """A configuration with no other ports than these."""
    document = copy.deepcopy(document)
    document["port"] = [port for port in document["port"] if port["name"] in names]
    for network in document["network"]:
        network["port"] = [member for member in network["port"] if member["port"] in names]
    return document


def test_a_thousand_changes_and_known_traffic_loses_nothing(lab: Lab, tmp_path: Path) -> None:
    """Twice the same ones, and after each time everything back to the beginning: nothing leaks."""
    switch = full_rate(lab, tmp_path, [Network("blue", 100, ["t0"], ["198.51.100.2"])])
    api = lab.keep(Api(switch.socket))
    first = api.get("/v1/config")
    interfaces = switch.namespace.interfaces()
    capacity = switch.metric("vswitch_mbufs_capacity")
    seed = random.randrange(2**32)
    watch = Watch(switch)
    made = 0
    time.sleep(0.2)  # the last scrape's connection ends
    held = [switch.held()]
    for _ in range(ROUNDS):
        model = Model(first, seed)
        made += change_at_random(api, model, SECONDS / ROUNDS)
        assert watch.lost() == {}, f"seed {seed}"
        assert canonical(api.get("/v1/config")) == canonical(model.document), f"seed {seed}"
        shown = api.ask("GET", "/v1/config", Accept="application/toml").body.decode()
        assert api.ask("POST", "/v1/plan", shown).json["steps"] == [], f"seed {seed}"
        # Without the ports that may have gone and come again: those of the start share the first pool, others need not.
        api.change("POST", "/v1/apply", with_ports(first, PORTS))
        until("the packet buffers of ports that came are gone",
              lambda: switch.metric("vswitch_mbufs_capacity") == capacity, seconds=6, every=0.2)
        api.change("POST", "/v1/apply", first)
        assert canonical(api.get("/v1/config")) == canonical(first), f"seed {seed}"
        assert switch.metric("vswitch_fdb_entries", network=KNOWN) == ENTRIES
        assert switch.namespace.interfaces() == interfaces
        until("the switch has no more file descriptors than before",
              lambda: switch.held().descriptors <= held[0].descriptors, seconds=1)
        held.append(switch.held())
    print(f"seed {seed}: {made} changes, {watch.sent()} frames, {held}")
    assert held[-1].own_kib - held[-2].own_kib < OWN_GROWTH_KIB, f"seed {seed}: {held}"
    assert held[-1].dpdk_kib - held[-2].dpdk_kib < DPDK_GROWTH_KIB, f"seed {seed}: {held}"
    assert watch.lost() == {}, f"seed {seed}"
    # A debug build is slower, and shows the rest all the same.
    if BINARY.parent.name == "release":
        assert made >= CHANGES, f"{made} changes in {SECONDS} s"
        assert min(watch.sent().values()) > 1e5 * SECONDS, watch.sent()


def test_a_thousand_networks_in_less_than_a_second(lab: Lab, tmp_path: Path) -> None:
    switch = full_rate(lab, tmp_path)
    api = lab.keep(Api(switch.socket))
    document = api.get("/v1/config")
    for number in range(1000):
        document["network"].append({
            "name": f"n{number}", "vni": 5000 + number, "vtep": "fabric",
            "remote-vteps": [f"198.51.100.{2 + number % 50}"], "port": [], "mac": [],
        })
    watch = Watch(switch)
    began = time.monotonic()
    plan = api.ask("POST", "/v1/plan", document)
    planned = time.monotonic() - began
    assert plan.status == 200 and len(plan.json["steps"]) == 1000, plan.body[:500]
    began = time.monotonic()
    applied = api.change("POST", "/v1/apply", document)
    took = time.monotonic() - began
    assert len(applied["plan"]["steps"]) == 1000
    assert len(api.get("/v1/networks")) == 1001
    print(f"plan {planned:.3f} s, apply {took:.3f} s")
    assert planned + took < 1, f"plan {planned:.3f} s, apply {took:.3f} s"
    assert watch.lost() == {}


def test_a_file_that_is_wrong_in_the_middle_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    switch = full_rate(lab, tmp_path, [Network("blue", 100, ["t0"], ["198.51.100.2"])])
    api = lab.keep(Api(switch.socket))
    before = api.get("/v1/config")
    text = switch.config.render(switch.socket)
    wrong = text.replace('port = "t0"', 'port = "t7"')
    assert wrong != text
    watch = Watch(switch)
    answer = api.ask("POST", "/v1/apply", wrong, If_Match=api.generation or "")
    assert answer.status == 422, answer
    [error] = answer.json["errors"]
    assert "t7" in error["detail"], error
    assert api.get("/v1/config") == before

    # A device that is not there: valid as a text, and refused by the switch.
    with_port = copy.deepcopy(before)
    with_port["port"].append({"name": "gone", "device": "net_af_packet7,iface=nowhere0"})
    with_port["network"].append({"name": "green", "vni": 7})
    answer = api.ask("POST", "/v1/apply", with_port, If_Match=api.generation or "")
    assert answer.status in (409, 422, 500, 503) and b"nowhere0" in answer.body, answer
    assert api.get("/v1/config") == before
    assert watch.lost() == {}


def test_of_two_that_change_at_once_one_is_told(lab: Lab, tmp_path: Path) -> None:
    switch = full_rate(lab, tmp_path)
    first, second = (lab.keep(Api(switch.socket)) for _ in range(2))
    for api in (first, second):
        api.get("/v1/config")
    barrier = threading.Barrier(2)
    answers = []

    def create(api: Api, name: str, vni: int) -> None:
        barrier.wait()
        answers.append(api.ask("POST", "/v1/networks", {"name": name, "vni": vni}, If_Match=api.generation or ""))

    threads = [threading.Thread(target=create, args=(api, f"n{n}", n)) for n, api in ((1, first), (2, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status for answer in answers) == [201, 412], answers
    [refused] = [answer for answer in answers if answer.status == 412]
    assert refused.headers["content-type"] == "application/problem+json", refused
    assert len(first.get("/v1/networks")) == 2


def test_what_nobody_confirms_goes_back(lab: Lab, tmp_path: Path) -> None:
    switch = full_rate(lab, tmp_path, [Network("blue", 100, ["t0"], ["198.51.100.2"])])
    api = lab.keep(Api(switch.socket))
    before = api.get("/v1/config")
    after = copy.deepcopy(before)
    after["network"] = [network for network in after["network"] if network["name"] == KNOWN]
    after["port"] = [port for port in after["port"] if port["name"] not in ("t0", "t1")]
    watch = Watch(switch)
    api.change("POST", "/v1/apply?confirm-within-secs=2", after)
    assert canonical(api.get("/v1/config")) == canonical(after)
    answer = api.ask("POST", "/v1/networks", {"name": "x", "vni": 9}, If_Match=api.generation or "")
    assert answer.status == 409, answer
    until("the former state is back", lambda: api.get("/v1/config") == before, seconds=5)
    assert {row["name"] for row in api.get("/v1/ports")} == {"source", "sink", "uplink", "t0", "t1"}

    api.change("POST", "/v1/apply?confirm-within-secs=2", after)
    api.change("POST", "/v1/confirm")
    time.sleep(3)
    assert canonical(api.get("/v1/config")) == canonical(after)
    assert watch.lost() == {}


def test_a_thousand_connections_disturb_nobody(lab: Lab, tmp_path: Path) -> None:
    """Half of them say nothing, half of them stop in the middle of a request; a client that works is answered."""
    switch = full_rate(lab, tmp_path)
    watch = Watch(switch)
    connections = []
    try:
        for number in range(1000):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            connections.append(connection)
            try:
                connection.connect(str(switch.socket))
                if number % 2:
                    connection.send(b"POST /v1/apply HTTP/1.1\r\nHost: vswitch\r\nContent-Length: 100000\r\n\r\n[")
            except BlockingIOError:
                continue  # the kernel's queue is full: what a client sees as waiting
        api = lab.keep(Api(switch.socket, timeout=60))
        began = time.monotonic()
        assert len(api.get("/v1/ports")) == 5
        assert time.monotonic() - began < 5, "a connection that is idle or half-open makes room"
        # Metrics have listeners of their own.
        assert switch.metric("vswitch_unaccounted_packets") == 0
        assert watch.lost() == {}
    finally:
        for connection in connections:
            connection.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_comes_moves_and_goes(lab: Lab, workers: int) -> None:
    """Kernel tenants on veths. With two workers, the port that comes has one queue: one of them hands frames over."""
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    b = lab.local_tenant("tb", "b", "203.0.113.11", "02:00:00:00:00:0b")
    c = lab.local_tenant("tc", "c", "203.0.113.12", "02:00:00:00:00:0c")
    lab.namespace("sw").ip("link set lo up")
    switch = lab.switch(Config(
        worker_cores=[0, 1][-workers:],
        ports=[Port("tenant-a", af_packet(1, "ta")), Port("tenant-c", af_packet(3, "tc"))],
        networks=[Network("blue", 100, ["tenant-a"], vtep=None), Network("red", 200, ["tenant-c"], vtep=None)],
        memory_mib=512,
    )).start()
    api = lab.keep(Api(switch.socket))
    interfaces = set(lab.namespace("sw").interfaces())
    for _ in range(3):
        api.change("POST", "/v1/ports", {"name": "tenant-b", "device": af_packet(2, "tb")})
        api.change("POST", "/v1/networks/blue/members", {"port": "tenant-b"})
        a.reaches(b)
        assert a.ping(b.address, count=20) == 20
        api.change("POST", "/v1/migrate", {"port": {"name": "tenant-b", "from": "blue", "to": "red"}})
        c.reaches(b)
        assert a.ping(b.address, count=2, wait=0.3) == 0, "it has left"
        assert {row["mac"] for row in switch.show("fdb") if row["network"] == "blue"} <= {a.mac}
        # In the middle of a conversation, and with frames between the workers.
        talk = c.namespace.popen("ping", "-q", "-i", "0.002", b.address, stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        api.change("DELETE", "/v1/networks/red/members/tenant-b")
        api.change("DELETE", "/v1/ports/tenant-b")
        time.sleep(0.2)  # it goes on, to nobody
        talk.terminate()
        talk.wait(timeout=10)
        assert switch.metric("vswitch_unaccounted_packets") == 0
        assert switch.metrics().value("vswitch_port_receive_packets_total", port="tenant-b") == 0, "it is gone"
    assert set(lab.namespace("sw").interfaces()) == interfaces


def test_a_mac_migrates_to_a_remote_vtep_that_nobody_knew_before(lab: Lab) -> None:
    """A frame every half a millisecond, while the kernel has yet to ask for the new home's next hop: each arrives, once,
    first at the old home, then at the new one."""
    moving, new_home = "02:00:00:00:00:77", "198.51.100.9"
    uplink_to_probe(lab, remotes=(REMOTE, new_home))
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    lab.namespace("sw").ip("link set lo up")
    switch = lab.switch(Config(
        ports=[Port("uplink", af_packet(0, "up0")), Port("tenant-a", af_packet(1, "ta"))],
        vteps=[Vtep("198.51.100.1/24")],
        networks=[Network("blue", 100, ["tenant-a"], [REMOTE], macs={moving: ("remote-vtep", REMOTE)})],
        memory_mib=512,
    )).start()
    eye = probe(lab)
    resolve(switch, a, eye)
    drops = switch.drops()
    api = lab.keep(Api(switch.socket))
    frames = [experimental(moving, a.mac, number.to_bytes(4, "big")) for number in range(2000)]

    def send() -> None:
        with a.sender() as hand:
            for frame in frames:
                hand.send(frame)
                time.sleep(0.0005)

    sending = threading.Thread(target=send)
    sending.start()
    time.sleep(0.2)
    mac_to_new_home = {"address": moving, "network": "blue", "remote-vtep": new_home}
    api.change("POST", "/v1/migrate", {"mac": mac_to_new_home})
    sending.join()
    until("the last frame arrives", lambda: any(frames[-1] in f.data for f in eye.sniffer.frames(is_vxlan)))
    arrived = [(f.data[50:], f.data[33]) for f in eye.sniffer.frames(is_vxlan) if f.data[50:56] == frames[0][:6]]
    assert [inner for inner, _ in arrived] == frames, "each once, in order"
    homes = [home for _, home in arrived]
    assert homes == sorted(homes), "first the old home, then the new one"
    assert set(homes) == {2, 9}
    assert switch.drops() == drops
