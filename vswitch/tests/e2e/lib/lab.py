"""One test's laboratory: makes namespaces, peers and switches, and takes all of them away again."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Protocol, TypeVar

from .config import Config, Network, Port, Vtep
from .netns import Namespace, veth
from .switch import Switch
from .tenant import Tenant
from .underlay import UNDERLAY_MTU, Fabric, LinuxVtep
from .wire import Sender, Sniffer

VTEP = "198.51.100.1"
"""Our VTEP's address wherever a test has no reason for another."""


class Closable(Protocol):
    """What has an end."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class Lab:
    """Everything one test has set up. `verify` is the promise at its end, `close` removes it all."""

    _numbers = count()

    def __init__(self, directory: Path):
        self._number = next(Lab._numbers)
        self._directory = directory
        self._namespaces: dict[str, Namespace] = {}
        self._kept: list[Closable] = []
        self.switches: list[Switch] = []

    def namespace(self, label: str) -> Namespace:
        """The namespace with that label; made when first asked for."""
        if label not in self._namespaces:
            self._namespaces[label] = Namespace(self._number, label)
        return self._namespaces[label]

    def fabric(self, mtu: int = UNDERLAY_MTU) -> Fabric:
        return Fabric(self.namespace("fabric"), mtu)

    def linux_vtep(self, fabric: Fabric, label: str, address: str) -> LinuxVtep:
        """A Linux host on the fabric, with its VTEP address (`a.b.c.d/len`) on `eth0`."""
        host = self.namespace(label)
        fabric.attach(host, "eth0")
        return LinuxVtep(host, "eth0", address, fabric.mtu)

    def local_tenant(
        self, switch_end: str, label: str, address: str, mac: str, *, mtu: int = 1500, queues: int = 1
    ) -> Tenant:
        """A tenant on a veth whose other end, `switch_end`, waits in the switch's namespace for a port."""
        namespace = self.namespace(label)
        veth(self.namespace("sw"), switch_end, namespace, "eth0", mtu=mtu, queues=queues, b_mac=mac)
        namespace.ip(f"addr add {address}/24 dev eth0")
        return Tenant(namespace, "eth0", address, mac)

    def switch(self, config: Config) -> Switch:
        """A switch in the namespace `sw`, not started yet."""
        directory = self._directory / f"switch{len(self.switches)}"
        directory.mkdir()
        made = Switch(self.namespace("sw"), config, directory)
        self.switches.append(made)
        return made

    def sniff(self, namespace: Namespace, interface: str) -> Sniffer:
        """A sniffer that is closed with the lab."""
        return self.keep(Sniffer(namespace, interface))

    def sender(self, namespace: Namespace, interface: str) -> Sender:
        return self.keep(Sender(namespace, interface))

    def keep(self, thing: C) -> C:
        """Closes the thing with the lab."""
        self._kept.append(thing)
        return thing

    # --- the end ----------------------------------------------------------------------------

    def verify(self) -> None:
        """What holds after every test, whatever it was about."""
        for switch in self.switches:
            if switch.process is not None and not switch.over:
                switch.verify()
                switch.stop(within=3.0)  # how fast is test_lifecycle's question

    def report(self) -> str:
        """What helps to understand a failure."""
        parts = []
        for switch in self.switches:
            if switch.config_file.exists():
                parts.append(f"--- {switch.config_file}\n{switch.config_file.read_text()}")
            parts.append(f"--- {switch.log_file}\n{switch.log()}")
            if switch.running and (metrics := switch.scrape()):
                parts.append(f"--- drops\n{metrics.drops()}")
        return "\n".join(parts)

    def close(self) -> None:
        """Takes everything away, whatever state it is in."""
        for switch in self.switches:
            switch.kill()
        for thing in self._kept:
            thing.close()
        for namespace in self._namespaces.values():
            namespace.delete()


def af_packet(index: int, interface: str) -> str:
    """Devargs of a port on an AF_PACKET socket."""
    return f"net_af_packet{index},iface={interface}"


def overlay_config(remotes: list[str], *, tenant_device: str, underlay_mtu: int = UNDERLAY_MTU) -> Config:
    """One uplink, one tenant port, one network `blue` with VNI 100: what most tests start from."""
    return Config(
        ports=[
            Port("uplink", af_packet(0, "up0"), mtu=underlay_mtu),
            Port("tenant-a", tenant_device),
        ],
        vteps=[Vtep(f"{VTEP}/24")],
        networks=[Network("blue", 100, ["tenant-a"], remotes)],
    )
