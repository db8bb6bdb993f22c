"""This switch as it ships: learning, ageing, all counters and the conservation check are on.

Destinations are static MACs, as somebody who orchestrates would configure them; sources are
learned. In scenario mixed nothing is static: each side learns the other's stations as they speak.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections import Counter
from pathlib import Path

from . import frames, poller
from .frames import Case
from .machine import ROOT, Namespace, Trouble, run
from .subject import Capture, Counters, Subject, Surroundings, packet_buffers

METRICS = ("127.0.0.1", 9144)
_SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$', re.MULTILINE)
_PORT = re.compile(r'\bport="(\d)"')


class Vswitch(Subject):
    """One worker. Several binaries can be measured beside each other."""

    def __init__(self, name: str, binary: Path):
        self.name = name
        self.binary = binary

    def need(self) -> None:
        if not self.binary.exists():
            raise Trouble(f"{self.binary} is missing\n  help: cargo build --release")

    def version(self) -> str:
        return run(str(self.binary), "--version").strip()

    def memory_mib(self, case: Case) -> int:
        return 64 + -(-packet_buffers(case) * (2048 + 320) // (1 << 20))

    def start(self, around: Surroundings) -> None:
        case = around.case
        self.namespace = Namespace(self.name)
        config = around.folder / f"{self.name}.toml"
        config.write_text(self._config(around, around.folder / f"{self.name}.sock"))
        self.process = around.process(
            self.name, self.namespace.command(str(self.binary), "run", "--config", str(config), "--state", str(around.folder / f"{self.name}.state"))
        )
        self.process.until("its metrics answer", lambda: self._scrape() is not None, 60)
        if case.scenario != "l2":
            self.namespace.ip(
                "neigh", "replace", frames.REMOTE_VTEP, "lladdr", frames.REMOTE_VTEP_MAC,
                "nud", "permanent", "dev", "vtep0",
            )
        stations = 2 * case.macs
        self.process.until(
            f"all {stations:,} MACs are known", lambda: self._metrics()["vswitch_fdb_entries"] == stations, 60
        )

    def _config(self, around: Surroundings, api: Path) -> str:
        case = around.case
        lines = [
            "[dpdk]", f"worker-cores = [{around.core}]", f"main-core = {around.main_core}",
            f"memory-mib = {self.memory_mib(case)}", f"packet-buffers = {packet_buffers(case)}",
            "[api]", f'socket = "{api}"', f'metrics = "{METRICS[0]}:{METRICS[1]}"',
        ]
        uplink = {"l2": None, "encap": 1, "decap": 0, "mixed": 1}[case.scenario]
        for port, device in enumerate(around.devices):
            lines += ["[[port]]", f'name = "{port}"', f'device = "{device}"']
            if port == uplink:
                lines.append(f"mtu = {1500 + frames.OUTER_BYTES}")
        if uplink is not None:
            lines += [
                "[[vtep]]", 'name = "fabric"', f'port = "{uplink}"', f'address = "{frames.LOCAL_VTEP}/24"',
                'host-interface = "vtep0"', f"udp-port = {frames.UDP_PORT}", f'mac = "{frames.LOCAL_VTEP_MAC}"',
            ]
        lines += ["[[network]]", 'name = "blue"', f"vni = {frames.VNI}"]
        if uplink is not None:
            lines += ['vtep = "fabric"', f'remote-vteps = ["{frames.REMOTE_VTEP}"]']
        for port in range(2):
            if port != uplink:
                lines += ["[[network.port]]", f'port = "{port}"']
        destination, home = {
            "l2": (frames.remote_mac, 'port = "1"'),
            "encap": (frames.remote_mac, f'remote-vtep = "{frames.REMOTE_VTEP}"'),
            "decap": (frames.local_mac, 'port = "1"'),
            "mixed": (None, None),
        }[case.scenario]
        for number in range(case.macs if destination else 0):
            lines += ["[[network.mac]]", f'address = "{destination(number)}"', home]
        return "\n".join(lines) + "\n"

    def _scrape(self) -> str | None:
        def get() -> str | None:
            try:
                with socket.create_connection(METRICS, timeout=2) as connection:
                    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: vswitch\r\nConnection: close\r\n\r\n")
                    answer = b"".join(iter(lambda: connection.recv(65_536), b""))
            except OSError:
                return None
            return answer.decode() if answer.startswith(b"HTTP/1.1 200") else None

        return self.namespace.call(get)

    def _metrics(self) -> Counter:
        """The sums over all labels, and of what has a label `port` also each port's own."""
        scraped = self._scrape()
        if scraped is None:
            raise Trouble(f"its metrics do not answer\n{self.process.tail()}")
        sums: Counter = Counter()
        for name, labels, value in _SAMPLE.findall(scraped):
            sums[name] += float(value)
            if port := _PORT.search(labels):
                sums[name, int(port[1])] += float(value)
        return sums

    def counters(self) -> Counters:
        counters, now = Counters(), time.monotonic()
        metrics = self._metrics()
        for port in range(2):
            counters.add(now, *(int(metrics[f"vswitch_port_{name}_total", port]) for name in (
                "receive_packets", "transmit_packets", "transmit_bytes"
            )))
        counters.unaccounted = int(metrics["vswitch_unaccounted_packets"])
        counters.dropped = counters.unaccounted + int(sum(metrics[name] for name in (
            "vswitch_drops_total", "vswitch_replicated_packets_total", "vswitch_punted_packets_total"
        )))
        return counters

    def end(self) -> None:
        super().end()
        if hasattr(self, "namespace"):
            self.namespace.delete()


class AskedVswitch(Vswitch):
    """The same, while a client of its API is at work on the main core."""

    client: str
    """The module of the client."""
    prefix: str
    """What the subject's name begins with."""

    def __init__(self, binary: Path):
        super().__init__(f"{self.prefix}-vswitch", binary)

    def start(self, around: Surroundings) -> None:
        super().start(around)
        socket_path = around.folder / f"{self.name}.sock"
        module = f"side_by_side.{self.client}"
        command = ["taskset", "-c", str(around.main_core), sys.executable, "-m", module, str(socket_path)]
        self.asker = around.process(f"{self.name}-{self.client}", command, {"PYTHONPATH": str(ROOT / "benches")})

    def counters(self) -> Counters:
        """With those of its client, without which it would be measured alone."""
        counters = super().counters()
        self.asker.must_live(f"its {self.client}")
        return counters

    def end(self) -> None:
        if hasattr(self, "asker"):
            self.asker.end()
        super().end()


class PolledVswitch(AskedVswitch):
    """Asked everything ten times a second; a sample in which it was answered less often is none."""

    client, prefix = "poller", "polled"

    def counters(self) -> Counters:
        counters = super().counters()
        counters.answered = len(self.asker.log.read_bytes().splitlines())
        return counters

    def beside(self, before: Counters, after: Counters) -> dict[str, float]:
        seconds, answered = after.when[0] - before.when[0], after.answered - before.answered
        # One round may be on its way at the end.
        if answered < int(seconds * poller.TIMES_PER_SECOND) - 1:
            asked = poller.TIMES_PER_SECOND
            raise Trouble(f"its client was answered {answered} times in {seconds:.1f} s, not {asked} times a second")
        return {"rounds of questions/s answered": answered / seconds}


class CapturedVswitch(AskedVswitch):
    """With a capture of everything, read slowly. A sample during which it did not run all the time is none."""

    client, prefix = "capturer", "captured"

    def start(self, around: Surroundings) -> None:
        super().start(around)
        self.api = around.folder / f"{self.name}.sock"
        self.asker.until("its capture runs", self._captures, 10)

    def resume(self) -> None:
        super().resume()
        # After a long pause the switch lets go of the client, which asks again.
        self.asker.until("its capture runs again", self._captures, 5)

    def counters(self) -> Counters:
        counters = super().counters()
        rows = self._captures()
        if len(rows) != 1:
            raise Trouble(f"{len(rows)} captures run, so its rate says nothing\n{self.asker.tail()}")
        missed = rows[0]["missed_no_room"] + rows[0]["missed_over_budget"]
        lines = self.asker.log.read_text().split("\n")[:-1]
        counters.capture = Capture(rows[0]["id"], missed, int(lines[-1]) if lines else 0)
        return counters

    def beside(self, before: Counters, after: Counters) -> dict[str, float]:
        first, last = before.capture, after.capture
        seconds = after.when[0] - before.when[0]
        if first is None or last is None or first.number != last.number:
            raise Trouble("its capture ended within the sample, so its rate says nothing")
        missed, read = last.missed - first.missed, last.read_bytes - first.read_bytes
        if missed <= 0 or read <= 0:
            raise Trouble(f"its capture missed {missed:,} frames and {read:,} bytes were read: it was not at work")
        return {"million frames/s missed": missed / seconds / 1e6, "MB/s of the capture read": read / seconds / 1e6}

    def _captures(self) -> list[dict]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            try:
                connection.connect(str(self.api))
                connection.sendall(b"GET /v1/captures HTTP/1.1\r\nHost: vswitch\r\nConnection: close\r\n\r\n")
                head, _, body = b"".join(iter(lambda: connection.recv(65_536), b"")).partition(b"\r\n\r\n")
            except OSError as error:
                raise Trouble(f"GET /v1/captures: {error}") from error
        if not head.startswith(b"HTTP/1.1 200"):
            raise Trouble(f"GET /v1/captures: {head[:40]!r}")
        return json.loads(body)
