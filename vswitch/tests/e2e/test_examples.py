"""The configurations in docs/examples run: each on a host that has what it names.

What no test machine has is replaced, and nothing else: a NIC by a veth, cores and memory by those that there are.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path

import pytest
from lib.config import Config
from lib.lab import Lab
from lib.netns import veth
from lib.ping import ping
from lib.switch import ROOT
from lib.wait import until

EXAMPLES = sorted((ROOT / "docs/examples").glob("*.toml"))


class Example(Config):
    """A configuration that is rendered as its file says it."""

    def __init__(self, text: str):
        super().__init__(ports=[])
        self.text = text

    def render(self, socket: Path) -> str:
        text = re.sub(r'^socket = ".*"', "", self.text, flags=re.M)
        api = f'[api]\nsocket = "{socket}"\n'
        return text.replace("[api]\n", api) if "[api]\n" in text else f"{api}\n{text}"


def adapted(text: str) -> str:
    """The same for a machine with two cores, few hugepages and no NIC."""
    numbers = iter(range(20, 100))
    # framesz: net_af_packet's slots must hold the longest frame. Another slot's size for every NIC does no harm.
    nic = lambda _: f'"net_af_packet{(n := next(numbers))},iface=nic{n},framesz=16384,blocksz=65536"'
    text = re.sub(r'"[0-9a-f]{4}:[0-9a-f:]+\.[0-7]"', nic, text)
    text = re.sub(r"^worker-cores = .*?\]", "worker-cores = [1]", text, flags=re.M)
    text = re.sub(r"^queues = \d+", "queues = 1", text, flags=re.M)
    if tomllib.loads(text)["dpdk"].get("memory-mib", 512) > 256:
        text = re.sub(r"^hugepages = \w+", "", text, flags=re.M).replace("[dpdk]\n", "[dpdk]\nhugepages = false\n")
    return text


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_runs(lab: Lab, file: Path) -> None:
    text = adapted(file.read_text())
    meant = tomllib.loads(text)
    host, peers = lab.namespace("sw"), lab.namespace("peers")
    peer_of: dict[str, str] = {}
    for number, port in enumerate(meant["port"]):
        end = re.search(r"iface=([\w-]+)", port["device"])
        assert end, port
        peer = peer_of[port["name"]] = f"p{number}"
        veth(host, end[1], peers, peer, mtu=port.get("mtu", 1500))
    switch = lab.switch(Example(text))
    switch.start()
    assert "WARN" not in switch.log() and "warning" not in switch.log(), switch.log()
    assert {row["name"] for row in switch.show("ports")} == {port["name"] for port in meant["port"]}
    assert {row["name"] for row in switch.show("networks")} == {network["name"] for network in meant["network"]}
    # Each VTEP is there, on its own underlay: the kernel answers for its address through the uplink.
    for vtep in meant["vtep"]:
        address = ipaddress.ip_interface(vtep["address"])
        peer = peer_of[vtep["port"]]
        peers.ip(f"addr add {address.ip + 20}/{address.network.prefixlen} dev {peer}")
        until("the VTEP answers", lambda: ping(peers, str(address.ip), count=1, wait=0.3) == 1, seconds=5)
        peers.ip(f"addr flush dev {peer}")
