"""A switch that cannot start says what is wrong and what to do, ends with a status, and leaves nothing."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Iterator

import pytest
from lib.lab import Lab, overlay_config
from lib.netns import run
from lib.surroundings import as_nobody
from lib.switch import BINARY, Switch

RUNTIME_FAILURE, USAGE_ERROR = 1, 2
NR_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")


@pytest.fixture
def machine(lab: Lab) -> Switch:
    """A switch with everything that it needs; each test takes one thing away."""
    sw = lab.namespace("sw")
    sw.ip("link add up0 type veth peer name up1", "link add ta type veth peer name ta1", "link set up0 up", "link set ta up")
    return lab.switch(overlay_config(["198.51.100.2"], tenant_device="net_af_packet1,iface=ta", underlay_mtu=1500))


def says(text: str, *fragments: str) -> None:
    """Each fragment (or one of `a|b`) is in the text, whatever the case."""
    for fragment in fragments:
        assert any(choice in text.lower() for choice in fragment.lower().split("|")), f"{fragment!r} is not in:\n{text}"


@pytest.fixture
def few_hugepages() -> Iterator[None]:
    if not NR_HUGEPAGES.exists():
        yield  # a kernel without hugepages has too few of them
        return
    before = NR_HUGEPAGES.read_text()
    NR_HUGEPAGES.write_text("8")
    try:
        yield
    finally:
        NR_HUGEPAGES.write_text(before)


def test_too_few_hugepages(machine: Switch, few_hugepages: None) -> None:
    machine.config.hugepages = True
    machine.config.memory_mib = 512
    status, said = machine.refuses()
    assert status == RUNTIME_FAILURE
    says(said, "hugepages", "512", "nr_hugepages|hugepages = false")


def test_no_permission(machine: Switch) -> None:
    """As nobody, without capabilities."""
    with tempfile.TemporaryDirectory(prefix="vse-") as name:
        as_nobody(machine, Path(name))
        status, said = machine.refuses()
    assert status == RUNTIME_FAILURE
    says(said, "permission|not permitted|privilege", "root|cap_")


def test_device_of_no_driver(machine: Switch) -> None:
    machine.config.ports[1].device = "net_nonsense0,iface=ta"
    status, said = machine.refuses()
    assert status == RUNTIME_FAILURE
    says(said, "tenant-a", "net_nonsense0", "driver|devargs|device")


def test_device_that_is_gone(machine: Switch) -> None:
    machine.config.ports[1].device = "0000:7f:1f.7"
    status, said = machine.refuses()
    assert status == RUNTIME_FAILURE
    says(said, "tenant-a", "0000:7f:1f.7", "lspci")


@pytest.mark.parametrize("driver", ["net_af_packet1", "net_af_xdp0"])
def test_interface_of_a_vdev_missing(machine: Switch, driver: str) -> None:
    machine.config.ports[1].device = f"{driver},iface=nowhere"
    status, said = machine.refuses()
    assert status == RUNTIME_FAILURE
    says(said, "tenant-a", "nowhere", "interface", "ip link")


def test_core_that_the_machine_has_not(machine: Switch) -> None:
    machine.config.worker_cores = [1, 97]
    status, said = machine.refuses()
    assert status in (RUNTIME_FAILURE, USAGE_ERROR)
    says(said, "97", "core", "worker-cores")


def test_metrics_address_in_use(machine: Switch) -> None:
    def listen() -> socket.socket:
        taken = socket.socket()
        taken.bind(("127.0.0.1", 9144))
        taken.listen()
        return taken

    taken = machine.namespace.call(listen)
    try:
        status, said = machine.refuses()
    finally:
        taken.close()
    assert status == RUNTIME_FAILURE
    says(said, "127.0.0.1:9144", "in use", "metrics")


def test_socket_directory_missing(machine: Switch) -> None:
    machine.socket = Path("/run/vswitch-no-such-directory/nor-this/vswitch.sock")
    status, said = machine.refuses()
    assert status == RUNTIME_FAILURE
    says(said, "/run/vswitch-no-such-directory", "director", "socket")


def test_host_interface_name_taken(machine: Switch) -> None:
    machine.namespace.ip("link add vtep0 type dummy" if has_dummy() else "tuntap add dev vtep0 mode tap")
    status, said = machine.refuses()
    assert status == RUNTIME_FAILURE
    says(said, "vtep0", "host-interface", "exist|taken|in use")


def has_dummy() -> bool:
    made = run("ip", "link", "help", "dummy", check=False)
    return made.returncode == 0 and Path("/sys/module/dummy").exists()


def test_another_switch_on_the_same_socket(machine: Switch, lab: Lab) -> None:
    """The first keeps its socket and goes on; the second says who has it."""
    machine.start()
    second = lab.switch(overlay_config(["198.51.100.2"], tenant_device="net_af_packet1,iface=ta", underlay_mtu=1500))
    second.config.metrics = "127.0.0.1:9145"
    second.config.vteps[0].host_interface = "vtep1"
    second.socket = machine.socket
    second.over = True
    second.write_config()
    done = second.namespace.run(str(BINARY), "run", "--config", str(second.config_file), "--state", str(second.state), check=False, timeout=20)
    assert done.returncode == RUNTIME_FAILURE
    says(done.stdout + done.stderr, str(machine.socket), "running|in use|answers")
    assert machine.show("ports")


# --- configuration ---------------------------------------------------------------------------

GOOD = """\
[dpdk]
worker-cores = [1]
main-core = 0
memory-mib = 256
hugepages = false

[api]
socket = "/run/vswitch/vswitch.sock"
metrics = "127.0.0.1:9144"

[[port]]
name = "uplink"
device = "net_af_packet0,iface=up0"

[[port]]
name = "tenant-a"
device = "net_af_packet1,iface=ta"

[[vtep]]
name = "fabric"
port = "uplink"
address = "198.51.100.1/24"
host-interface = "vtep0"

[[network]]
name = "blue"
vni = 100
vtep = "fabric"
remote-vteps = ["198.51.100.2"]
  [[network.port]]
  port = "tenant-a"
  [[network.mac]]
  address = "02:00:00:00:00:09"
  remote-vtep = "198.51.100.2"
"""

WRONG = {
    # case: (line of GOOD, what it becomes, what the message names)
    "not TOML": ("memory-mib = 256", "memory-mib = = 256", ()),
    "unknown key": ("hugepages = false", "hugepagez = false", ("hugepagez", "hugepages")),
    "wrong type": ("vni = 100", 'vni = "a hundred"', ("vni|integer",)),
    "VNI out of range": ("vni = 100", "vni = 16777216", ("16777215",)),
    "VNI zero": ("vni = 100", "vni = 0", ("vni",)),
    "unknown port": ('  port = "tenant-a"', '  port = "tenant-x"', ("tenant-x", "tenant-a")),
    "unknown VTEP": ('vtep = "fabric"', 'vtep = "fabrik"', ("fabrik", "fabric")),
    "address that does not parse": ('address = "198.51.100.1/24"', 'address = "198.51.100.256/24"', ("198.51.100.256",)),
    "address without a prefix length": ('address = "198.51.100.1/24"', 'address = "198.51.100.1"', ("/24|prefix",)),
    "remote VTEP that does not parse": ('remote-vteps = ["198.51.100.2"]', 'remote-vteps = ["somewhere"]', ("somewhere",)),
    "remote VTEP is ourselves": ('remote-vteps = ["198.51.100.2"]', 'remote-vteps = ["198.51.100.1"]', ("198.51.100.1",)),
    "duplicate port name": ('name = "tenant-a"', 'name = "uplink"', ("uplink",)),
    "MAC that does not parse": ('  address = "02:00:00:00:00:09"', '  address = "02:00:00:00:09"', ("02:00:00:00:09",)),
    "MAC of a group": ('  address = "02:00:00:00:00:09"', '  address = "01:00:5e:00:00:09"', ("01:00:5e:00:00:09",)),
    "two homes for a MAC": ('  remote-vtep = "198.51.100.2"', '  remote-vtep = "198.51.100.2"\n  port = "tenant-a"', ("port", "remote-vtep")),
    "no worker": ("worker-cores = [1]", "worker-cores = []", ("worker-cores",)),
    "metrics address without a port": ('metrics = "127.0.0.1:9144"', 'metrics = "127.0.0.1"', ("metrics|port|127.0.0.1:9144",)),
    "interface name too long": ('host-interface = "vtep0"', 'host-interface = "a-name-that-is-too-long"', ("15",)),
}


def check(path: Path):
    return run(str(BINARY), "check", str(path), check=False)


def run_it(path: Path):
    return run(str(BINARY), "run", "--config", str(path), check=False)


def test_the_good_configuration_passes(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    done = check(path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("verb", [check, run_it], ids=["check", "run"])
@pytest.mark.parametrize("case", WRONG)
def test_configuration_errors_are_found_where_they_are(tmp_path: Path, case: str, verb) -> None:
    good, wrong, named = WRONG[case]
    assert GOOD.count(f"{good}\n") >= 1
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD.replace(f"{good}\n", f"{wrong}\n", 1))
    line = GOOD[: GOOD.index(f"{good}\n")].count("\n") + 1
    lines = range(line, line + wrong.count("\n") + 1)
    done = verb(path)
    said = done.stdout + done.stderr
    assert done.returncode == USAGE_ERROR, said
    assert any(f"wrong.toml:{n}:" in said for n in lines), f"no wrong.toml:{line}:COLUMN in:\n{said}"
    says(said, *named)


def test_duplicate_vni(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD + '\n[[network]]\nname = "green"\nvni = 100\nvtep = "fabric"\nremote-vteps = []\n')
    done = check(path)
    assert done.returncode == USAGE_ERROR
    says(done.stdout + done.stderr, f"wrong.toml:{GOOD.count(chr(10)) + 4}:", "100", "blue")


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD.replace("vni = 100", "vni = 0").replace('"fabric"\nremote', '"fabrik"\nremote').replace("00:09", "00"))
    said = check(path).stderr
    assert said.count("wrong.toml:") >= 3, said


def test_a_missing_file(tmp_path: Path) -> None:
    done = check(tmp_path / "nothing.toml")
    assert done.returncode == USAGE_ERROR
    says(done.stdout + done.stderr, "nothing.toml", "no such file")
