"""Random changes of a configuration, and what it must be after them."""

from __future__ import annotations

import copy
import random
from itertools import count
from typing import Callable

from .known import KNOWN, PORTS


Request = tuple[str, str, object]
"""Method, path and body."""


class Model:
    """The configuration as it should be, and ways to change it that leave network `known` alone.

    Each way changes the model, and gives the request that does the same to the switch; or nothing, if there is
    nothing of the kind to be changed.
    """

    def __init__(self, document: dict, seed: int):
        self.document = copy.deepcopy(document)
        for port in self.document["port"]:
            port |= {"queues": None, "mtu": None} | port
        for network in self.document["network"]:
            network |= {"vtep": None} | network
            network["mac"] = [{"port": None, "remote-vtep": None} | entry for entry in network["mac"]]
        self.random = random.Random(seed)
        self.numbers = count(10)

    def named(self, table: str) -> dict[str, dict]:
        return {item["name"]: item for item in self.document[table]}

    def others(self) -> list[dict]:
        return [network for network in self.document["network"] if network["name"] != KNOWN]

    def unused_ports(self) -> list[str]:
        used = {vtep["port"] for vtep in self.document["vtep"]}
        used |= {member["port"] for network in self.document["network"] for member in network["port"]}
        return [port["name"] for port in self.document["port"] if port["name"] not in used]

    def step(self) -> Request:
        """Any of the ways."""
        return self._one_of(*self._single(), self.change_ports_and_vteps, self.change_several)

    def _single(self) -> tuple[Callable[[], Request | None], ...]:
        return (
            self.add_network, self.remove_network, self.add_port, self.remove_port, self.attach, self.detach,
            self.add_mac, self.remove_mac, self.add_remote, self.remove_remote, self.age, self.add_vtep,
            self.remove_vtep, self.migrate_port, self.migrate_mac, self.change_vni, self.change_vtep_of_network,
        )

    def _one_of(self, *ways: Callable[[], Request | None]) -> Request:
        while True:
            if request := self.random.choice(ways)():
                return request

    def _addresses(self, number: int) -> list[str]:
        return [f"198.51.100.{n}" for n in self.random.sample(range(2, 60), number)]

    # --- a whole configuration ---------------------------------------------------------------

    def change_several(self):
        for _ in range(self.random.randrange(2, 6)):
            self._one_of(*self._single())
        return self._apply()

    def change_ports_and_vteps(self):
        """What only a whole configuration can change: properties of a device or of a host interface."""
        ports = [port for port in self.document["port"] if port["name"] not in PORTS]
        vteps = [vtep for vtep in self.document["vtep"] if vtep["name"] != "fabric"]
        if not ports:
            return None
        port = self.random.choice(ports)
        if self.random.random() < 0.5:
            port["mtu"] = self.random.choice([mtu for mtu in (None, 1280, 1400, 1450) if mtu != port["mtu"]])
        else:
            port["device"] = f"net_null{next(self.numbers)}"
        if vteps and self.random.random() < 0.5:
            vtep = self.random.choice(vteps)
            key, value = self.random.choice([
                ("address", self._unused_address()), ("udp-port", self.random.randrange(5000, 6000)),
                ("host-interface", f"vt{next(self.numbers)}"),
            ])
            vtep[key] = value
        return self._apply()

    def _apply(self) -> Request:
        return "POST", "/v1/apply", copy.deepcopy(self.document)

    # --- one thing ---------------------------------------------------------------------------

    def add_network(self):
        if len(self.others()) >= 20:
            return None
        number = next(self.numbers)
        network = {"name": f"n{number}", "vni": number}
        vteps = list(self.named("vtep"))
        if vteps and self.random.random() < 0.7:
            network["vtep"] = self.random.choice(vteps)
            network["remote-vteps"] = self._addresses(3)
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

    def migrate_port(self):
        """With its static MACs."""
        members = [(network, member) for network in self.others() for member in network["port"]]
        if not members or len(self.others()) < 2:
            return None
        network, member = self.random.choice(members)
        to = self.random.choice([other for other in self.others() if other is not network])
        network["port"].remove(member)
        to["port"].append(member)
        along = [entry for entry in network["mac"] if entry["port"] == member["port"]]
        network["mac"] = [entry for entry in network["mac"] if entry not in along]
        to["mac"] += along
        return "POST", "/v1/migrate", {"port": {"name": member["port"], "from": network["name"], "to": to["name"]}}

    def migrate_mac(self):
        """To another remote VTEP, one that the network floods to or not, or to a port; from either."""
        some = [(network, entry) for network in self.others() for entry in network["mac"]]
        if not some:
            return None
        network, entry = self.random.choice(some)
        homes = [{"port": member["port"], "remote-vtep": None} for member in network["port"]]
        if network["vtep"]:
            homes += [{"port": None, "remote-vtep": address} for address in self._addresses(2)]
            homes += [{"port": None, "remote-vtep": address} for address in network["remote-vteps"]]
        homes = [home for home in homes if not home.items() <= entry.items()]
        if not homes:
            return None
        entry |= self.random.choice(homes)
        wanted = {key: value for key, value in entry.items() if value is not None}
        return "POST", "/v1/migrate", {"mac": {"network": network["name"], **wanted}}

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
        some = [network for network in self.others() if network["vtep"]]
        if not some:
            return None
        network = self.random.choice(some)
        [address] = self._addresses(1)
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

    def _patch(self, network: dict, patch: dict) -> Request:
        network |= patch
        return "PATCH", f"/v1/networks/{network['name']}", patch

    def age(self):
        if not self.others():
            return None
        return self._patch(self.random.choice(self.others()), {"mac-ageing-secs": self.random.randrange(10, 1000)})

    def change_vni(self):
        if not self.others():
            return None
        return self._patch(self.random.choice(self.others()), {"vni": 10_000 + next(self.numbers)})

    def change_vtep_of_network(self):
        """It goes to another VTEP, to its first one, or, if nothing of it is remote but whom it floods to, to none."""
        if not self.others():
            return None
        network = self.random.choice(self.others())
        vteps = [name for name in self.named("vtep") if name != network["vtep"]]
        if network["vtep"] and not any(entry["remote-vtep"] for entry in network["mac"]):
            vteps.append(None)
        if not vteps:
            return None
        vtep = self.random.choice(vteps)
        return self._patch(network, {"vtep": vtep, "remote-vteps": self._addresses(2) if vtep else []})

    def _unused_address(self) -> str:
        used = {vtep["address"] for vtep in self.document["vtep"]}
        return self.random.choice([some for n in range(1, 200) if (some := f"203.0.113.{n}/24") not in used])

    def add_vtep(self):
        if len(self.document["vtep"]) >= 3 or not self.unused_ports():
            return None
        number = next(self.numbers)
        vtep = {
            "name": f"v{number}", "port": self.random.choice(self.unused_ports()),
            "address": self._unused_address(), "host-interface": f"vt{number}",
        }
        self.document["vtep"].append({"udp-port": 4789, "mac": None, **vtep})
        return "POST", "/v1/vteps", vtep

    def remove_vtep(self):
        used = {network["vtep"] for network in self.document["network"]}
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
