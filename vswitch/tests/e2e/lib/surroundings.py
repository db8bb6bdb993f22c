"""A switch in other surroundings than root's own: as nobody, in a cpuset, with files of its own to see."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from .switch import BINARY, Switch
from .wait import until

NOBODY = 65534


def as_nobody(switch: Switch, place: Path) -> None:
    """Runs the switch from a copy of its binary as a user without capabilities, who has `place` and nothing else."""
    os.chown(place, NOBODY, NOBODY)
    place.chmod(0o755)
    switch.binary = place / "vswitch"
    shutil.copy(BINARY, switch.binary)
    switch.socket = place / "vswitch.sock"
    switch.config_file = place / "vswitch.toml"
    switch.state = place / "state"
    switch.inside = (
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all",
        "env", f"XDG_RUNTIME_DIR={place}",
    )


@contextmanager
def own_mounts(switch: Switch, script: str) -> Iterator[tuple[str, ...]]:
    """A mount namespace of the switch's own in which a shell script has run; yields what runs a command there."""
    ready = switch.directory / "mounted"
    holder = subprocess.Popen(
        switch.namespace.command("unshare", "-m", "sh", "-ec", f'{script}\n: > "$1"\nexec sleep 600', "sh", str(ready)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    try:
        def mounted() -> bool:
            assert holder.poll() is None, holder.stdout.read() if holder.stdout else ""
            return ready.exists()

        until("the mounts are made", mounted)
        switch.inside = ("nsenter", "-t", str(holder.pid), "-m", "--")
        yield switch.inside
    finally:
        holder.kill()
        holder.wait(timeout=10)
        switch.inside = ()


@contextmanager
def cpuset(switch: Switch, cores: str) -> Iterator[Path]:
    """A cgroup that has these cores only, and the switch in it. Yields the file that says which."""
    first = Path("/sys/fs/cgroup/cpuset")
    if first.is_dir():
        group = first / f"vse-{os.getpid()}"
        group.mkdir()
        (group / "cpuset.mems").write_text("0")
    else:
        group = Path(f"/sys/fs/cgroup/vse-{os.getpid()}")
        Path("/sys/fs/cgroup/cgroup.subtree_control").write_text("+cpuset")
        group.mkdir()
    try:
        (group / "cpuset.cpus").write_text(cores)
        switch.outside = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
        yield group / "cpuset.cpus"
    finally:
        switch.kill()
        switch.outside = ()
        until("the cgroup is empty", lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()
