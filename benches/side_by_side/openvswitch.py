"""OVS-DPDK from Debian's package, with daemons of its own: nothing of the system's OVS is touched.

Two ways to forward, and three settings of its flow caches each, because which one is best depends
on the case:

- `normal`: one bridge that learns (action NORMAL), destinations known from `fdb/add`. With a tunnel
  that is two bridges, as its manual shows: the tenants' with a VXLAN port, and the underlay's, which
  has the VTEP's address.
- `static`: the same bridges with one OpenFlow rule for each direction instead of learning.
- `emc`: the exact-match cache, as shipped; `smc`: only the signature-match cache; `nocache`: neither.

Idle flows and MACs are kept: this process is stopped while others measure.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
from pathlib import Path

from . import frames
from .frames import Case
from .machine import Namespace, Trouble, need_program, run
from .subject import Counters, Subject, Surroundings

VSWITCHD = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
MODES = ("normal", "static")
CACHES = {
    "emc": {},
    "smc": {"emc-insert-inv-prob": "0", "smc-enable": "true"},
    "nocache": {"emc-insert-inv-prob": "0"},
}
MOST_MACS = 10_000
MOST_BYTES = 1_518
LONG_SECONDS = 3_600
TUNNEL = "tunnel"
OPENFLOW_PORT = {0: 10, 1: 11, TUNNEL: 12}
"""Asked for, so that rules can be there before the port is."""
_MISSED = re.compile(r"lookups: hit:\d+ missed:(\d+)")
_PORT = re.compile(r"^  port \d+: ", re.MULTILINE)
_COUNTS = re.compile(r"RX packets:(\d+).*TX packets:(\d+).*TX bytes:(\d+)", re.DOTALL)


class OpenVswitch(Subject):
    """One PMD thread."""

    settles_within = 60.0

    def __init__(self, mode: str, cache: str):
        self.mode, self.cache = mode, cache
        self.name = f"ovs-{mode}-{cache}"

    def need(self) -> None:
        need_program("ovs-vsctl", "openvswitch-switch")
        need_program("ovsdb-server", "openvswitch-switch")
        if not VSWITCHD.exists():
            raise Trouble(
                f"{VSWITCHD} is missing (Debian's package openvswitch-switch-dpdk)\n"
                "  help: scripts/setup --benchmarks"
            )

    def cannot(self, case: Case) -> str:
        if self.mode == "static" and case.scenario == "l2":
            return "port to port by one rule is no switching: that is testpmd in io mode"
        if case.macs > MOST_MACS:
            return f"not measured with more than {MOST_MACS:,} MAC pairs: a flow for each pair takes it too long"
        if max(case.sent_bytes(port) for port in range(2)) > MOST_BYTES:
            return f"it drops frames over {MOST_BYTES} bytes: net_pcap lets it set no MTU"
        return ""

    def memory_mib(self, case: Case) -> int:
        # It asks for 262,144 buffers of 2.9 KiB, and takes half as long as that is too much.
        return 192 if case.macs * case.sources < 20_000 else 1024

    # --- life -------------------------------------------------------------------------------

    def start(self, around: Surroundings) -> None:
        case = around.case
        self._folder = around.folder / self.name
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._env = {f"OVS_{kind}DIR": str(self._folder) for kind in ("RUN", "DB", "LOG", "SYSCONF")}
        self.namespace = Namespace(self.name)
        run("ovsdb-tool", "create", str(self._folder / "conf.db"), str(SCHEMA))
        database = f"unix:{self._folder}/db.sock"
        self._database = around.process(f"{self.name}-ovsdb", self.namespace.command(
            "taskset", "-c", str(around.main_core), "ovsdb-server", f"--remote=p{database}",
            str(self._folder / "conf.db"),
        ), self._env)
        self._database.until("it listens", (self._folder / "db.sock").exists, 10)
        self._vsctl("--no-wait", "init")
        self._vsctl("--no-wait", "set", "Open_vSwitch", ".", *(f"other_config:{key}={value}" for key, value in {
            "dpdk-init": "true",
            "dpdk-lcore-mask": hex(1 << around.main_core),
            "pmd-cpu-mask": hex(1 << around.core),
            "dpdk-socket-mem": str(self.memory_mib(case)),
            "dpdk-socket-limit": str(self.memory_mib(case)),
            "dpdk-extra": f"--in-memory --no-pci --no-telemetry --file-prefix {self.namespace.name}",
            "max-idle": str(LONG_SECONDS * 1000),
            "flow-limit": "1000000",
            **CACHES[self.cache],
        }.items()))
        self.process = around.process(self.name, self.namespace.command(
            "taskset", "-c", str(around.main_core), str(VSWITCHD), database, f"--unixctl={self._control}",
        ), self._env)
        self.process.until("it answers", self._control.exists, 20)
        self._make_bridges(case)
        # Without frames yet: every change would make it look at all its flows again.
        self._add_port(around, 1)
        self._introduce(case)
        if self.mode == "static":
            self._make_rules(case)
        self._add_port(around, 0)
        self.process.until("frames pass", lambda: self.counters().sent_packets, 30)

    @property
    def _control(self) -> Path:
        return self._folder / "vswitchd.ctl"

    def _vsctl(self, *words: str) -> None:
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self._env}
        run("ovs-vsctl", "--timeout=20", f"--db=unix:{self._folder}/db.sock", *words, env=env)

    def end(self) -> None:
        super().end()
        if hasattr(self, "_database"):
            self._database.end()
        if hasattr(self, "namespace"):
            shutil.rmtree(Path("/run/dpdk", self.namespace.name), ignore_errors=True)
            self.namespace.delete()
        if hasattr(self, "_folder"):
            shutil.rmtree(self._folder, ignore_errors=True)

    # --- bridges ----------------------------------------------------------------------------

    def _make_bridges(self, case: Case) -> None:
        """`tenants` with the tenants' ports, and for a tunnel `underlay` with the uplink and the VTEP's address."""
        self._uplink = {"l2": None, "encap": 1, "decap": 0, "mixed": 1}[case.scenario]
        self._bridge("tenants", case, "02:00:00:00:00:aa")
        if self._uplink is not None:
            self._bridge("underlay", case, frames.LOCAL_VTEP_MAC)
            self.namespace.ip("address", "add", f"{frames.LOCAL_VTEP}/24", "dev", "underlay")
            self.namespace.ip("link", "set", "underlay", "up")
            self._vsctl(
                "add-port", "tenants", TUNNEL, "--", "set", "interface", TUNNEL, "type=vxlan",
                f"options:remote_ip={frames.REMOTE_VTEP}", f"options:key={frames.VNI}",
                f"options:dst_port={frames.UDP_PORT}", f"ofport_request={OPENFLOW_PORT[TUNNEL]}",
            )
            self._ask("tnl/neigh/aging", str(LONG_SECONDS))
            self._ask("tnl/neigh/set", "underlay", frames.REMOTE_VTEP, frames.REMOTE_VTEP_MAC)

    def _add_port(self, around: Surroundings, port: int) -> None:
        bridge = "underlay" if port == self._uplink else "tenants"
        self._vsctl(
            "add-port", bridge, f"port{port}", "--", "set", "interface", f"port{port}", "type=dpdk",
            f"options:dpdk-devargs={json.dumps(around.devices[port])}", "options:n_rxq=1",
            f"ofport_request={OPENFLOW_PORT[port]}",
        )

    def _bridge(self, name: str, case: Case, mac: str) -> None:
        self._vsctl(
            "add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail-mode=standalone",
            f'other-config:hwaddr="{mac}"', f"other-config:mac-table-size={max(8192, 4 * case.macs)}",
            f"other-config:mac-aging-time={LONG_SECONDS}",
        )

    def _make_rules(self, case: Case) -> None:
        rules: dict[str, list[str]] = {"tenants": [], "underlay": []}
        tenant, uplink = OPENFLOW_PORT[1 - self._uplink], OPENFLOW_PORT[self._uplink]
        tunnel = OPENFLOW_PORT[TUNNEL]
        if case.scenario in ("encap", "mixed"):
            rules["tenants"].append(f"in_port={tenant},actions=output:{tunnel}")
            rules["underlay"].append(f"in_port=LOCAL,actions=output:{uplink}")
        if case.scenario in ("decap", "mixed"):
            rules["tenants"].append(f"in_port={tunnel},actions=output:{tenant}")
            rules["underlay"].append(f"in_port={uplink},actions=LOCAL")
        for bridge, flows in rules.items():
            file = self._folder / f"{bridge}.flows"
            file.write_text("".join(f"{flow}\n" for flow in flows))
            env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self._env}
            run("ovs-ofctl", "replace-flows", f"unix:{self._folder}/{bridge}.mgmt", str(file), env=env)

    def _introduce(self, case: Case) -> None:
        """Makes the destinations known. In scenario mixed both sides learn from each other's frames."""
        if self.mode == "static" or case.scenario == "mixed":
            return
        mac, home = {
            "l2": (frames.remote_mac, "port1"),
            "encap": (frames.remote_mac, TUNNEL),
            "decap": (frames.local_mac, "port1"),
        }[case.scenario]
        self._ask_all([("fdb/add", "tenants", home, "0", mac(number)) for number in range(case.macs)])
        if case.scenario == "encap":
            self._ask("fdb/add", "underlay", "port1", "0", frames.REMOTE_VTEP_MAC)

    # --- questions --------------------------------------------------------------------------

    def _ask(self, method: str, *arguments: str) -> str:
        """What `ovs-appctl` would be told."""
        return self._ask_all([(method, *arguments)])[0]

    def _ask_all(self, questions: list[tuple[str, ...]]) -> list[str]:
        """Many questions on one connection, as JSON-RPC; the answers come in order."""
        answers: list[str] = []
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self._control))
            for first in range(0, len(questions), 200):
                batch = questions[first:first + 200]
                connection.sendall("".join(
                    json.dumps({"id": number, "method": method, "params": arguments})
                    for number, (method, *arguments) in enumerate(batch)
                ).encode())
                answers += self._answers(connection, batch)
        return answers

    def _answers(self, connection: socket.socket, questions: list[tuple[str, ...]]) -> list[str]:
        decoder, text, answers = json.JSONDecoder(), "", []
        while len(answers) < len(questions):
            try:
                answer, end = decoder.raw_decode(text)
            except ValueError:  # not all of it has come yet
                chunk = connection.recv(65_536)
                if not chunk:
                    raise Trouble(f"it does not answer {questions[0][0]}\n{self.process.tail()}") from None
                text += chunk.decode()
                continue
            text = text[end:]
            if answer.get("error"):
                raise Trouble(f"it refuses {' '.join(questions[len(answers)])}: {answer['error']}")
            answers.append(answer.get("result") or "")
        return answers

    def counters(self) -> Counters:
        counters, now = Counters(), time.monotonic()
        told = self._ask("dpctl/show", "-s", "netdev@ovs-netdev")
        if missed := _MISSED.search(told):
            counters.upcalls = int(missed[1])
        ports = {block.split(None, 1)[0]: _COUNTS.search(block) for block in _PORT.split(told)[1:]}
        for port in range(2):
            found = ports.get(f"port{port}")
            received, sent, sent_bytes = map(int, found.groups() if found else (0, 0, 0))
            counters.add(now, received, sent, sent_bytes)
        return counters
