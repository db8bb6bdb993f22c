"""The switch under test: started as a user starts it, asked as a user asks it, stopped and searched for remains."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .config import Config
from .netns import Namespace, run
from .wait import until

ROOT = Path(__file__).resolve().parents[4]
BINARY = Path(
    os.environ.get("VSWITCH_BINARY")
    or Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target", "release", "vswitch")
)

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One scrape."""

    def __init__(self, text: str):
        self.text = text
        self.samples: list[tuple[str, dict[str, str], float]] = []
        for line in text.splitlines():
            match = _SAMPLE.match(line)
            if match:
                labels = dict(_LABEL.findall(match["labels"] or ""))
                self.samples.append((match["name"], labels, float(match["value"])))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name whose labels contain the given ones; 0 if there are none."""
        return sum(v for n, have, v in self.samples if n == name and labels.items() <= have.items())

    def has(self, name: str) -> bool:
        return any(n == name for n, _, _ in self.samples)

    def drops(self) -> dict[str, int]:
        """Frames dropped so far, by reason, over every port and network; without the zeros."""
        found: dict[str, int] = {}
        for name, labels, value in self.samples:
            if name == "vswitch_drops_total" and value:
                found[labels["reason"]] = found.get(labels["reason"], 0) + int(value)
        return found


@dataclass(frozen=True)
class Remains:
    """What a switch may leave on the machine. Compared before and after."""

    files: frozenset[str]
    interfaces: frozenset[str]

    @staticmethod
    def of(namespace: Namespace) -> "Remains":
        places = (Path("/dev/hugepages"), Path("/run/dpdk"), Path("/dev/shm"))
        files = (f for place in places if place.exists() for f in place.rglob("*"))
        mine = frozenset(str(f) for f in files if not Remains.of_another_process(f))
        return Remains(mine, frozenset(namespace.interfaces()))

    @staticmethod
    def of_another_process(path: Path) -> bool:
        """A switch that starts beside the tests has a folder named after its process for a moment."""
        owner = re.match(r"/run/dpdk/vswitch-(\d+)", str(path))
        return owner is not None and Path("/proc", owner[1]).exists()


@dataclass(frozen=True)
class Held:
    """What a process holds of the machine."""

    descriptors: int
    own_kib: int
    """Memory that its allocator has: RssAnon."""
    dpdk_kib: int
    """Memory that DPDK has touched: RssShmem, without hugepages."""


def threads_of(pid: int) -> str:
    """What every thread of a process is doing in the kernel."""
    told = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for name in ("comm", "wchan", "stack"):
            try:
                told.append((task / name).read_text().strip())
            except OSError:  # the thread is gone, or the kernel does not tell
                continue
    return "\n".join(told)


class Switch:
    """One `vswitch run` in a namespace, with a configuration of its own."""

    def __init__(self, namespace: Namespace, config: Config, directory: Path):
        self.namespace = namespace
        self.config = config
        self.directory = directory
        self.socket = directory / "vswitch.sock"
        self.config_file = directory / "vswitch.toml"
        self.state = directory / "state"
        self.log_file = directory / "vswitch.log"
        self.idle_mbufs = 0.0
        self.process: subprocess.Popen | None = None
        self.over = False
        """Stopped or killed by the test. A switch that is not over at the end of a test must be alive."""
        self.outside: tuple[str, ...] = ()
        """What runs the process that enters the namespace: a command that ends in an exec of its arguments."""
        self.inside: tuple[str, ...] = ()
        """What runs the switch in its namespace."""
        self.binary = BINARY
        self.is_edited = False
        """The configuration file was changed by hand, and is not to be written again."""
        self._before: Remains | None = None

    # --- life -------------------------------------------------------------------------------

    def write_config(self) -> Path:
        if not self.is_edited:
            self.config_file.write_text(self.config.render(self.socket))
        return self.config_file

    def command(self, *arguments: str) -> list[str]:
        """The argument list of this switch's binary, in its surroundings."""
        return [*self.outside, *self.namespace.command(*self.inside, str(self.binary), *arguments)]

    def spawn(self) -> subprocess.Popen:
        """Starts the process and returns at once."""
        self.write_config()
        self._before = Remains.of(self.namespace)
        self.over = False
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                self.command("run", "--config", str(self.config_file), "--state", str(self.state)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        return self.process

    def start(self) -> "Switch":
        """Starts the switch, waits until it answers, and notes how many mbufs it holds when idle."""
        process = self.spawn()

        def answers() -> bool:
            assert process.poll() is None, f"the switch ended with status {process.returncode}:\n{self.log()}"
            return self.scrape() is not None

        until("metrics answer", answers, seconds=15, every=0.05)
        self.idle_mbufs = self._settled_mbufs()
        return self

    def _settled_mbufs(self) -> float:
        """`vswitch_mbufs_in_use` once three scrapes in a row agree: rings fill during the first turns."""
        seen: list[float] = []

        def settled() -> bool:
            seen.append(self.metric("vswitch_mbufs_in_use"))
            return len(seen) >= 3 and len(set(seen[-3:])) == 1

        until("mbufs in use settle", settled, every=0.05)
        return seen[-1]

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, how: signal.Signals = signal.SIGTERM, *, within: float = 1.0) -> None:
        """Stops the switch as a user would; it must end in time, well, and leave nothing."""
        assert self.process is not None and self._before is not None
        assert self.running, f"the switch ended by itself with status {self.process.returncode}:\n{self.log()}"
        self.over = True
        asked = time.monotonic()
        self.process.send_signal(how)
        where = ""
        try:
            status = self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            where = threads_of(self.process.pid)
            try:
                status = self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"still runs 15 s after {how.name}, in\n{where}\n{self.log()}") from None
        took = time.monotonic() - asked
        assert status == 0, f"status {status} after {how.name}:\n{self.log()}"
        assert took <= within, f"took {took:.2f} s to stop after {how.name}; was in\n{where}\n{self.log()}"
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        """No TAP, no socket, no hugepage or run-time file that was not there before."""
        assert self._before is not None
        now = Remains.of(self.namespace)
        # Interfaces only come and go with the namespace's peers too; what counts is what is new.
        assert now.interfaces <= self._before.interfaces, f"left: {now.interfaces - self._before.interfaces}"
        assert now.files <= self._before.files, f"left: {now.files - self._before.files}"
        assert not self.socket.exists(), f"left: {self.socket}"

    def refuses(self) -> tuple[int, str]:
        """Runs a switch that is not to start: status and everything it said. It must end by itself, leaving nothing."""
        self.over = True
        self.write_config()
        self._before = Remains.of(self.namespace)
        done = run(
            *self.command("run", "--config", str(self.config_file), "--state", str(self.state)), check=False, timeout=20
        )
        said = done.stdout + done.stderr
        self.log_file.write_text(said)
        assert done.returncode > 0, f"status {done.returncode}: {said}"
        assert "panicked at" not in said, said
        self.assert_nothing_left()
        return done.returncode, said

    def kill(self) -> None:
        """SIGKILL; for tests of what follows, and for clearing up."""
        self.over = True
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    # --- questions --------------------------------------------------------------------------

    def scrape(self) -> Metrics | None:
        """One scrape, or `None` when nothing answers (yet)."""
        host, port = self.config.metrics.rsplit(":", 1)

        def get() -> bytes | None:
            try:
                with socket.create_connection((host, int(port)), timeout=2) as connection:
                    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: vswitch\r\nConnection: close\r\n\r\n")
                    answer = b""
                    while chunk := connection.recv(65536):
                        answer += chunk
                    return answer
            except OSError:
                return None

        answer = self.namespace.call(get)
        if not answer or not answer.startswith(b"HTTP/1.1 200"):
            return None
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"chunked" not in head.lower(), "the test bed reads plain bodies only"
        return Metrics(body.decode())

    def metrics(self) -> Metrics:
        scraped = self.scrape()
        assert scraped is not None, f"metrics do not answer:\n{self.log()}"
        return scraped

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics().value(name, **labels)

    def drops(self) -> dict[str, int]:
        return self.metrics().drops()

    def show(self, what: str) -> list[dict]:
        """What `vswitch show WHAT --json` prints."""
        return json.loads(self.show_text(what, "--json"))

    def show_text(self, what: str, *options: str) -> str:
        """What `vswitch show WHAT` prints."""
        return run(str(BINARY), "show", what, *options, "--socket", str(self.socket)).stdout

    def fdb(self, network: str) -> dict[str, dict]:
        """The FDB entries of a network, by MAC."""
        return {entry["mac"]: entry for entry in self.show("fdb") if entry["network"] == network}

    def held(self) -> Held:
        """What its process holds now."""
        assert self.process is not None
        of = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (of / "status").read_text().splitlines())
        own, dpdk = (int(status[key].split()[0]) for key in ("RssAnon", "RssShmem"))
        return Held(len(list((of / "fd").iterdir())), own, dpdk)

    # --- the promise at the end of every test --------------------------------------------------

    def verify(self) -> None:
        """Alive, no panic, every frame accounted for, and no mbuf kept."""
        assert self.running, f"the switch ended by itself:\n{self.log()}"
        assert "panicked at" not in self.log(), f"a panic in the log:\n{self.log()}"
        until(
            "vswitch_unaccounted_packets is 0", lambda: self.metric("vswitch_unaccounted_packets") == 0, seconds=1
        )
        until(
            f"vswitch_mbufs_in_use returns to its idle level of {self.idle_mbufs:.0f}",
            lambda: self.metric("vswitch_mbufs_in_use") <= self.idle_mbufs + self._mbufs_kept(),
        )

    def _mbufs_kept(self) -> int:
        """What drivers may keep beyond the idle level: AF_XDP frees sent buffers when it next sends."""
        burst = 64
        return sum(burst * (port.queues or 1) for port in self.config.ports if port.device.startswith("net_af_xdp"))
