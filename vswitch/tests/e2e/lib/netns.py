"""Network namespaces, and the veth pairs between them.

A `Namespace` is made empty: IPv6 off (its multicast would blur every count of frames), loopback
up. Commands run in it through `ip netns exec`; sockets are opened in it by `call`, on a thread
that enters the namespace and ends: a socket stays where it was made.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from pathlib import Path
from typing import Callable, TypeVar

T = TypeVar("T")

FAMILY = "vse"
"""All our namespaces are called FAMILY<pid>-<laboratory>-<label>."""

_CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(AssertionError):
    """A command of the test bed failed: what it was, and what it said."""


def run(*command: str, check: bool = True, timeout: float = 30, stdin: str | None = None) -> subprocess.CompletedProcess:
    """Runs a command to its end; its output is text. Fails with everything it printed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, input=stdin, check=False
    )
    if check and done.returncode != 0:
        raise CommandFailed(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def enter(name: str) -> None:
    """Takes the calling thread into a namespace, for good."""
    with open(f"/run/netns/{name}", "rb") as handle:
        if _libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"setns {name}")


class Namespace:
    """One network namespace. `name` is the system's, `label` the one a test reads."""

    def __init__(self, laboratory: int, label: str):
        self.label = label
        self.name = f"{FAMILY}{os.getpid()}-{laboratory}-{label}"
        run("ip", "netns", "add", self.name)
        for scope in ("all", "default"):
            self.sysctl(f"net/ipv6/conf/{scope}/disable_ipv6", "1")
        self.ip("link set lo up")

    def __repr__(self) -> str:
        return f"<namespace {self.label}>"

    def delete(self) -> None:
        """Removes the namespace, and with it every interface that lives in it."""
        run("ip", "netns", "del", self.name, check=False)

    # --- commands ---------------------------------------------------------------------------

    def command(self, *command: str) -> list[str]:
        """The argument list that runs `command` inside. `ip` execs it: the pid is the command's own."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess:
        return run(*self.command(*command), check=check, timeout=timeout)

    def ip(self, *lines: str) -> None:
        """Carries out lines of `ip` commands in order; the first that fails ends it."""
        run("ip", "-n", self.name, "-batch", "-", stdin="\n".join(lines) + "\n")

    def popen(self, *command: str, **options) -> subprocess.Popen:
        return subprocess.Popen(self.command(*command), **options)

    # --- inside, without a process ----------------------------------------------------------

    def call(self, function: Callable[[], T]) -> T:
        """Calls `function` on a thread of its own that has entered the namespace."""
        outcome: list = []

        def enter_and_call() -> None:
            try:
                enter(self.name)
                outcome.extend((True, function()))
            except BaseException as error:  # handed to the caller, whatever it is
                outcome.extend((False, error))

        thread = threading.Thread(target=enter_and_call)
        thread.start()
        thread.join()
        worked, value = outcome
        if not worked:
            raise value
        return value

    def sysctl(self, path: str, value: str) -> None:
        self.call(lambda: Path("/proc/sys", path).write_text(value))

    def interfaces(self) -> set[str]:
        """Names of the interfaces that live here now."""
        lines = self.call(lambda: Path("/proc/thread-self/net/dev").read_text()).splitlines()[2:]
        return {line.split(":")[0].strip() for line in lines}

    def listens_on(self, tcp_port: int) -> bool:
        """Whether anything accepts TCP connections on the port."""
        wanted = (f":{tcp_port:04X}", "0A")  # 0A: LISTEN, include/net/tcp_states.h
        for table in ("tcp", "tcp6"):
            for line in self.call(lambda t=table: Path(f"/proc/thread-self/net/{t}").read_text()).splitlines()[1:]:
                fields = line.split()
                if fields[1].endswith(wanted[0]) and fields[3] == wanted[1]:
                    return True
        return False

    def mac_of(self, interface: str) -> str:
        return self._link_field(interface, "link/ether")

    def mtu_of(self, interface: str) -> int:
        return int(self._link_field(interface, "mtu"))

    def _link_field(self, interface: str, key: str) -> str:
        words = run("ip", "-n", self.name, "link", "show", "dev", interface).stdout.split()
        return words[words.index(key) + 1]


def veth(
    a: Namespace, a_name: str, b: Namespace, b_name: str, *, mtu: int = 1500, queues: int = 1,
    a_mac: str | None = None, b_mac: str | None = None,
) -> None:
    """Joins two namespaces by a veth pair, both ends up.

    Transmit offloads are off at both ends: a veth hands a frame over with its checksum unfinished
    and its segments unsplit, which nothing but the kernel could read.
    """
    per_queue = f"numtxqueues {queues} numrxqueues {queues}"
    a_address = f"address {a_mac}" if a_mac else ""
    b_address = f"address {b_mac}" if b_mac else ""
    a.ip(
        f"link add {a_name} mtu {mtu} {a_address} {per_queue} type veth "
        f"peer name {b_name} mtu {mtu} {b_address} {per_queue} netns {b.name}",
        f"link set {a_name} up",
    )
    b.ip(f"link set {b_name} up")
    for namespace, name in ((a, a_name), (b, b_name)):
        namespace.run("ethtool", "-K", name, "tx", "off", "gro", "off")


def remove_stale() -> None:
    """Removes the namespaces of runs that no longer live."""
    for name in (entry.name for entry in Path("/run/netns").glob(f"{FAMILY}*-*")):
        pid = name[len(FAMILY):].split("-")[0]
        if pid.isdigit() and int(pid) != os.getpid() and not Path("/proc", pid).exists():
            run("ip", "netns", "del", name, check=False)
