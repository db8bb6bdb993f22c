"""What the benchmark needs of the machine, and gives back: hugepages, one core, network namespaces."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")

_NR_HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
_FREE_HUGEPAGES = _NR_HUGEPAGES.with_name("free_hugepages")
_CLONE_NEWNET = 0x4000_0000
_libc = ctypes.CDLL(None, use_errno=True)


class Trouble(Exception):
    """Something is missing or wrong; the text says what, and the way out."""


def run(*command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    """Runs a command to its end and returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=False)
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise Trouble(f"`{' '.join(command)}` ended with status {done.returncode}: {said}")
    return done.stdout


def need_root() -> None:
    if os.geteuid() != 0:
        raise Trouble("hugepages and network namespaces need root\n  help: sudo benches/side-by-side")


def need_program(program: str, package: str) -> str:
    """The path of a program, or what installs it."""
    found = shutil.which(program)
    if found is None:
        raise Trouble(f"{program} is missing (Debian's package {package})\n  help: scripts/setup --benchmarks")
    return found


def need_cores(*cores: int) -> None:
    for core in cores:
        if core not in os.sched_getaffinity(0):
            raise Trouble(
                f"core {core} is not there, or not for this process\n"
                f"  help: choose others with --core and --main-core; there are {sorted(os.sched_getaffinity(0))}"
            )
    if len(set(cores)) != len(cores):
        raise Trouble("--core and --main-core are the same\n  help: what is measured needs a core of its own")


# --- hugepages ----------------------------------------------------------------------------------


@contextmanager
def hugepages(each_mib: list[int]) -> Iterator[None]:
    """Pages of 2 MiB for several processes, free until the block ends. Some more for each: EAL rounds up."""
    mib = sum(each + 16 for each in each_mib)
    if not _NR_HUGEPAGES.exists():
        raise Trouble("this kernel has no hugepages of 2 MiB\n  help: use one that is built with CONFIG_HUGETLBFS")
    before = int(_NR_HUGEPAGES.read_text())
    missing, added = (mib + 1) // 2 - int(_FREE_HUGEPAGES.read_text()), 0
    try:
        if missing > 0:
            _NR_HUGEPAGES.write_text(str(before + missing))
            if int(_FREE_HUGEPAGES.read_text()) < (mib + 1) // 2:
                run("sysctl", "-qw", "vm.compact_memory=1", check=False)
                _NR_HUGEPAGES.write_text(str(before + missing))
            added = int(_NR_HUGEPAGES.read_text()) - before
        free = 2 * int(_FREE_HUGEPAGES.read_text())
        if free < mib:
            raise Trouble(
                f"{mib} MiB of hugepages are needed, and the kernel gives {free}\n"
                f"  help: free memory, or reserve them at boot (vm.nr_hugepages={before + missing}), "
                "or measure fewer --subjects or --macs"
            )
        yield
    finally:
        if missing > 0:
            # What was added, not what there was: another process may have taken its own meanwhile.
            _NR_HUGEPAGES.write_text(str(max(0, int(_NR_HUGEPAGES.read_text()) - added)))


# --- the core -----------------------------------------------------------------------------------


class Core:
    """The core that is measured on. Whoever polls holds it: one subject of one run at a time."""

    def __init__(self, number: int, lock: Path):
        self.number = number
        self._lock = lock

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def tsc_hz() -> int:
    """The frequency of the time-stamp counter, against the system's clock."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0f31 48c1e220 4809d0 c3"))  # rdtsc; rdx <<= 32; rax |= rdx; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    began, first = time.perf_counter_ns(), rdtsc()
    time.sleep(0.25)
    ended, last = time.perf_counter_ns(), rdtsc()
    return round((last - first) * 1e9 / (ended - began))


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


# --- network namespaces -------------------------------------------------------------------------


class Namespace:
    """A network namespace of one subject: nothing of this host's network is touched."""

    FAMILY = "vsb"

    def __init__(self, label: str):
        self.name = f"{self.FAMILY}{os.getpid()}-{label}"
        run("ip", "netns", "add", self.name)
        try:
            for scope in ("all", "default"):
                path = Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6")
                self.call(lambda p=path: p.write_text("1") if p.exists() else None)
            self.ip("link", "set", "lo", "up")
        except BaseException:
            self.delete()
            raise

    def command(self, *command: str) -> list[str]:
        """The argument list that runs `command` inside. `ip` execs it: the pid is the command's own."""
        return ["ip", "netns", "exec", self.name, *command]

    def ip(self, *arguments: str) -> None:
        run("ip", "-n", self.name, *arguments)

    def call(self, function: Callable[[], T]) -> T:
        """Calls `function` on a thread of its own that has entered the namespace."""
        outcome: list = []

        def enter_and_call() -> None:
            try:
                with open(f"/run/netns/{self.name}", "rb") as handle:
                    if _libc.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"setns {self.name}")
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

    def delete(self) -> None:
        run("ip", "netns", "del", self.name, check=False)


def remove_stale() -> None:
    """Removes the namespaces of runs that were killed."""
    for entry in Path("/run/netns").glob(f"{Namespace.FAMILY}*-*"):
        pid = entry.name[len(Namespace.FAMILY):].split("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            run("ip", "netns", "del", entry.name, check=False)
