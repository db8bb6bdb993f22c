"""What `vswitch explain` says of a frame is what is then seen on the wire, and asking changes no counter."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from dataclasses import dataclass

from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab, af_packet
from lib.overlay import OTHER_REMOTE, REMOTE, Probe, experimental, probe, resolve, start, uplink_to_probe
from lib.switch import BINARY, Switch
from lib.tenant import Tenant
from lib.wait import until
from lib.wire import Sniffer
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

A_MAC, B_MAC, FAR_MAC, OTHER_MAC = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:fa", "02:00:00:00:00:fb"
STRANGER_MAC, STRANGER = "02:00:00:00:00:99", "198.51.100.9"
BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass
class Place:
    """Hand and eye at one port of the switch."""

    send: object
    eye: Sniffer


def explain(switch: Switch, *words: str, status: int = 0) -> dict:
    command = [str(BINARY), "explain", *words, "--json", "--socket", str(switch.socket)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == status, done
    return json.loads(done.stdout)


def counted(switch: Switch) -> dict[tuple, float]:
    """What counts tenants' frames, tables and changes. What the kernel says on the underlay comes and goes."""
    names = ("vswitch_drops_total", "vswitch_replicated_packets_total", "vswitch_fdb_entries",
             "vswitch_fdb_learned_total", "vswitch_fdb_moves_total", "vswitch_fdb_refused_total")
    samples = switch.metrics().samples
    found = {(n, *sorted(labels.items())): value for n, labels, value in samples if n in names}
    for port in ("tenant-a", "tenant-b"):
        for what in ("receive", "transmit"):
            name = f"vswitch_port_{what}_packets_total"
            found[(name, port)] = switch.metric(name, port=port)
    return found


def cases(far: Probe) -> dict[str, tuple[str, bytes]]:
    """Name, and the port and bytes of a frame."""
    datagram = bytes(Ether(dst=FAR_MAC, src=A_MAC) / IP(src="203.0.113.1", dst="203.0.113.9") / UDP(sport=7, dport=9)
                     / Raw(b"explained".ljust(40, b".")))
    wrong_checksum = bytearray(bytes(far.wrap(experimental(A_MAC, FAR_MAC, b"spoilt"))))
    wrong_checksum[24] ^= 0xFF
    return {
        "to the neighbour": ("tenant-a", experimental(B_MAC, A_MAC, b"to b")),
        "into the tunnel": ("tenant-a", datagram),
        "to everybody": ("tenant-a", experimental(BROADCAST, A_MAC, b"to all")),
        "to somebody unknown": ("tenant-b", experimental(STRANGER_MAC, B_MAC, b"who")),
        "out of the tunnel": ("uplink", bytes(far.wrap(experimental(A_MAC, FAR_MAC, b"from afar")))),
        "out of the tunnel to all": ("uplink", bytes(far.wrap(experimental(BROADCAST, OTHER_MAC, b"all"),
                                                                source=OTHER_REMOTE))),
        "a long one for a short port": ("tenant-b", experimental(A_MAC, B_MAC, b"long", 1450)),
        "to oneself": ("tenant-a", experimental(A_MAC, A_MAC, b"me")),
        "a sender that is a group": ("tenant-a", experimental(B_MAC, "03:00:00:00:00:01", b"group")),
        "for the next bridge": ("tenant-a", experimental("01:80:c2:00:00:0e", A_MAC, b"lldp")),
        "an unknown VNI": ("uplink", bytes(far.wrap(experimental(A_MAC, FAR_MAC, b"vni"), vni=4242))),
        "an unknown remote VTEP": ("uplink", bytes(far.wrap(experimental(A_MAC, FAR_MAC, b"vtep"), source=STRANGER))),
        "a wrong checksum": ("uplink", bytes(wrong_checksum)),
        "overlay to overlay": ("uplink", bytes(far.wrap(experimental(OTHER_MAC, FAR_MAC, b"back")))),
        "of nobody's port": ("unused", experimental(B_MAC, A_MAC, b"unused")),
    }


def test_what_is_explained_is_what_is_seen(lab: Lab) -> None:
    uplink_to_probe(lab)
    a = lab.local_tenant("ta", "a", "203.0.113.10", A_MAC, mtu=1400)
    b = lab.local_tenant("tb", "b", "203.0.113.11", B_MAC)
    unused = lab.local_tenant("tc", "c", "203.0.113.12", "02:00:00:00:00:0c")
    switch = start(lab, Config(
        ports=[
            Port("uplink", af_packet(0, "up0")),
            Port("tenant-a", af_packet(1, "ta"), mtu=1400),
            Port("tenant-b", af_packet(2, "tb")),
            Port("unused", af_packet(3, "tc")),
        ],
        vteps=[Vtep("198.51.100.1/24")],
        networks=[Network("blue", 100, ["tenant-a", "tenant-b"], [REMOTE, OTHER_REMOTE])],
    ))
    far = probe(lab)
    resolve(switch, b, far, (REMOTE, OTHER_REMOTE))

    def place(tenant: Tenant) -> Place:
        return Place(lab.sender(tenant.namespace, "eth0").send, lab.sniff(tenant.namespace, "eth0"))

    places = {"tenant-a": place(a), "tenant-b": place(b), "unused": place(unused),
              "uplink": Place(far.sender.send, far.sniffer)}
    places["tenant-a"].send(experimental(BROADCAST, A_MAC, b"here"))
    far.send_inner(experimental(BROADCAST, FAR_MAC, b"here"))
    far.send_inner(experimental(BROADCAST, OTHER_MAC, b"here"), source=OTHER_REMOTE)
    until("all are learned", lambda: {A_MAC, B_MAC, FAR_MAC, OTHER_MAC} <= set(switch.fdb("blue")))
    time.sleep(0.1)

    frames = cases(far)
    before, running = counted(switch), switch.show_text("config")
    for port, frame in frames.values():
        explain(switch, "--port", port, "--hex", frame.hex())
    explain(switch, "--from-host", "fabric", "--hex", frames["to everybody"][1].hex())
    assert counted(switch) == before, "asking changes nothing"
    assert switch.show_text("config") == running

    reasons = set()
    for name, (port, frame) in frames.items():
        reasons |= compare(switch, places, name, port, frame)
    assert len(reasons) == 9, reasons

    by_options(switch, far)
    assert explain(switch, "--port", "uplink", "--hex", frames["into the tunnel"][1].hex())["verdict"] == "dropped"


def compare(switch: Switch, places: dict[str, Place], name: str, port: str, frame: bytes) -> set[str]:
    """Asks, sends, and looks. Returns the reasons of drops."""
    told = explain(switch, "--port", port, "--hex", frame.hex())
    foretold = Counter((copy["to"]["port"], copy["frame"]["hex"]) for copy in told["copies"])
    for place in places.values():
        place.eye.clear()
    before = switch.metrics()
    places[port].send(frame)

    def seen() -> Counter:
        # Of all that is on the wires, what the explanation speaks of, and whatever else this frame could have become.
        marks = {hex for _, hex in foretold} | {frame.hex()}
        inner = frame[50:] if port == "uplink" else frame
        found = Counter()
        for at, place in places.items():
            for one in place.eye.frames():
                if one.data.hex() in marks or inner in one.data:
                    found[(at, one.data.hex())] += 1
        return found

    drops = Counter((d["reason"], d["port"], d["network"]) for d in told["drops"])

    def dropped() -> Counter:
        now = switch.metrics()
        found = Counter()
        for reason, at, network in drops:
            labels = {"reason": reason, "port": at, "network": network}
            found[(reason, at, network)] = int(now.value("vswitch_drops_total", **labels)
                                               - before.value("vswitch_drops_total", **labels))
        return found

    until(f"{name}: {told['summary']}", lambda: seen() == foretold and dropped() == drops, seconds=3)
    time.sleep(0.05)
    assert seen() == foretold, f"{name}: more than was foretold"
    for drop in told["drops"]:
        assert drop["cause"]["pointer"].startswith("/") and drop["cause"]["remedy"], drop
    return {reason for reason, _, _ in drops}


def by_options(switch: Switch, far: Probe) -> None:
    """The same frame, built by the command line as a remote VTEP would have built it."""
    told = explain(switch, "--port", "uplink", "--src", FAR_MAC, "--dst", A_MAC, "--vxlan", "100", "--from-vtep", REMOTE)
    [copy] = told["copies"]
    assert copy["to"] == {"port": "tenant-a"} and told["tunnel"]["remote_vtep"] == REMOTE, told
    assert told["frame"]["hex"].startswith(far.switch_mac.replace(":", "")), told
    # Nobody has learned from all the asking.
    assert STRANGER_MAC not in switch.fdb("blue")
