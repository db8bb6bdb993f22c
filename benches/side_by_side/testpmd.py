"""DPDK's own testpmd: in io mode it does nothing with a frame, in macswap mode next to nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from pathlib import Path

from . import frames
from .machine import need_program
from .subject import Counters, Surroundings, Subject, packet_buffers


class Testpmd(Subject):
    """One forwarding core, its default burst; what comes in at one port goes out at the other."""

    BURST = 32
    changes_length = False

    def __init__(self, mode: str):
        self.mode = mode
        self.name = f"testpmd-{mode}"
        self._runtime = Path("/run/dpdk", f"vsb{os.getpid()}-{self.name}")

    def need(self) -> None:
        need_program("dpdk-testpmd", "dpdk-dev")

    def memory_mib(self, case: frames.Case) -> int:
        return packet_buffers(case) * 2432 // (1 << 20) + 32

    def start(self, around: Surroundings) -> None:
        self.process = around.process(self.name, [
            "dpdk-testpmd", "--lcores", f"{around.main_core}@{around.main_core},{around.core}@{around.core}",
            "--main-lcore", str(around.main_core), "--in-memory", "--no-pci", "--file-prefix", self._runtime.name,
            "-m", str(self.memory_mib(around.case)),
            *(argument for device in around.devices for argument in ("--vdev", device)),
            "--", f"--forward-mode={self.mode}", "--nb-cores=1", f"--burst={self.BURST}",
            f"--total-num-mbufs={packet_buffers(around.case)}", "--no-lsc-interrupt",
        ])
        self.process.until("its telemetry answers", lambda: self._asked("/ethdev/list"), 20)
        self.process.until("frames pass", lambda: self.counters().sent_packets, 20)

    def _asked(self, question: str) -> dict | None:
        """What telemetry answers, once testpmd runs."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
                connection.settimeout(2)
                connection.connect(str(self._runtime / "dpdk_telemetry.v2"))
                connection.recv(16_384)  # who it is
                connection.send(question.encode())
                return json.loads(connection.recv(65_536))
        except OSError:
            return None

    def counters(self) -> Counters:
        counters = Counters()
        for port in range(2):
            told = (self._asked(f"/ethdev/stats,{port}") or {}).get("/ethdev/stats") or {}
            counters.add(time.monotonic(), told.get("ipackets", 0), told.get("opackets", 0), told.get("obytes", 0))
        return counters

    def end(self) -> None:
        super().end()
        shutil.rmtree(self._runtime, ignore_errors=True)
