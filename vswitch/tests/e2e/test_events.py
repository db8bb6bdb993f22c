"""`/v1/events` tells what happens to a running switch: to MAC addresses, to links, to the configuration."""

from __future__ import annotations

import copy

from lib.api import Api
from lib.config import Config, Network, Port, Vtep
from lib.events import Events
from lib.lab import Lab, af_packet
from lib.overlay import REMOTE, experimental, probe, uplink_to_probe
from lib.wait import until

A_MAC, B_MAC, MOVER = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:77"
BROADCAST = "ff:ff:ff:ff:ff:ff"
CAPACITY = 64
"""Of the FDB: the least."""


def test_what_happens_is_told(lab: Lab) -> None:
    uplink_to_probe(lab, remotes=(REMOTE,))
    a = lab.local_tenant("ta", "a", "203.0.113.10", A_MAC)
    b = lab.local_tenant("tb", "b", "203.0.113.11", B_MAC)
    sw = lab.namespace("sw")
    switch = lab.switch(Config(
        ports=[
            Port("uplink", af_packet(0, "up0"), mtu=1600), Port("tenant-a", af_packet(1, "ta")),
            Port("tenant-b", af_packet(2, "tb")), Port("tap", "net_tap0,iface=tap0"),
        ],
        vteps=[Vtep("198.51.100.1/24")],
        networks=[Network("blue", 100, ["tenant-a", "tenant-b", "tap"], [REMOTE], mac_ageing_secs=1)],
        fdb_capacity=CAPACITY,
    )).start()
    far = probe(lab)
    api = lab.keep(Api(switch.socket))
    events = lab.keep(Events(switch.socket))
    ours = {"network": "blue", "mac": MOVER}

    # A station comes, moves to another port, to another host and back, and falls silent.
    here = experimental(BROADCAST, MOVER, b"here")
    hands = {"tenant-a": lab.keep(a.sender()), "tenant-b": lab.keep(b.sender())}
    hands["tenant-a"].send(here)
    events.wait("mac-learned", **ours)
    hands["tenant-b"].send(here)
    events.wait("mac-moved", port="tenant-b", **ours)
    far.send_inner(here)
    events.wait("mac-moved", remote_vtep=REMOTE, **ours)
    hands["tenant-b"].send(here)
    events.wait("mac-moved", **{"from": {"remote_vtep": REMOTE}}, **ours)
    events.wait("mac-aged", seconds=6, **ours)
    assert events.seen("mac-", mac=MOVER) == [
        {"kind": "mac-learned", "port": "tenant-a", **ours},
        {"kind": "mac-moved", "port": "tenant-b", "from": {"port": "tenant-a"}, **ours},
        {"kind": "mac-moved", "remote_vtep": REMOTE, "from": {"port": "tenant-b"}, **ours},
        {"kind": "mac-moved", "port": "tenant-b", "from": {"remote_vtep": REMOTE}, **ours},
        {"kind": "mac-aged", "port": "tenant-b", **ours},
    ]

    # More stations than there is room for: each is learned or refused.
    strangers = [f"02:00:00:01:00:{number:02x}" for number in range(2 * CAPACITY)]
    for stranger in strangers:
        hands["tenant-a"].send(experimental(BROADCAST, stranger, b"here"))
    at_a = {"network": "blue", "port": "tenant-a"}

    def told(kind: str) -> set[str]:
        return {event["mac"] for event in events.seen(kind, **at_a)} & set(strangers)

    until("each stranger's fate is told", lambda: told("mac-learned") | told("mac-refused") == set(strangers))
    assert len(told("mac-refused")) >= CAPACITY
    assert switch.metric("vswitch_fdb_refused_total", network="blue") >= len(told("mac-refused"))

    # A cable is pulled out, and put in again.
    assert events.seen("port-") == []
    sw.ip("link set tap0 down")
    events.wait("port-down")
    sw.ip("link set tap0 up")
    events.wait("port-up")
    assert events.seen("port-") == [{"kind": "port-down", "port": "tap"}, {"kind": "port-up", "port": "tap"}]

    # Configurations: applied, confirmed, and rolled back, by somebody and because nobody confirmed.
    document = api.get("/v1/config")
    generations = []

    def apply(vni: int, confirm_within: str) -> None:
        changed = copy.deepcopy(document)
        changed["network"].append({"name": "green", "vni": vni})
        api.change("POST", f"/v1/apply{confirm_within}", changed)
        note()

    def note() -> None:
        api.get("/v1/config")
        generations.append(int((api.generation or "").strip('"')))

    apply(201, "")
    apply(202, "?confirm-within-secs=60")
    api.change("POST", "/v1/confirm")
    apply(203, "?confirm-within-secs=60")
    api.change("POST", "/v1/roll-back")
    note()
    apply(204, "?confirm-within-secs=1")
    events.wait("configuration-rolled-back", reason="expired")
    note()
    one, two, three, four, five, six = generations
    applied = {"kind": "configuration-applied"}
    back = {"kind": "configuration-rolled-back"}
    assert events.seen("configuration-") == [
        {**applied, "generation": one},
        {**applied, "generation": two, "confirm_within_secs": 60},
        {"kind": "configuration-confirmed", "generation": two},
        {**applied, "generation": three, "confirm_within_secs": 60},
        {**back, "generation": four, "reason": "asked"},
        {**applied, "generation": five, "confirm_within_secs": 1},
        {**back, "generation": six, "reason": "expired"},
    ]

    # Nothing was left out.
    numbers = events.sequences()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) and not events.seen("missed")
