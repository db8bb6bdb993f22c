"""Changes while frames are on their way: what they do not concern does not notice them."""

from __future__ import annotations

import copy
import random
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from lib.api import Api
from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab, af_packet
from lib.overlay import REMOTE, experimental, is_vxlan, probe, resolve, uplink_to_probe
from lib.switch import Switch
from lib.wait import until
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

STATIONS = 64
KNOWN = "known"


def mac(side: int, number: int) -> str:
    return f"02:{side:02x}:00:00:00:{number:02x}"


def full_rate(lab: Lab, directory: Path, networks: list[Network] | None = None) -> Switch:
    """A switch whose network `known` carries frames as fast as a worker can: from `source`, which replays them for
    ever, to static MACs on `sink`, which takes everything."""
    frames = [
        Ether(src=mac(1, n), dst=mac(2, n)) / IP(src="203.0.113.1", dst="203.0.113.2") / UDP(sport=1000 + n, dport=9)
        for n in range(STATIONS)
    ]
    wrpcap(str(directory / "frames.pcap"), frames)
    wrpcap(str(directory / "nothing.pcap"), [], linktype=1)
    config = Config(
        ports=[
            Port("source", f"net_pcap0,rx_pcap={directory}/frames.pcap,infinite_rx=1"),
            Port("sink", f"net_pcap1,rx_pcap={directory}/nothing.pcap"),
            Port("uplink", "net_null0"),
            Port("t0", "net_null1"),
            Port("t1", "net_null2"),
        ],
        vteps=[Vtep("198.51.100.1/24")],
        networks=[
            Network(KNOWN, 4000, ["source", "sink"], vtep=None,
                    macs={mac(2, n): ("port", "sink") for n in range(STATIONS)}),
            *(networks or []),
        ],
    )
    config.memory_mib = 512
    lab.namespace("sw").ip("link set lo up")
    switch = lab.switch(config)
    switch.spawn()
    until("metrics answer", lambda: switch.scrape() is not None, seconds=15, every=0.05)
    until("every station is learned", lambda: switch.metric("vswitch_fdb_entries", network=KNOWN) == 2 * STATIONS)
    # A source that never pauses keeps buffers in flight: their number is not what it was when nothing moved.
    switch.idle_mbufs = float("inf")
    return switch


class Watch:
    """What the known traffic lost since a moment."""

    def __init__(self, switch: Switch):
        self.switch = switch
        self.before = switch.metrics()

    def lost(self) -> dict[str, float]:
        now = self.switch.metrics()
        grown = {}
        for port in ("source", "sink"):
            for reason in {labels["reason"] for name, labels, _ in now.samples if name == "vswitch_drops_total"}:
                labels = {"reason": reason, "port": port}
                grown[f"{port}: {reason}"] = now.value("vswitch_drops_total", **labels) - self.before.value(
                    "vswitch_drops_total", **labels
                )
        flooded = "vswitch_replicated_packets_total"
        grown["flooded"] = now.value(flooded, network=KNOWN) - self.before.value(flooded, network=KNOWN)
        grown["unaccounted"] = now.value("vswitch_unaccounted_packets")
        return {what: count for what, count in grown.items() if count}

    def sent(self) -> float:
        name = "vswitch_port_transmit_packets_total"
        return self.switch.metric(name, port="sink") - self.before.value(name, port="sink")


class Model:
    """The configuration as it should be, and ways to change it."""

    def __init__(self, document: dict, seed: int):
        self.document = document
        self.random = random.Random(seed)
        self.numbers = iter(range(10, 10**6))

    def named(self, table: str) -> dict[str, dict]:
        return {item["name"]: item for item in self.document[table]}

    def others(self) -> list[dict]:
        return [network for network in self.document["network"] if network["name"] != KNOWN]

    def unused_ports(self) -> list[str]:
        used = {vtep["port"] for vtep in self.document["vtep"]}
        used |= {member["port"] for network in self.document["network"] for member in network["port"]}
        return [port["name"] for port in self.document["port"] if port["name"] not in used]

    def step(self) -> tuple[str, str, object]:
        """Changes the model; the request that does the same to the switch."""
        while True:
            way = self.random.choice([
                self.add_network, self.remove_network, self.add_port, self.remove_port, self.attach, self.detach,
                self.add_mac, self.remove_mac, self.add_remote, self.remove_remote, self.age, self.add_vtep,
                self.remove_vtep, self.migrate,
            ])
            request = way()
            if request:
                return request

    def add_network(self):
        if len(self.others()) >= 20:
            return None
        number = next(self.numbers)
        network = {"name": f"n{number}", "vni": number}
        vteps = list(self.named("vtep"))
        if vteps and self.random.random() < 0.7:
            network["vtep"] = self.random.choice(vteps)
            network["remote-vteps"] = [f"198.51.100.{n}" for n in self.random.sample(range(2, 9), 3)]
        self.document["network"].append({
            "vtep": None, "remote-vteps": [], "mac-ageing-secs": 300, "port": [], "mac": [], **network
        })
        return "POST", "/v1/networks", network

    def remove_network(self):
        if not self.others():
            return None
        network = self.random.choice(self.others())
        self.document["network"].remove(network)
        return "DELETE", f"/v1/networks/{network['name']}", None

    def add_port(self):
        if len(self.document["port"]) >= 14:
            return None
        number = next(self.numbers)
        port = {"name": f"p{number}", "device": f"net_null{number}"}
        self.document["port"].append({"queues": None, "mtu": None, **port})
        return "POST", "/v1/ports", port

    def remove_port(self):
        unused = self.unused_ports()
        if not unused:
            return None
        name = self.random.choice(unused)
        self.document["port"].remove(self.named("port")[name])
        return "DELETE", f"/v1/ports/{name}", None

    def attach(self):
        if not (self.others() and self.unused_ports()):
            return None
        network, port = self.random.choice(self.others()), self.random.choice(self.unused_ports())
        network["port"].append({"port": port})
        return "POST", f"/v1/networks/{network['name']}/members", {"port": port}

    def members(self):
        return [
            (network, member["port"]) for network in self.others() for member in network["port"]
            if not any(mac.get("port") == member["port"] for mac in network["mac"])
        ]

    def detach(self):
        if not self.members():
            return None
        network, port = self.random.choice(self.members())
        network["port"].remove({"port": port})
        return "DELETE", f"/v1/networks/{network['name']}/members/{port}", None

    def migrate(self):
        if not self.members() or len(self.others()) < 2:
            return None
        network, port = self.random.choice(self.members())
        to = self.random.choice([other for other in self.others() if other is not network])
        network["port"].remove({"port": port})
        to["port"].append({"port": port})
        return "POST", "/v1/migrate", {"port": {"name": port, "from": network["name"], "to": to["name"]}}

    def add_mac(self):
        if not self.others():
            return None
        network = self.random.choice(self.others())
        homes = [{"port": member["port"]} for member in network["port"]]
        homes += [{"remote-vtep": address} for address in network["remote-vteps"]]
        if not homes:
            return None
        number = next(self.numbers)
        entry = {"address": f"02:99:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"}
        entry |= self.random.choice(homes)
        network["mac"].append({"port": None, "remote-vtep": None, **entry})
        return "POST", f"/v1/networks/{network['name']}/macs", entry

    def remove_mac(self):
        some = [(network, entry) for network in self.others() for entry in network["mac"]]
        if not some:
            return None
        network, entry = self.random.choice(some)
        network["mac"].remove(entry)
        return "DELETE", f"/v1/networks/{network['name']}/macs/{entry['address']}", None

    def add_remote(self):
        some = [network for network in self.others() if network.get("vtep")]
        if not some:
            return None
        network = self.random.choice(some)
        address = f"198.51.100.{self.random.randrange(10, 60)}"
        if address in network["remote-vteps"]:
            return None
        network["remote-vteps"].append(address)
        return "POST", f"/v1/networks/{network['name']}/remote-vteps", {"address": address}

    def remove_remote(self):
        some = [(network, address) for network in self.others() for address in network["remote-vteps"]]
        if not some:
            return None
        network, address = self.random.choice(some)
        network["remote-vteps"].remove(address)
        return "DELETE", f"/v1/networks/{network['name']}/remote-vteps/{address}", None

    def age(self):
        if not self.others():
            return None
        network, secs = self.random.choice(self.others()), self.random.randrange(10, 1000)
        network["mac-ageing-secs"] = secs
        return "PATCH", f"/v1/networks/{network['name']}", {"mac-ageing-secs": secs}

    def add_vtep(self):
        if len(self.document["vtep"]) >= 3 or not self.unused_ports():
            return None
        number = next(self.numbers)
        vtep = {
            "name": f"v{number}", "port": self.random.choice(self.unused_ports()),
            "address": f"203.0.113.{number % 200 + 1}/24", "host-interface": f"vt{number}",
        }
        self.document["vtep"].append({"udp-port": 4789, "mac": None, **vtep})
        return "POST", "/v1/vteps", vtep

    def remove_vtep(self):
        used = {network.get("vtep") for network in self.document["network"]}
        free = [name for name in self.named("vtep") if name not in used and name != "fabric"]
        if not free:
            return None
        name = self.random.choice(free)
        self.document["vtep"].remove(self.named("vtep")[name])
        return "DELETE", f"/v1/vteps/{name}", None


def canonical(document: dict) -> dict:
    """Without what is not there, and without order where it means nothing."""
    document = copy.deepcopy(document)
    strip = lambda item: {key: value for key, value in item.items() if value is not None}  # noqa: E731
    for table in ("port", "vtep", "network"):
        document[table] = {item["name"]: strip(item) for item in document[table]}
    for network in document["network"].values():
        network["port"] = sorted(member["port"] for member in network["port"])
        network["mac"] = {entry["address"]: strip(entry) for entry in network["mac"]}
        network["remote-vteps"] = sorted(network.get("remote-vteps", []))
    return {table: document[table] for table in ("port", "vtep", "network")}


@pytest.mark.parametrize("changes, seconds", [(1000, 60)])
def test_a_thousand_changes_and_known_traffic_loses_nothing(lab: Lab, tmp_path: Path, changes: int, seconds: int) -> None:
    switch = full_rate(lab, tmp_path, [Network("blue", 100, ["t0"], ["198.51.100.2"])])
    api = lab.keep(Api(switch.socket))
    seed = random.randrange(2**32)
    model = Model(api.get("/v1/config"), seed)
    watch = Watch(switch)
    began = time.monotonic()
    for number in range(changes):
        method, path, body = model.step()
        kind = {"kind": "application/merge-patch+json"} if method == "PATCH" else {}
        api.change(method, path, body, **kind)
        # Spread over the time, so that there is traffic between any two.
        time.sleep(max(0.0, began + (number + 1) * seconds / changes - time.monotonic()))
    took = time.monotonic() - began
    assert watch.lost() == {}, f"seed {seed}"
    assert watch.sent() > 1e6 * took / 10, "the source was at work"
    assert canonical(api.get("/v1/config")) == canonical(model.document), f"seed {seed}"
    assert took < 2 * seconds, f"{changes} changes took {took:.0f} s"

    # And all of it away again: nothing leaks.
    for network in model.others():
        api.change("DELETE", f"/v1/networks/{network['name']}")
    for vtep in list(model.named("vtep")):
        api.change("DELETE", f"/v1/vteps/{vtep}")
    for port in model.named("port"):
        if port not in ("source", "sink"):
            api.change("DELETE", f"/v1/ports/{port}")
    assert sorted(row["name"] for row in api.get("/v1/ports")) == ["sink", "source"]
    assert switch.metric("vswitch_fdb_entries") == 2 * STATIONS
    assert [name for name in lab.namespace("sw").interfaces() if name.startswith("v")] == []
    assert watch.lost() == {}


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
        assert a.ping(b.address, count=2) == 0, "it has left"
        assert {row["mac"] for row in switch.show("fdb") if row["network"] == "blue"} <= {a.mac}
        # In the middle of a conversation, and with frames between the workers.
        talk = c.namespace.popen("ping", "-q", "-i", "0.002", "-w", "2", b.address, stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        api.change("DELETE", "/v1/networks/red/members/tenant-b")
        api.change("DELETE", "/v1/ports/tenant-b")
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
