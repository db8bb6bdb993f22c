"""The Debian package on a clean Debian machine: installed, at work, upgraded under traffic, removed, purged.

The machine is `lib/machine.py`: apt, dpkg and systemd are real, so the unit's sandbox, its capabilities and its
watchdog are, too. `packaging/build-deb` makes the packages from the release binary.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

import pytest
from lib.config import Config
from lib.lab import Lab
from lib.machine import Machine, build_package, fetch_dependencies
from lib.netns import Namespace, run
from lib.ping import ping
from lib.switch import ROOT, Metrics, Switch
from lib.tenant import Tenant
from lib.wait import until

CONFIG = "/etc/vswitch/vswitch.toml"
UNIT = "/lib/systemd/system/vswitch.service"
QUICKSTART = (ROOT / "docs/examples/quickstart.toml").read_text()
HIGHEST_EXPOSURE = 22
"""Tenths, as `systemd-analyze security` counts them. Raise it only with a reason in docs/packaging.md."""


@dataclass(frozen=True)
class Packages:
    """What is built, and its successor."""

    current: Path
    next: Path


@pytest.fixture(scope="module")
def packages(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Both built as a release is, with what they depend on fetched."""
    version = run("dpkg-deb", "--field", str(package), "Version").stdout.strip()
    fetch_dependencies(package)
    return Packages(package, build_package(tmp_path_factory.mktemp("next"), "--version", f"{version}+next"))


class World:
    """The quickstart's: a machine with two tenants, and two Linux hosts with the kernel's own VXLAN."""

    def __init__(self, lab: Lab, over: Path | None = None):
        fabric = lab.fabric()
        self.host = lab.namespace("sw")
        fabric.attach(self.host, "up0")
        self.a = lab.local_tenant("ta", "a", "203.0.113.1", "02:00:00:00:00:01")
        self.b = lab.local_tenant("tb", "b", "203.0.113.2", "02:00:00:00:00:02")
        self.remote: dict[str, Tenant] = {}
        addresses = {"h1": "198.51.100.2", "h2": "198.51.100.3"}
        for number, (label, address) in enumerate(addresses.items(), start=1):
            vtep = lab.linux_vtep(fabric, label, f"{address}/24")
            others = ["198.51.100.1", *(other for other in addresses.values() if other != address)]
            for network, vni, tens in (("blue", 100, 1), ("green", 200, 2)):
                vtep.network(vni, others)
                name = f"{label}-{network}"
                tenant = vtep.tenant(
                    lab.namespace(name), vni, f"203.0.113.{tens}{number}", f"02:00:00:00:0{tens}:{tens}{number}"
                )
                self.remote[name] = tenant
        self.machine = lab.keep(Machine(self.host, over))
        self._probe = Switch(self.host, Config(ports=[]), Path("/nonexistent"))

    def metrics(self) -> Metrics:
        return self._probe.metrics()

    def configure(self, text: str = QUICKSTART) -> None:
        """An operator's configuration, for the unit's own socket."""
        text = re.sub(r"^socket = .*\n", "", text, flags=re.M)
        self.machine.write(CONFIG, text)

    def start(self) -> None:
        done = self.machine.run("systemctl", "start", "vswitch", check=False)
        assert done.returncode == 0, self.machine.journal()
        assert self.machine.unit("ActiveState")["ActiveState"] == "active", self.machine.journal()

    def doctor(self) -> str:
        """What root is told, who has nothing to mend."""
        done = self.machine.run("vswitch", "doctor", CONFIG, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def carries_traffic(self) -> None:
        """Every ping of scripts/quickstart."""
        for name in ("h1-blue", "h2-blue"):
            self.a.reaches(self.remote[name])
            self.remote[name].reaches(self.a)
        for name in ("h1-green", "h2-green"):
            self.b.reaches(self.remote[name])
        assert self.a.ping(self.b.address, count=2, wait=0.3) == 0, "another network answered"

    def all_accounted_for(self) -> None:
        metrics = self.metrics()
        assert metrics.has("vswitch_unaccounted_packets")
        assert metrics.value("vswitch_unaccounted_packets") == 0, metrics.drops()
        assert metrics.value("vswitch_port_receive_packets_total") > 0

    def networks(self) -> str:
        return self.machine.run("vswitch", "network", "show").stdout


@pytest.fixture(scope="module")
def tree(packages: Packages) -> Iterator[Path]:
    """What installing the package writes."""
    namespace = Namespace(0, "tree")
    try:
        machine = Machine(namespace)
        try:
            machine.install(packages.current)
        finally:
            written = machine.close(keep=True)
    finally:
        namespace.delete()
    yield written
    shutil.rmtree(written.parent)


@pytest.fixture
def installed(lab: Lab, tree: Path) -> Iterator[World]:
    """A machine with the package, and nothing configured."""
    made = World(lab, tree)
    yield made
    print(made.machine.journal())


# --- a life -------------------------------------------------------------------------------------

MAY_STAY = re.compile(
    r"/var/(cache|log)/|/var/lib/(apt|dpkg|systemd)/|/etc/(passwd|group|shadow|gshadow)-?$|/etc/ld\.so\.cache$|"
    r"/etc/\.pwd\.lock$|/etc/systemd/system/multi-user\.target\.wants$|/(root|tmp|var/tmp)/"
)
"""What the system writes about any package: databases, logs, the system user."""


def files(machine: Machine) -> set[str]:
    return set(machine.run("find", "/", "-xdev", "-not", "-type", "d").stdout.splitlines())


def folders(machine: Machine) -> set[str]:
    return set(machine.run("find", "/", "-xdev", "-type", "d").stdout.splitlines())


def test_installed_upgraded_under_traffic_removed_and_purged(lab: Lab, packages: Packages) -> None:
    world = World(lab)
    machine = world.machine
    before = files(machine) | folders(machine)

    # Installed and not configured: enabled, and no failure.
    machine.install(packages.current)
    found = machine.unit("ActiveState", "UnitFileState", "ConditionResult", "Result")
    assert found == {
        "ActiveState": "inactive", "UnitFileState": "enabled", "ConditionResult": "no", "Result": "success"
    }
    assert machine.run("dpkg", "--verify", "vswitch").stdout == ""
    assert machine.run("vswitch", "check", "/usr/share/doc/vswitch/examples/bare-metal.toml").returncode == 0

    # Configured: the quickstart's traffic, and a network made while it runs. Before the first start nothing is wrong,
    # though nobody has made the directories of the service yet.
    world.configure()
    said = world.doctor()
    assert "not as the service" in said, said
    as_service = ("User=vswitch", "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW", "LimitMEMLOCK=infinity", "RuntimeDirectory=vswitch",
                  "RuntimeDirectoryMode=0750", "RuntimeDirectoryPreserve=yes", "StateDirectory=vswitch", "StateDirectoryMode=0750")
    # Without --pipe and --wait, which need a message bus.
    machine.run("systemd-run", "--unit=look", *(f"--property={line}" for line in as_service), "vswitch", "doctor", CONFIG)
    until("it has looked", lambda: " ok\n" in machine.journal("look"), seconds=10)
    assert "\n0 problems" in machine.journal("look"), machine.journal("look")
    world.start()
    world.carries_traffic()
    machine.run("vswitch", "network", "create", "red", "--vni", "300", "--vtep", "fabric")
    machine.run("vswitch", "mac", "add", "blue", "02:00:00:00:00:99", "--remote-vtep", "198.51.100.3")
    networks = world.networks()
    assert "red" in networks
    world.all_accounted_for()

    # Upgraded under traffic: another process with the same configuration.
    first = machine.unit("MainPID")["MainPID"]
    traffic = Traffic(world.a, world.remote["h1-blue"])
    until("traffic flows", lambda: traffic.answered > 10)
    machine.install(packages.next)
    assert "+next" in machine.run("dpkg-query", "--show", "vswitch").stdout
    assert machine.unit("ActiveState")["ActiveState"] == "active", machine.journal()
    second = machine.unit("MainPID")["MainPID"]
    assert second not in (first, "0")
    silence = traffic.stop()
    assert silence < 5, f"nothing was answered for {silence:.1f} s"
    assert "red" in world.networks()
    assert "02:00:00:00:00:99" in machine.run("vswitch", "network", "show", "blue").stdout
    assert "starting with the state in /var/lib/vswitch/" in machine.journal()
    world.carries_traffic()
    world.all_accounted_for()

    # Stopped: nothing is wrong, and what was changed is seen.
    machine.run("systemctl", "stop", "vswitch")
    assert not machine.path("/run/vswitch").exists()
    assert "which was changed since" in world.doctor()
    world.start()

    # Removed: the service is over, and what is the operator's stays.
    machine.apt("remove", "vswitch")
    assert not machine.path("/usr/bin/vswitch").exists()
    assert machine.path(CONFIG).exists()
    states = list(machine.path("/var/lib/vswitch").glob("*/state.toml"))
    assert len(states) == 1 and "red" in states[0].read_text()
    assert world.host.interfaces() == {"lo", "up0", "ta", "tb"}, "the host interface is still there"
    assert not machine.path("/run/vswitch").exists()

    # Installed again: as if nothing had been.
    machine.install(packages.current)
    until("it runs again", lambda: machine.unit("ActiveState")["ActiveState"] == "active", seconds=10)
    assert "red" in world.networks()
    world.carries_traffic()
    world.all_accounted_for()

    # Purged: nothing is left.
    machine.apt("purge", "--autoremove", "vswitch")
    left = {path for path in (files(machine) | folders(machine)) - before if not MAY_STAY.search(path)}
    assert left == set()


class Traffic:
    """Echo requests from one tenant to another, twenty a second, until it is stopped."""

    def __init__(self, source: Tenant, target: Tenant):
        self.answered = 0
        self._longest = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(source, target.address))
        self._thread.start()

    def _run(self, source: Tenant, address: str) -> None:
        last = time.monotonic()
        while not self._over.is_set():
            got = ping(source.namespace, address, count=1, wait=0.05)
            now = time.monotonic()
            if got:
                self.answered += 1
                self._longest = max(self._longest, now - last)
                last = now
            self._over.wait(0.02)
        self._longest = max(self._longest, time.monotonic() - last)

    def stop(self) -> float:
        """The longest time in seconds without an answer."""
        self._over.set()
        self._thread.join()
        return self._longest


# --- what the unit may do ---------------------------------------------------------------------------


def status_of(machine: Machine) -> dict[str, str]:
    """/proc/PID/status of the service."""
    pid = machine.pid_outside(int(machine.unit("MainPID")["MainPID"]))
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, value in (line.split(":", 1) for line in lines)}


def test_lintian_has_nothing_to_say(packages: Packages) -> None:
    done = run("lintian", "--allow-root", "--fail-on=error,warning", str(packages.current), check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_unit_is_well_formed_and_exposes_little(installed: World) -> None:
    machine = installed.machine
    done = machine.run("systemd-analyze", "verify", "--man=no", UNIT, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    done = machine.run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={HIGHEST_EXPOSURE}", UNIT, check=False
    )
    assert done.returncode == 0, done.stdout
    installed.configure()
    installed.start()
    installed.carries_traffic()
    status = status_of(machine)
    user = machine.run("id", "--user", "vswitch").stdout.strip()
    assert status["Uid"].split() == [user] * 4
    capabilities = 1 << 12 | 1 << 13  # CAP_NET_ADMIN and CAP_NET_RAW (capabilities(7))
    for key in ("CapBnd", "CapEff", "CapPrm", "CapAmb"):
        assert int(status[key], 16) == capabilities, (key, status[key])
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    journal = machine.journal()
    assert not re.search("WARN|ERROR|denied|not permitted", journal), journal
    installed.all_accounted_for()


@pytest.mark.parametrize(
    "line, said",
    [
        ("CapabilityBoundingSet=~CAP_NET_ADMIN", "lacks CAP_NET_ADMIN"),
        ("CapabilityBoundingSet=~CAP_NET_RAW", "lacks CAP_NET_RAW"),
        ("DeviceAllow=", "not permitted to create a TAP"),
        ("RestrictAddressFamilies=~AF_PACKET", "net_af_packet"),
    ],
)
def test_less_would_not_work(installed: World, line: str, said: str) -> None:
    """Each privilege is there because the switch does not start without it."""
    machine = installed.machine
    drop_in(machine, "less", f"[Service]\nRestart=no\n{line}\n")
    installed.configure()
    done = machine.run("systemctl", "start", "vswitch", check=False)
    assert done.returncode != 0
    assert said in machine.journal()
    assert machine.unit("Result")["Result"] == "exit-code"


def drop_in(machine: Machine, name: str, text: str) -> None:
    machine.write(f"/etc/systemd/system/vswitch.service.d/{name}.conf", text)
    machine.run("systemctl", "daemon-reload")


def may_raise_limits() -> bool:
    """Whether this machine's root, and so the tested machine's, may raise a limit (CAP_SYS_RESOURCE)."""
    effective = re.search(r"^CapEff:\s*(\w+)$", Path("/proc/self/status").read_text(), re.M)
    return effective is not None and int(effective[1], 16) >> 24 & 1 == 1


def test_af_xdp_works_with_its_drop_in(installed: World) -> None:
    """Without CAP_SYS_RESOURCE, systemd cannot carry the unit's LimitMEMLOCK=infinity out. Then this shows that the
    limit is all that the drop-in lacks, and goes on with CAP_IPC_LOCK in its place; that the limit alone is enough is
    shown by the unit tests of doctor/permissions.rs only."""
    machine = installed.machine
    drop_in(machine, "af-xdp", machine.path("/usr/share/doc/vswitch/examples/af-xdp.conf").read_text())
    text = QUICKSTART.replace("net_af_packet1,iface=ta", "net_af_xdp0,iface=ta")
    assert text != QUICKSTART
    installed.configure(text)
    if not may_raise_limits():
        drop_in(machine, "once", "[Service]\nRestart=no\n")
        assert machine.run("systemctl", "start", "vswitch", check=False).returncode != 0
        journal = machine.journal()
        assert "LimitMEMLOCK=infinity" in journal and "CAP_" not in journal, journal
        lifted = "CapabilityBoundingSet=CAP_IPC_LOCK\nAmbientCapabilities=CAP_IPC_LOCK\n"
        drop_in(machine, "memlock", f"[Service]\n{lifted}")
    installed.start()
    installed.carries_traffic()
    installed.all_accounted_for()
    machine.run("systemctl", "stop", "vswitch")
    assert "xdp" not in run("ip", "-n", installed.host.name, "link", "show", "dev", "ta").stdout, "a program is left"


def test_members_of_the_group_may_ask(installed: World) -> None:
    machine = installed.machine
    machine.run("useradd", "--groups", "vswitch", "operator1")
    machine.run("useradd", "stranger")
    # Its own group is what the socket has anyway; to name it is no error.
    installed.configure(QUICKSTART.replace("[api]\n", '[api]\ngroup = "vswitch"\n'))
    installed.start()
    ask = lambda who: machine.run("setpriv", f"--reuid={who}", f"--regid={who}", "--init-groups", "vswitch", "show", "ports", check=False)
    assert ask("operator1").returncode == 0
    refused = ask("stranger")
    assert refused.returncode == 1 and "ermission" in refused.stderr, refused.stderr


# --- what systemd asks of a service -------------------------------------------------------------------


def test_a_reload_applies_the_file(installed: World) -> None:
    machine = installed.machine
    installed.configure()
    installed.start()
    installed.carries_traffic()
    pid = machine.unit("MainPID")["MainPID"]
    installed.configure(QUICKSTART + '\n[[network]]\nname = "red"\nvni = 300\n')
    machine.run("systemctl", "reload", "vswitch")
    assert "red" in installed.networks()
    installed.configure(QUICKSTART.replace("vni = 200", "vni = 0"))
    assert machine.run("systemctl", "reload", "vswitch", check=False).returncode != 0
    assert "vni" in machine.journal() and "red" in installed.networks()
    assert machine.unit("MainPID", "ActiveState") == {"MainPID": pid, "ActiveState": "active"}
    installed.carries_traffic()
    installed.all_accounted_for()


def test_a_wrong_configuration_is_said_once(installed: World) -> None:
    machine = installed.machine
    installed.configure(QUICKSTART.replace("vni = 200", "vni = 0"))
    assert machine.run("systemctl", "start", "vswitch", check=False).returncode != 0
    found = machine.unit("ActiveState", "ExecMainStatus", "NRestarts")
    assert found == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    assert f"{CONFIG}:" in machine.journal()


_PTRACE_SEIZE, _PTRACE_INTERRUPT = 0x4206, 0x4207
_WALL = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def stop_thread(tid: int) -> threading.Thread:
    """Stops one thread of a process, as nothing but a debugger can, until it is killed. The debugger is a thread of
    ours, which ends with it."""
    failed: list[int] = []
    stopped = threading.Event()

    def debug() -> None:
        for request in (_PTRACE_SEIZE, _PTRACE_INTERRUPT):
            if _libc.ptrace(request, tid, None, None) != 0:
                failed.append(ctypes.get_errno())
        stopped.set()
        while not failed:
            status = os.waitpid(tid, _WALL)[1]
            if os.WIFSIGNALED(status) or os.WIFEXITED(status):
                break

    thread = threading.Thread(target=debug)
    thread.start()
    stopped.wait()
    assert not failed, f"ptrace of {tid}: {os.strerror(failed[0])}"
    return thread


@pytest.mark.parametrize("who", ["worker", "control thread"])
def test_who_hangs_is_found_by_the_watchdog(installed: World, who: str) -> None:
    machine = installed.machine
    drop_in(machine, "watchdog", "[Service]\nWatchdogSec=3\n")
    installed.configure()
    installed.start()
    installed.carries_traffic()
    assert "workers: 1" in machine.unit("StatusText")["StatusText"]
    time.sleep(4)
    before = machine.unit("MainPID", "NRestarts")
    assert before["NRestarts"] == "0", "the watchdog bit a switch that is well"

    pid = machine.pid_outside(int(before["MainPID"]))
    tid = pid if who == "control thread" else worker_of(pid)
    debugger = stop_thread(tid)
    if who == "worker":
        until("it is said", lambda: "does not turn" in machine.unit("StatusText")["StatusText"], seconds=4)
    until("the switch is restarted", lambda: machine.unit("NRestarts")["NRestarts"] == "1", seconds=10, every=0.2)
    debugger.join(timeout=5)
    assert "Watchdog timeout" in machine.journal()
    until("it runs", lambda: machine.unit("ActiveState")["ActiveState"] == "active", seconds=10)
    installed.carries_traffic()
    installed.all_accounted_for()


def worker_of(pid: int) -> int:
    """The thread of the worker on core 1."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        affinity = re.search(r"^Cpus_allowed_list:\s*(\S+)$", (task / "status").read_text(), re.M)
        if affinity and affinity[1] == "1":
            return int(task.name)
    raise AssertionError("no thread is pinned to core 1")
