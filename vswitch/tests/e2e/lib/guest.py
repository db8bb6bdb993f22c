"""A virtual machine that can be broken: real PCI NICs, an IOMMU, two NUMA nodes, cores that go off line.

QEMU emulates the processor, too (TCG): it needs no KVM, and boots Debian's kernel in some seconds. The guest's tree is
this machine's own, read-only (see guest.sh), so it runs the same binary with the same libraries at the same paths.
"""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable

from .config import Config
from .switch import BINARY, ROOT, Metrics
from .wait import until
from .wire import Frame

KERNEL = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target", "tools", "guest")
"""Debian's kernel, as scripts/setup unpacks it."""

MODULES = ("lib", "modules")
SECONDS_TO_BOOT = 60
_ARGUMENTS = "console=ttyS0 quiet mitigations=off cryptomgr.notests apparmor=0 tsc=reliable"
"""Without what takes the kernel time."""
_INIT = Path(__file__).with_name("guest.sh")


class Cable:
    """The far end of a NIC's cable: a datagram of a Unix socket is a frame."""

    def __init__(self, directory: Path, name: str):
        self.name = name
        self._nic, here = directory / f"{name}.nic", directory / f"{name}.far"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(here))
        self._frames: list[Frame] = []
        self.netdev = f"dgram,id={name},local.type=unix,local.path={self._nic},remote.type=unix,remote.path={here}"

    def send(self, frame: bytes) -> None:
        self._socket.settimeout(5)
        self._socket.sendto(bytes(frame), str(self._nic))

    def frames(self, wanted: Callable[[Frame], bool] = lambda _: True) -> list[Frame]:
        """The frames so far that the NIC has sent and that are `wanted`."""
        self._socket.setblocking(False)
        while True:
            try:
                self._frames.append(Frame(self._socket.recv(65536), time.monotonic(), False))
            except BlockingIOError:
                return [frame for frame in self._frames if wanted(frame)]

    def clear(self) -> None:
        self.frames()
        self._frames.clear()

    def close(self) -> None:
        self._socket.close()


@dataclass(frozen=True)
class Done:
    """What a command in the guest came to."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return self.stdout + self.stderr


class Guest:
    """A virtual machine. `devices` are arguments of QEMU; `arguments` what /etc/default/grub has for the kernel."""

    def __init__(self, devices: Iterable[str], arguments: str):
        self.shared = Path(tempfile.mkdtemp(prefix="vse-guest-"))
        """A folder that is here and in the guest, under the same name."""
        self.shared.chmod(0o755)
        self.cables: dict[str, Cable] = {}
        self._devices = list(devices)
        self._process: subprocess.Popen | None = None
        self._channel: socket.socket | None = None
        self._console = self.shared / "console"
        (self.shared / "grub").write_text(f'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="{arguments}"\n')
        (self.shared / "cmdline").write_text(arguments)

    def cable(self, name: str) -> Cable:
        """The cable of the NIC with that `netdev`."""
        return self.cables.setdefault(name, Cable(self.shared, name))

    def boot(self) -> "Guest":
        """Starts it, with what its boot loader has for the kernel, and waits until it can be told something."""
        kernel = next((KERNEL / "boot").glob("vmlinuz-*"), None)
        assert kernel and shutil.which("qemu-system-x86_64"), f"QEMU or a kernel in {KERNEL} is missing: run scripts/setup"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel = self.shared / "channel"
        channel.unlink(missing_ok=True)
        listener.bind(str(channel))
        listener.listen()
        for cable in self.cables.values():
            (self.shared / f"{cable.name}.nic").unlink(missing_ok=True)
        command_line = f"{_ARGUMENTS} shared={self.shared} {(self.shared / 'cmdline').read_text().strip()}"
        with open(self._console, "ab") as console:
            self._process = subprocess.Popen([
                "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-nodefaults", "-no-reboot",
                "-display", "none", "-serial", "stdio",
                "-kernel", str(kernel), "-initrd", str(self._initramfs()), "-append", command_line,
                "-fsdev", "local,id=tree,path=/,security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=tree,mount_tag=tree",
                "-fsdev", f"local,id=shared,path={self.shared},security_model=none",
                "-device", "virtio-9p-pci,fsdev=shared,mount_tag=shared",
                "-device", "virtio-serial-pci", "-chardev", f"socket,id=channel,path={channel}",
                "-device", "virtserialport,chardev=channel",
                *(argument for cable in self.cables.values() for argument in ("-netdev", cable.netdev)),
                *self._devices,
            ], stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        listener.settimeout(10)
        try:
            self._channel, _ = listener.accept()
        except TimeoutError:
            raise AssertionError(f"QEMU does not start:\n{self.console()}") from None
        finally:
            listener.close()
        assert self._answer(SECONDS_TO_BOOT) == "ready"
        return self

    def _initramfs(self) -> Path:
        """What the kernel starts from: busybox, the modules, and guest.sh."""
        made = self.shared / "initramfs"
        if made.exists():
            return made
        tree = self.shared / "initramfs.tree"
        (tree / "bin").mkdir(parents=True)
        shutil.copy("/bin/busybox", tree / "bin" / "busybox")
        shutil.copytree(KERNEL.joinpath(*MODULES), tree.joinpath(*MODULES))
        shutil.copy(_INIT, tree / "init")
        (tree / "init").chmod(0o755)
        with open(made, "wb") as archive:
            names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
            cpio = ["cpio", "--create", "--format=newc", "--quiet"]
            subprocess.run(cpio, cwd=tree, input=names.encode(), stdout=archive, check=True)
        shutil.rmtree(tree)
        return made

    def _answer(self, seconds: float) -> str:
        assert self._channel is not None
        self._channel.settimeout(seconds)
        line = b""
        while not line.endswith(b"\n"):
            try:
                chunk = self._channel.recv(65536)
            except TimeoutError:
                raise AssertionError(f"the guest does not answer within {seconds} s:\n{self.console()}") from None
            if not chunk:
                raise AssertionError(f"the guest is gone:\n{self.console()}")
            line += chunk
        return line.decode().strip()

    def run(self, script: str, *, check: bool = True, seconds: float = 60) -> Done:
        """Runs a script of the shell, as root, to its end."""
        assert self._channel is not None
        self._channel.sendall(base64.b64encode(script.encode()) + b"\n")
        status, *texts = (self._answer(seconds) + "  ").split(" ")[:3]
        stdout, stderr = (base64.b64decode(text).decode(errors="replace") for text in texts)
        done = Done(int(status), stdout, stderr)
        assert not check or done.returncode == 0, f"{script}: status {done.returncode}\n{done.said}"
        return done

    def reboots(self, script: str) -> None:
        """Runs a script that ends in a reboot, and waits until the guest is up again."""
        assert self._channel is not None and self._process is not None
        self._channel.sendall(base64.b64encode(script.encode()) + b"\n")
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not reboot: {script}\n{self._answer(1)}") from None
        self._channel.close()
        self.boot()

    def console(self) -> str:
        """What the kernel and QEMU said."""
        return self._console.read_text(errors="replace")[-8000:]

    def close(self) -> None:
        """Switches it off."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
        for cable in self.cables.values():
            cable.close()
        shutil.rmtree(self.shared)


class SwitchInGuest:
    """A `vswitch run` in the guest, with a configuration of its own."""

    def __init__(self, guest: Guest, config: Config):
        self.guest = guest
        self.config = config
        self.before = ""
        """What comes before its command in a line of the shell."""
        self.binary = str(BINARY)
        self.socket = Path("/run/vswitch.sock")
        self.is_edited = False
        """The configuration file was changed by hand, and is not to be written again."""
        self._file = guest.shared / "vswitch.toml"
        self._log, self._status = guest.shared / "vswitch.log", guest.shared / "vswitch.status"

    def _command(self, *arguments: str) -> str:
        if not self.is_edited:
            self._file.write_text(self.config.render(self.socket))
        return " ".join((self.before, self.binary, *arguments)).strip()

    @property
    def _state(self) -> tuple[str, str]:
        return "--state", f"{self.socket}.state"

    def _run(self) -> str:
        return self._command("run", "--config", str(self._file), *self._state)

    def doctor(self) -> Done:
        """`vswitch doctor --json`."""
        return self.guest.run(self._command("doctor", str(self._file), *self._state, "--json"), check=False)

    def refuses(self) -> Done:
        """Runs a switch that is not to start."""
        done = self.guest.run(f"timeout 60 sh -c {shlex.quote(self._run())}", check=False, seconds=70)
        assert done.returncode not in (0, 124) and "panicked at" not in done.said, done
        return done

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        self._status.unlink(missing_ok=True)
        self.guest.run(f"(sh -c {shlex.quote(self._run())} >{self._log} 2>&1; echo $? >{self._status}) &")

        def answers() -> bool:
            assert not self._status.exists(), f"the switch ended with status {self._status.read_text()}:\n{self.log()}"
            return self.guest.run(f"curl -s -o /dev/null http://{self.config.metrics}/metrics", check=False).returncode == 0

        until("metrics answer", answers, seconds=60, every=0.1)

    def metrics(self) -> Metrics:
        return Metrics(self.guest.run(f"curl -s http://{self.config.metrics}/metrics").stdout)

    def stop(self) -> None:
        """Stops it as a user would; it must end well."""
        self.guest.run(f"pkill -TERM -x {Path(self.binary).name}")
        until("the switch has ended", lambda: self._status.exists() and self._status.read_text(), seconds=30)
        assert self._status.read_text().strip() == "0" and "panicked at" not in self.log(), self.log()

    def kill(self) -> None:
        """For clearing up."""
        self.guest.run(f"pkill -KILL -x {Path(self.binary).name}; rm -f {self.socket}", check=False)

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""
