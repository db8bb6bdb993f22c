"""Learning: moves, static entries, ageing, and more MACs than the table holds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab, af_packet
from lib.overlay import OTHER_REMOTE, REMOTE, Probe, experimental, probe, resolve, start, uplink_to_probe
from lib.switch import Switch
from lib.tenant import Tenant
from lib.wait import until
from lib.wire import Sniffer

A_MAC, B_MAC, FAR_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:fa"
MOVER = "02:00:00:00:00:77"
BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass
class Bench:
    """Two local tenants and a remote VTEP in our hands, all in network blue."""

    switch: Switch
    a: Tenant
    b: Tenant
    far: Probe
    eye_a: Sniffer
    eye_b: Sniffer

    def clear(self) -> None:
        for eye in (self.eye_a, self.eye_b, self.far.sniffer):
            eye.clear()

    def send_from(self, where: str, frame: bytes) -> None:
        """Sends a frame from `a`, `b` or from afar."""
        if where == "far":
            self.far.send_inner(frame)
        else:
            with getattr(self, where).sender() as hand:
                hand.send(frame)

    def heard(self, frame: bytes) -> dict[str, int]:
        """How often each place has got the frame."""
        return {
            "a": len(self.eye_a.frames(lambda f: f.data == frame)),
            "b": len(self.eye_b.frames(lambda f: f.data == frame)),
            "far": len(self.far.tunnelled(lambda inner: inner == frame)),
        }


def bench(lab: Lab, *, fdb_capacity: int | None = None, remotes: tuple[str, ...] = (REMOTE,), **network) -> Bench:
    uplink_to_probe(lab, remotes=remotes)
    a = lab.local_tenant("ta", "a", "203.0.113.10", A_MAC)
    b = lab.local_tenant("tb", "b", "203.0.113.11", B_MAC)
    config = Config(
        ports=[
            Port("uplink", af_packet(0, "up0"), mtu=1600), Port("tenant-a", af_packet(1, "ta")),
            Port("tenant-b", af_packet(2, "tb")),
        ],
        vteps=[Vtep("198.51.100.1/24")],
        networks=[Network("blue", 100, ["tenant-a", "tenant-b"], list(remotes), **network)],
        fdb_capacity=fdb_capacity,
    )
    switch = start(lab, config)
    far = probe(lab)
    resolve(switch, a, far, remotes)
    made = Bench(switch, a, b, far, lab.sniff(a.namespace, "eth0"), lab.sniff(b.namespace, "eth0"))
    made.clear()
    return made


def test_a_mac_that_moves_is_followed_at_once(lab: Lab) -> None:
    """Remote to local and back, and between ports: 100 ms after one frame from its new home, traffic goes only there."""
    lab_bench = bench(lab)
    for step, home in enumerate(("far", "a", "far", "a", "far")):
        lab_bench.send_from(home, experimental(BROADCAST, MOVER, f"here {step}".encode()))
        time.sleep(0.1)
        lab_bench.clear()
        probes = [experimental(MOVER, B_MAC, f"to the mover {step} {n}".encode()) for n in range(10)]
        for frame in probes:
            lab_bench.send_from("b", frame)
        until(f"frames reach the mover at {home}", lambda: lab_bench.heard(probes[-1])[home])
        for frame in probes:
            expected = {"a": 0, "b": 0, "far": 0} | {home: 1}
            assert lab_bench.heard(frame) == expected, f"step {step}, home {home}"
        if home == "a":
            frame = experimental(MOVER, FAR_MAC, f"from afar {step}".encode())
            lab_bench.send_from("far", frame)
            until("a frame from afar reaches the mover", lambda: lab_bench.heard(frame)["a"])
            assert lab_bench.heard(frame) == {"a": 1, "b": 0, "far": 0}
    assert lab_bench.switch.metric("vswitch_fdb_moves_total", network="blue") >= 4


def test_a_mac_that_moves_between_remote_vteps(lab: Lab) -> None:
    lab_bench = bench(lab, remotes=(REMOTE, OTHER_REMOTE))
    for step, home in enumerate((REMOTE, OTHER_REMOTE, REMOTE)):
        lab_bench.far.send_inner(experimental(BROADCAST, MOVER, b"here"), source=home)
        time.sleep(0.1)
        lab_bench.clear()
        frame = experimental(MOVER, A_MAC, f"to the mover {step}".encode())
        lab_bench.send_from("a", frame)
        until("the frame leaves", lambda: lab_bench.heard(frame)["far"])
        time.sleep(0.05)
        sent = lab_bench.far.tunnelled(lambda inner: inner == frame)
        assert [outer["IP"].dst for outer in sent] == [home]
        assert lab_bench.heard(frame)["b"] == 0


@pytest.mark.parametrize("home", ["port", "remote-vtep"])
def test_learning_never_overrides_a_static_mac(lab: Lab, home: str) -> None:
    where = ("port", "tenant-a") if home == "port" else ("remote-vtep", REMOTE)
    lab_bench = bench(lab, macs={MOVER: where})
    at, impostor = ("a", "far") if home == "port" else ("far", "a")
    for step in range(3):
        lab_bench.send_from(impostor, experimental(BROADCAST, MOVER, f"I am here {step}".encode()))
        time.sleep(0.1)
        frame = experimental(MOVER, B_MAC, f"to the static one {step}".encode())
        lab_bench.send_from("b", frame)
        until("the frame arrives", lambda: lab_bench.heard(frame)[at])
        time.sleep(0.02)
        assert lab_bench.heard(frame) == {"a": 0, "b": 0, "far": 0} | {at: 1}
    assert lab_bench.switch.fdb("blue")[MOVER]["kind"] == "static"


def test_a_silent_mac_is_forgotten(lab: Lab) -> None:
    """After its ageing time a MAC is unknown again: frames to it are flooded. A static one stays."""
    static = "02:00:00:00:00:99"
    lab_bench = bench(lab, mac_ageing_secs=2, macs={static: ("port", "tenant-a")})
    lab_bench.send_from("a", experimental(BROADCAST, MOVER, b"here"))
    until("it is learned", lambda: MOVER in lab_bench.switch.fdb("blue"))
    learned = time.monotonic()
    # One that keeps talking stays.
    while MOVER in lab_bench.switch.fdb("blue"):
        assert time.monotonic() - learned < 6, "never forgotten"
        lab_bench.send_from("b", experimental(BROADCAST, B_MAC, b"still here"))
        time.sleep(0.1)
    assert time.monotonic() - learned > 1.5, "forgotten before its time"
    assert {B_MAC, static} <= set(lab_bench.switch.fdb("blue"))

    lab_bench.clear()
    frame = experimental(MOVER, B_MAC, b"where are you")
    lab_bench.send_from("b", frame)
    until("it is flooded", lambda: lab_bench.heard(frame) == {"a": 1, "b": 0, "far": 1})


def test_more_macs_than_the_table_holds(lab: Lab) -> None:
    """A storm of source MACs is refused and counted; those who were known, and forwarding, do not suffer."""
    lab_bench = bench(lab, fdb_capacity=64)
    lab_bench.a.reaches(lab_bench.b)
    known = experimental(B_MAC, A_MAC, b"known")
    with lab_bench.a.sender() as hand:
        for number in range(2000):
            source = f"02:00:00:01:{number >> 8:02x}:{number & 0xFF:02x}"
            hand.send(experimental(BROADCAST, source, b"storm"))
            if number % 100 == 0:
                time.sleep(0.005)
                hand.send(known)
    until("refusals are counted", lambda: lab_bench.switch.metric("vswitch_fdb_refused_total", network="blue") > 0)
    assert lab_bench.switch.metric("vswitch_fdb_entries", network="blue") <= 64
    assert lab_bench.a.ping(lab_bench.b.address, count=10) == 10
    assert lab_bench.heard(known)["b"] == 20
    # One that could not be learned is still reached, by flooding.
    stranger = experimental("02:00:00:01:07:cf", B_MAC, b"to a stranger")
    lab_bench.send_from("b", stranger)
    until("the stranger is reached", lambda: lab_bench.heard(stranger)["a"])
