"""The OCI image: built from packaging/Containerfile, and run as docs/packaging.md says, on veths.

The base image is the clean Debian tree of the package's tests, so no registry is asked. The first stage, which
compiles the switch, is left out: the package comes from `packaging/build-deb`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Iterator

import pytest
from lib.lab import VTEP, Lab, af_packet, overlay_config
from lib.machine import clean_root
from lib.netns import run
from lib.switch import ROOT, Switch
from lib.wait import until

MANUAL = (ROOT / "docs/packaging.md").read_text()


class Podman:
    """podman with a store of its own, where only the unified cgroup hierarchy is seen."""

    def __init__(self, scratch: Path):
        self._scratch = scratch

    def command(self, *arguments: str) -> list[str]:
        options = [
            f"--root={self._scratch}/store", f"--runroot={self._scratch}/run", "--storage-driver=overlay",
            "--cgroup-manager=cgroupfs",
        ]
        inner = shlex.join(["podman", *options, *arguments])
        # crun takes a machine that has controllers in both hierarchies for neither.
        return ["unshare", "--mount", "sh", "-ec", f"mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec {inner}"]

    def run(self, *arguments: str, timeout: float = 60) -> str:
        return run(*self.command(*arguments), timeout=timeout).stdout


@pytest.fixture(scope="module")
def podman(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """With the image `vswitch`."""
    folder = tmp_path_factory.mktemp("image")
    made = Podman(folder)
    try:
        tree = folder / "base.tar"
        run("tar", "-C", str(clean_root()), "--exclude=./var/cache/apt", "-cf", str(tree), ".", timeout=120)
        made.run("import", str(tree), "localhost/debian:bookworm", timeout=120)
        tree.unlink()
        made.run(
            "build", "--isolation=chroot", "--network=host", f"--file={ROOT}/packaging/Containerfile", "--tag=vswitch",
            "--build-arg=BASE=localhost/debian:bookworm", "--build-arg=DRIVERS=",
            f"--build-context=built={package.parent}", str(ROOT), timeout=400,
        )
        yield made
    finally:
        made.run("system", "reset", "--force", timeout=120)


def options_of_the_manual() -> list[str]:
    """What docs/packaging.md tells to run the image with, but for name, network and volumes."""
    block = re.search(r"^podman run (.*?) vswitch$", MANUAL, re.M | re.S)
    assert block
    words = shlex.split(block[1].replace("\\\n", " "))
    return [word for word in words if word.startswith(("--cap", "--device", "--ulimit", "--security"))]


def test_the_image_carries_traffic(lab: Lab, podman: Podman, tmp_path: Path) -> None:
    fabric = lab.fabric()
    host = lab.namespace("sw")
    fabric.attach(host, "up0")
    near = lab.local_tenant("ta", "a", "203.0.113.1", "02:00:00:00:00:01")
    linux = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    linux.network(100, [VTEP])
    far = linux.tenant(lab.namespace("h1-blue"), 100, "203.0.113.11", "02:00:00:00:01:11")

    config = overlay_config(["198.51.100.2"], tenant_device=af_packet(1, "ta"))
    configured = tmp_path / "etc"
    configured.mkdir(mode=0o755)
    for folder in (tmp_path, *tmp_path.parents[:2]):  # the container's user is another
        os.chmod(folder, 0o755)
    (configured / "vswitch.toml").write_text(config.render(Path("/run/vswitch/vswitch.sock")))
    name = f"vswitch-e2e-{os.getpid()}"
    # A machine whose root may not raise limits: podman would ask for more, and memory stays limited.
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    asked = [option for option in options_of_the_manual() if "memlock" not in option]
    log = tmp_path / "log"
    with open(log, "wb") as said:
        process = subprocess.Popen(
            podman.command(
                "run", "--rm", f"--name={name}", f"--network=ns:/run/netns/{host.name}", "--cgroups=disabled", *limits,
                *asked, f"--volume={configured}:/etc/vswitch:ro", "vswitch",
            ),
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )
    probe = Switch(host, config, tmp_path)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        return probe.scrape() is not None

    try:
        until("the container answers", answers, seconds=30, every=0.1)
        near.reaches(far)
        assert near.ping(far.address, count=5) == 5
        assert far.ping(near.address, count=5) == 5
        first = json.loads(podman.run("inspect", name))[0]["State"]["Pid"]
        status = Path(f"/proc/{first}/status").read_text()
        assert re.search(r"^Uid:\s+0\b", status, re.M) is None, "it runs as root"
        assert re.search(r"^CapEff:\s+0000000000003000$", status, re.M), status
        shown = run("nsenter", f"--target={first}", "--all", "vswitch", "show", "ports").stdout
        assert "tenant-a" in shown
        metrics = probe.metrics()
        assert metrics.has("vswitch_unaccounted_packets")
        assert metrics.value("vswitch_unaccounted_packets") == 0, metrics.drops()
        assert "WARN" not in log.read_text(), log.read_text()
        podman.run("stop", "--time=5", name)
        assert process.wait(timeout=10) == 0, log.read_text()
    finally:
        if process.poll() is None:
            podman.run("kill", name)
            process.wait(timeout=10)
    assert host.interfaces() == {"lo", "up0", "ta"}


def test_every_file_that_the_recipe_copies_is_there() -> None:
    recipe = (ROOT / "packaging/Containerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", recipe, re.M):
        for source in line.split():
            assert (ROOT / source).exists() and source not in ignored, source
    # What the first stage runs exists, too.
    for script in re.findall(r"packaging/[\w-]+", recipe):
        assert (ROOT / script).exists(), script
    stages = re.findall(r"^FROM \S+ AS (\w+)$", recipe, re.M)
    assert set(re.findall(r"^COPY --from=(\w+)", recipe, re.M)) <= set(stages)
