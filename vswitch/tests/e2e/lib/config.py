"""Configurations for tests: small values that render as the TOML a user would write."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Port:
    """A port. `extra` are lines of TOML for its table."""

    name: str
    device: str
    mtu: int | None = None
    queues: int | None = None


@dataclass
class Vtep:
    """A local tunnel end."""

    address: str
    port: str = "uplink"
    name: str = "fabric"
    host_interface: str = "vtep0"
    udp_port: int | None = None
    mac: str | None = None


@dataclass
class Network:
    """A tenant's broadcast domain. `macs` maps a static MAC to ("port", name) or ("remote-vtep", address)."""

    name: str
    vni: int
    ports: list[str]
    remote_vteps: list[str] = field(default_factory=list)
    vtep: str | None = "fabric"
    mac_ageing_secs: int | None = None
    macs: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Config:
    """A whole configuration file."""

    ports: list[Port]
    vteps: list[Vtep] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    worker_cores: list[int] = field(default_factory=lambda: [1])
    main_core: int = 0
    memory_mib: int = 256
    hugepages: bool = False
    eal_args: list[str] = field(default_factory=list)
    fdb_capacity: int | None = None
    metrics: str = "127.0.0.1:9144"
    api: dict[str, str] = field(default_factory=dict)
    """Further keys of [api], as the file has them."""

    def render(self, socket: Path) -> str:
        lines = ["[dpdk]"]
        lines += _keys(
            worker_cores=self.worker_cores, main_core=self.main_core, memory_mib=self.memory_mib,
            hugepages=self.hugepages, eal_args=self.eal_args,
        )
        lines += ["", "[api]"] + _keys(socket=str(socket), metrics=self.metrics, **self.api)
        if self.fdb_capacity is not None:
            lines += ["", "[fdb]"] + _keys(capacity=self.fdb_capacity)
        for port in self.ports:
            lines += ["", "[[port]]"]
            lines += _keys(name=port.name, device=port.device, mtu=port.mtu, queues=port.queues)
        for vtep in self.vteps:
            lines += ["", "[[vtep]]"]
            lines += _keys(
                name=vtep.name, port=vtep.port, address=vtep.address, host_interface=vtep.host_interface,
                udp_port=vtep.udp_port, mac=vtep.mac,
            )
        for network in self.networks:
            lines += ["", "[[network]]"]
            lines += _keys(
                name=network.name, vni=network.vni, vtep=network.vtep,
                remote_vteps=network.remote_vteps if network.vtep else None, mac_ageing_secs=network.mac_ageing_secs,
            )
            for port in network.ports:
                lines += ["  [[network.port]]", f"  port = {_value(port)}"]
            for address, (kind, home) in network.macs.items():
                lines += ["  [[network.mac]]", f"  address = {_value(address)}", f"  {kind} = {_value(home)}"]
        return "\n".join(lines) + "\n"


def _keys(**pairs: object) -> list[str]:
    """TOML lines for the pairs that are given; names are written with dashes."""
    return [f"{key.replace('_', '-')} = {_value(value)}" for key, value in pairs.items() if value is not None]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
