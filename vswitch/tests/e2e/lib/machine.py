"""A clean Debian machine that packages are installed on: real apt, real dpkg, real systemd.

No virtual machine: systemd runs as the first process of its own pid, mount, ipc, uts and cgroup namespaces, and
of a network namespace of the laboratory, so that the service that it starts finds the test's interfaces. What is
not as on a host: the kernel, its sysctls and hugepages are this machine's; there is no udev; and a capability that
this machine's root lacks, its root lacks, too.

The tree under it comes from debootstrap once, and stays in `target/package` for the next run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

from .netns import Namespace, run
from .switch import ROOT
from .wait import until

RELEASE = "bookworm"
CACHE = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target", "package")
"""Where the tree and the fetched packages stay."""

_SETUP = Path(__file__).with_name("machine.sh")
_NOT_OURS = (
    "systemd-sysctl", "systemd-modules-load", "systemd-remount-fs", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount", "dev-mqueue.mount", "getty.target", "apt-daily.timer", "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer", "systemd-tmpfiles-clean.timer",
)
"""Units that would change the real machine, or that nobody needs."""
_numbers = count()


def sources() -> list[str]:
    """This machine's own lines of apt for the release: `deb URI SUITE COMPONENTS`."""
    told = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages").stdout
    lines = {tuple(line.split()) for line in told.splitlines()}
    found = [
        f"deb {site} {suite} main" for site, suite, component in sorted(lines)
        if component == "main" and re.fullmatch(rf"{RELEASE}(-updates|-security)?", suite)
    ]
    assert any(line.endswith(f" {RELEASE} main") for line in found), f"apt knows no {RELEASE} here: {told}"
    return found


def clean_root() -> Path:
    """The tree of a minimal Debian with systemd and nothing else. Made when there is none, which takes two minutes."""
    root = CACHE / "root"
    if (CACHE / "root.made").exists():
        return root
    CACHE.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root, ignore_errors=True)
    lines = sources()
    main = next(line for line in lines if line.endswith(f" {RELEASE} main")).split()[1]
    run("debootstrap", "--variant=minbase", "--include=systemd,systemd-sysv", RELEASE, str(root), main, timeout=900)
    (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    for unit in _NOT_OURS:
        name = unit if "." in unit else f"{unit}.service"
        (root / "etc/systemd/system" / name).symlink_to("/dev/null")
    run("chroot", str(root), "apt-get", "clean")
    (CACHE / "root.made").touch()
    return root


_FETCH = """
    mount --bind "$2" "$1/var/cache/apt/archives"
    mount --bind /etc/resolv.conf "$1/etc/resolv.conf"
    fetch() {
        chroot "$1" apt-get -y -q --no-install-recommends --download-only -o APT::Keep-Downloaded-Packages=true \
            -o APT::Sandbox::User=root install "/var/cache/apt/archives/local/$3"
    }
    fetch "$@" || { chroot "$1" apt-get -q update && fetch "$@"; }
"""


def fetch_dependencies(package: Path) -> None:
    """Has apt fetch what a package depends on, once: a machine's network namespace leads nowhere."""
    local = CACHE / "debs" / "local"
    local.mkdir(parents=True, exist_ok=True)
    (CACHE / "debs" / "partial").mkdir(exist_ok=True)
    shutil.copy(package, local)
    run("unshare", "--mount", "sh", "-ec", _FETCH, "sh", str(clean_root()), str(CACHE / "debs"), package.name, timeout=600)


def build_package(folder: Path, *options: str) -> Path:
    """The package as a release has it, in a folder of its own, without that of the debug symbols, which takes most of
    the time."""
    quick = ("env", "DEB_BUILD_OPTIONS=noautodbgsym")
    told = run(*quick, str(ROOT / "packaging/build-deb"), "--output", str(folder), *options, timeout=300).stdout
    return next(Path(line) for line in told.splitlines() if "/vswitch_" in line)


def _unified_hierarchy() -> Path:
    """Where this machine has the unified cgroup hierarchy."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1])
    raise AssertionError("no unified cgroup hierarchy is mounted: systemd cannot run here")


class Machine:
    """A running machine in a network namespace. Closing it kills everything in it and forgets what was written.

    Made `over` what another machine has written, it begins as that one ended: `close(keep=True)` tells where.
    """

    def __init__(self, namespace: Namespace, over: Path | None = None):
        self.namespace = namespace
        self.closed = False
        root = clean_root()
        self._scratch = Path(tempfile.mkdtemp(prefix="machine.", dir=CACHE))
        debs = CACHE / "debs"
        debs.mkdir(exist_ok=True)
        self._cgroup = _unified_hierarchy() / f"vswitch-e2e-{os.getpid()}-{next(_numbers)}"
        self._cgroup.mkdir()
        # Not by `ip netns exec`, which hides the machine's cgroups.
        self._process = subprocess.Popen([
            "nsenter", f"--net=/run/netns/{namespace.name}", "unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
            str(_SETUP), f"{over}:{root}" if over else str(root), str(self._scratch), str(self._cgroup), str(debs)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self._scratch / "said", "wb"),
        )
        until("the machine is up", self._is_up, seconds=30, every=0.1)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, (self._scratch / "said").read_text()
        if self._first() is None:
            return False
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in ("running", "degraded")

    def _first(self) -> int | None:
        """The pid, seen from here, of systemd."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children or Path(f"/proc/{children[0]}/comm").read_text().strip() != "systemd":
            return None
        return int(children[0])

    def close(self, *, keep: bool = False) -> Path:
        """Ends it. Returns where what it wrote lies, which is the caller's to remove if it is to `keep`."""
        self.closed = True
        if self._process.poll() is None:
            self._process.kill()  # its child, the machine's first process, goes with it, and so do all others
            self._process.wait(timeout=10)
        until("the machine's processes are gone", lambda: not self._processes(), seconds=10)
        until("the machine's cgroups are gone", self._remove_cgroups, seconds=10)
        if not keep:
            shutil.rmtree(self._scratch)
        return self._scratch / "upper"

    def _remove_cgroups(self) -> bool:
        """Whether none is left. One whose last process has just ended is busy for a moment."""
        folders = [path for path in self._cgroup.rglob("*") if path.is_dir()]
        for folder in [*sorted(folders, key=lambda path: -len(path.parts)), self._cgroup]:
            try:
                folder.rmdir()
            except OSError:
                return False
        return True

    def _processes(self) -> list[str]:
        return [pid for file in self._cgroup.rglob("cgroup.procs") for pid in file.read_text().split()]

    # --- inside -----------------------------------------------------------------------------

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess:
        """Runs a command as the machine's root."""
        first = self._first()
        assert first is not None, "the machine is down"
        enter = ["nsenter", "--target", str(first), "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--root", "--wd"]
        tidy = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
        return run(*enter, *tidy, *command, check=check, timeout=timeout)

    def path(self, inside: str) -> Path:
        """A file of the machine, seen from here."""
        return Path(f"/proc/{self._first()}/root") / inside.lstrip("/")

    def write(self, inside: str, text: str) -> None:
        file = self.path(inside)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def install(self, package: Path, *options: str) -> None:
        """Installs a file with what it depends on, by apt. What that is was fetched before."""
        inside = f"/root/{package.name}"
        shutil.copy(package, self.path(inside))
        self.apt("install", *options, inside)
        self.path(inside).unlink()

    def apt(self, *arguments: str) -> str:
        """Runs apt-get."""
        keep = ("-o", "APT::Keep-Downloaded-Packages=true", "-o", "APT::Sandbox::User=root")
        return self.run("apt-get", "-y", "-q", "--no-install-recommends", *keep, *arguments, timeout=300).stdout

    def unit(self, *names: str, unit: str = "vswitch.service") -> dict[str, str]:
        """Properties of a unit."""
        told = self.run("systemctl", "show", unit, "--property", ",".join(names)).stdout
        return dict(line.split("=", 1) for line in told.splitlines())

    def journal(self, unit: str = "vswitch.service") -> str:
        return self.run("journalctl", "--unit", unit, "--no-pager", "--output=cat", check=False).stdout

    def pid_outside(self, inside: int) -> int:
        """The pid here of a process of the machine."""
        for process in self._processes():
            numbers = re.search(r"^NSpid:\s*(.*)$", Path(f"/proc/{process}/status").read_text(), re.M)
            if numbers and numbers[1].split()[-1] == str(inside):
                return int(process)
        raise AssertionError(f"the machine has no process {inside}")
