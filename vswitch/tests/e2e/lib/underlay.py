"""The other end of the wire: an underlay, and Linux hosts whose kernels speak VXLAN."""

from __future__ import annotations

from .netns import Namespace, run, veth
from .tenant import Tenant

UNDERLAY_MTU = 1600
"""Room for a 1514-byte frame behind 50 bytes of outer headers (RFC 7348 §5), and some."""

VXLAN_OVERHEAD = 50
"""What VXLAN over IPv4 adds to an inner IP packet of an untagged frame: 14 + 8 + 8 + 20."""


class Fabric:
    """A plain bridge that joins everyone's underlay interfaces: the leaf switch of the rack."""

    def __init__(self, namespace: Namespace, mtu: int = UNDERLAY_MTU):
        self.namespace = namespace
        self.mtu = mtu
        self._ports = 0
        namespace.ip("link add br0 type bridge mcast_snooping 0", f"link set br0 mtu {mtu} up")

    def attach(self, host: Namespace, interface: str, *, queues: int = 1, mac: str | None = None) -> str:
        """Gives `host` an interface on this fabric; returns the name of the fabric's end."""
        port = f"p{self._ports}"
        self._ports += 1
        veth(host, interface, self.namespace, port, mtu=self.mtu, queues=queues, a_mac=mac)
        self.namespace.ip(f"link set {port} master br0")
        return port


class LinuxVtep:
    """A Linux host with the kernel's own VXLAN: per network a device and a bridge with its tenants."""

    def __init__(self, namespace: Namespace, interface: str, address: str, mtu: int = UNDERLAY_MTU):
        self.namespace = namespace
        self.interface = interface
        self.address, prefix = address.split("/")
        self._mtu = mtu
        self._tenants = 0
        namespace.ip(f"addr add {self.address}/{prefix} dev {interface}")

    def network(self, vni: int, flood_to: list[str], *, udp_port: int = 4789) -> None:
        """Joins a network: learns from frames, floods to every address in `flood_to`."""
        device, bridge = f"vx{vni}", f"br{vni}"
        self.namespace.ip(
            f"link add {bridge} type bridge mcast_snooping 0",
            f"link add {device} type vxlan id {vni} local {self.address} dev {self.interface} dstport {udp_port} ttl 64",
            f"link set {device} mtu {self._mtu - VXLAN_OVERHEAD}",
            f"link set {device} master {bridge} up",
            f"link set {bridge} up",
        )
        for remote in flood_to:
            run("bridge", "-n", self.namespace.name, "fdb", "append", "00:00:00:00:00:00", "dev", device, "dst", remote)

    def tenant(self, namespace: Namespace, vni: int, address: str, mac: str, *, mtu: int = 1500) -> Tenant:
        """Puts a tenant behind this host's bridge of the network."""
        port = f"t{self._tenants}"
        self._tenants += 1
        veth(self.namespace, port, namespace, "eth0", mtu=mtu, b_mac=mac)
        self.namespace.ip(f"link set {port} master br{vni}")
        namespace.ip(f"addr add {address}/24 dev eth0")
        return Tenant(namespace, "eth0", address, mac)
