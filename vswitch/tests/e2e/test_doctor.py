"""A host is broken in one way after the other: `vswitch doctor` and `vswitch run` name the same cause and the same
command, and that command, or the value that it says to set, mends it: then the switch starts.

What this machine cannot be made to lack (an IOMMU, NUMA nodes, a NIC on the wrong driver, a core off line) is in
test_doctor_guest.py, where a virtual machine is broken; a governor is in the unit tests of `vswitch/src/doctor`, on
trees of files.
"""

from __future__ import annotations

import grp
import json
import os
import re
import shlex
import socket
import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Iterator

import pytest
from lib.doctor import FAILURE, OK, USAGE, findings, is_logged, is_said, report_of, the_one
from lib.lab import Lab, overlay_config
from lib.netns import run
from lib.surroundings import as_nobody, cpuset, own_mounts
from lib.switch import BINARY, Switch
from lib.wait import until

NR_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
PLUGINS = Path("/usr/lib/x86_64-linux-gnu/dpdk/pmds-23.0")


@pytest.fixture
def machine(lab: Lab) -> Switch:
    """A switch with everything that it needs; each test takes one thing away."""
    sw = lab.namespace("sw")
    sw.ip(
        "link add up0 mtu 1600 type veth peer name up1 mtu 1600", "link add ta type veth peer name ta1",
        *(f"link set {name} up" for name in ("up0", "up1", "ta", "ta1")),
    )
    config = overlay_config(["198.51.100.2"], tenant_device="net_af_packet1,iface=ta")
    config.ports[0].mtu = None
    return lab.switch(config)


@pytest.fixture
def hugepages() -> Iterator[Path]:
    """The machine's hugepages, which a test may take away."""
    before = NR_HUGEPAGES.read_text()
    try:
        yield NR_HUGEPAGES
    finally:
        NR_HUGEPAGES.write_text(before)


# --- what doctor and run say -----------------------------------------------------------------


def doctor(switch: Switch, status: int) -> dict:
    """The report of `vswitch doctor --json`."""
    switch.write_config()
    done = run(*switch.command("doctor", str(switch.config_file), "--state", str(switch.state), "--json"), check=False)
    return report_of(done, status)


def both_say(switch: Switch, check: str) -> dict:
    """The problem that keeps the switch from starting, as doctor and run have it in the same words."""
    problem = the_one(doctor(switch, FAILURE), check, "problem")
    status, said = switch.refuses()
    assert status == FAILURE
    is_said(problem, said)
    return problem


def mend(switch: Switch, finding: dict, *, by: list[str] | None = None) -> None:
    """Runs the commands of a finding, as somebody who copies them."""
    assert finding["mend"], finding
    for command in finding["mend"]:
        run(*(by if by is not None else switch.namespace.command()), "sh", "-ec", command)
    switch.is_edited = True


def set_as_told(switch: Switch, finding: dict) -> None:
    """Sets the value in the configuration file that the advice of a finding names."""
    told = re.search(r"set `([a-z-]+) = (.+?)`.*? in \[+(\w+)\]+(?: \"([^\"]+)\")?", finding["advice"])
    assert told and not finding["mend"], finding
    set_value(switch, told[3], told[1], tomllib.loads(f"value = {told[2]}")["value"], of=told[4])


def set_value(switch: Switch, table: str, key: str, value: object, *, of: str | None = None) -> None:
    """Edits the configuration file, as somebody who follows advice: a key of a table, or of the one with that name."""
    written = json.dumps(value)
    lines = switch.config_file.read_text().splitlines()
    header = f"[[{table}]]" if of else f"[{table}]"
    starts_at = [n for n, line in enumerate(lines) if line.strip() == header]
    for first in starts_at:
        end = next((n for n in range(first + 1, len(lines)) if lines[n].strip().startswith("[")), len(lines))
        if of and not any(re.fullmatch(rf'name = "{re.escape(of)}"', line.strip()) for line in lines[first:end]):
            continue
        lines[first:end] = [line for line in lines[first:end] if not re.match(rf"\s*{key}\s*=", line)]
        lines.insert(first + 1, f"{key} = {written}")
        break
    else:
        raise AssertionError(f"no {header} {of or ''} in {switch.config_file}")
    switch.config_file.write_text("\n".join(lines) + "\n")
    switch.is_edited = True


def starts(switch: Switch) -> None:
    """Nothing is wrong any more, and the switch works. (What it left is checked when it is stopped.)"""
    doctor(switch, OK)
    switch.config.metrics = tomllib.loads(switch.config_file.read_text())["api"]["metrics"]
    switch.start()
    assert switch.show("ports")
    switch.verify()
    switch.stop(within=3.0)


# --- what keeps a switch from starting -----------------------------------------------------------


def test_nothing_is_wrong(machine: Switch) -> None:
    report = doctor(machine, OK)
    assert report["worst"] in ("ok", "note", "warning")
    assert {"permissions", "memory", "hugepages", "cores", "isolation", "governor", "numa", "device", "plugins", "interfaces",
            "quiet", "mtu", "tun", "kernel", "host-interface", "socket", "listen"} <= {f["check"] for f in report["findings"]}
    starts(machine)


def test_hugepages_gone(machine: Switch, hugepages: Path) -> None:
    machine.config.hugepages, machine.config.memory_mib = True, 128
    hugepages.write_text("0")
    problem = both_say(machine, "hugepages")
    assert problem["mend"] == ["sysctl -w vm.nr_hugepages=64"]
    mend(machine, problem)
    starts(machine)


def test_too_little_memory(machine: Switch) -> None:
    machine.config.memory_mib = 64
    machine.config.ports[1].device += ",framesz=8192,blocksz=8192"
    problem = both_say(machine, "memory")
    set_as_told(machine, problem)
    least = doctor(machine, OK)["memory"]["least_memory_mib"]
    assert f"memory-mib = {least}" in machine.config_file.read_text()
    starts(machine)


def test_a_core_that_the_machine_has_not(machine: Switch) -> None:
    machine.config.worker_cores = [1, 97]
    problem = both_say(machine, "cores")
    assert "97" in problem["found"]
    assert "to cores of this machine: 0,1" in problem["advice"]
    set_value(machine, "dpdk", "worker-cores", [1])
    assert tomllib.loads(machine.config_file.read_text())["dpdk"]["worker-cores"] != [1, 97]
    starts(machine)


def test_a_core_outside_the_cpuset(machine: Switch) -> None:
    with cpuset(machine, "0") as file:
        problem = both_say(machine, "cores")
        assert problem["mend"] == [f"echo 0,1 > {file}"]
        mend(machine, problem, by=[])
        starts(machine)


def test_no_permission(machine: Switch) -> None:
    with tempfile.TemporaryDirectory(prefix="vse-") as name:
        as_nobody(machine, Path(name))
        problem = both_say(machine, "permissions")
        assert "CAP_NET_ADMIN" in problem["found"] and "CAP_NET_RAW" in problem["found"]
        given_by_root(machine, problem)
        starts(machine)


def given_by_root(switch: Switch, finding: dict) -> None:
    """The switch is started by the command that root has for it: as the same user, with the capabilities alone."""
    assert not finding["mend"]
    told = re.search(r"`(setpriv .*) (\S+) run …`", finding["advice"])
    assert told and told[2] == str(switch.binary), finding["advice"]
    environment = switch.inside[switch.inside.index("env"):]
    switch.inside = (*shlex.split(told[1]), *environment)


def test_af_xdp_without_permission(machine: Switch) -> None:
    machine.config.ports[1].device = "net_af_xdp0,iface=ta"
    with tempfile.TemporaryDirectory(prefix="vse-") as name:
        as_nobody(machine, Path(name))
        report = doctor(machine, FAILURE)
        problems = {f["check"]: f for f in report["findings"] if f["severity"] == "problem"}
        _, said = machine.refuses()
        assert all(problem["found"] in said for problem in problems.values()), said
        assert "+sys_admin" in problems["permissions"]["advice"] and "IPC_LOCK" not in problems["permissions"]["found"]
        given_by_root(machine, problems["permissions"])
        if "memlock" in problems:
            # `prlimit --memlock=unlimited` is root's, but not of a root that may not raise limits: this lifts it as well.
            machine.inside = tuple(word.replace("+sys_admin", "+sys_admin,+ipc_lock") for word in machine.inside)
        starts(machine)


def test_an_interface_that_is_missing(machine: Switch) -> None:
    machine.namespace.ip("link delete ta")
    problem = both_say(machine, "interfaces")
    assert not problem["mend"], "a switch on an interface that leads nowhere would be no remedy"
    # For a test it is one: this.
    for command in problem["advice"].split("`")[3::2]:
        run(*machine.namespace.command(), "sh", "-ec", command)
    machine.namespace.ip("link set ta-peer up")
    starts(machine)


def test_an_interface_that_is_named_otherwise(machine: Switch) -> None:
    machine.namespace.ip("link set ta down", "link set ta name t-a", "link set t-a up")
    problem = both_say(machine, "interfaces")
    set_as_told(machine, problem)
    assert '"net_af_packet1,iface=t-a"' in machine.config_file.read_text()
    starts(machine)


def test_frames_longer_than_the_ring_has_room_for(machine: Switch) -> None:
    machine.namespace.ip("link set up0 mtu 9000", "link set up1 mtu 9000")
    machine.config.memory_mib = 512
    problem = both_say(machine, "mtu")
    set_as_told(machine, problem)
    assert "framesz=16384" in machine.config_file.read_text()
    starts(machine)


def test_no_directory_for_the_socket(machine: Switch, tmp_path: Path) -> None:
    machine.socket = tmp_path / "none" / "neither" / "vswitch.sock"
    problem = both_say(machine, "socket")
    assert problem["mend"] == [f"install -d -m 0750 {machine.socket.parent}"]
    mend(machine, problem)
    starts(machine)


def test_the_socket_s_directory_is_made(machine: Switch, tmp_path: Path) -> None:
    """As /run/vswitch is missing before the first start, and after a boot."""
    machine.socket = tmp_path / "run" / "vswitch.sock"
    doctor(machine, OK)
    starts(machine)
    assert not machine.socket.parent.exists()


def test_a_socket_in_a_directory_of_the_system_s(machine: Switch) -> None:
    """Nobody is told to take /run from root."""
    with tempfile.TemporaryDirectory(prefix="vse-") as name:
        as_nobody(machine, Path(name))
        machine.socket = Path("/run/vse-nobody.sock")
        report = doctor(machine, FAILURE)
    [problem] = [f for f in report["findings"] if f["check"] == "socket" and f["severity"] == "problem"]
    assert not problem["mend"] and "choose a path" in problem["advice"]


def test_no_place_for_the_state(machine: Switch, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="vse-") as name:
        as_nobody(machine, Path(name))
        given_by_root(machine, both_say(machine, "permissions"))
        with tempfile.TemporaryDirectory(prefix="vse-") as of_root:
            Path(of_root).chmod(0o755)
            machine.state = Path(of_root) / "state"
            problem = both_say(machine, "state")
            [command] = problem["mend"]
            assert command.startswith("install -d -m 0750 -o ") and command.endswith(str(machine.state))
            mend(machine, problem, by=[])
            machine.is_edited = False
            starts(machine)


def test_files_of_tls_that_cannot_be_used(machine: Switch, tmp_path: Path) -> None:
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=e2e",
        "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate"))
    (tmp_path / "token").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "key").chmod(0o644)
    machine.config.api |= {"listen": "127.0.0.1:9143", "tls-certificate": str(tmp_path / "certificate"),
                           "tls-key": str(tmp_path / "key"), "token-file": str(tmp_path / "token")}
    problem = both_say(machine, "tls")
    assert problem["mend"] == [f"chmod o-rwx {tmp_path / 'key'}"]
    mend(machine, problem)
    starts(machine)


def test_something_else_in_the_socket_s_place(machine: Switch) -> None:
    machine.socket = machine.directory / "taken"
    machine.socket.write_text("not a socket")
    problem = the_one(doctor(machine, FAILURE), "socket", "problem")
    done = run(*machine.command("run", "--config", str(machine.config_file), "--state", str(machine.state)), check=False)
    assert done.returncode == FAILURE and problem["found"] in done.stderr and problem["mend"][0] in done.stderr
    mend(machine, problem)
    starts(machine)


def test_no_such_group(machine: Switch) -> None:
    group = f"vse{os.getpid()}"
    machine.config.api["group"] = group
    problem = both_say(machine, "socket")
    try:
        mend(machine, problem)
        assert grp.getgrnam(group)
        starts(machine)
    finally:
        run("groupdel", group, check=False)


def test_a_port_in_use(machine: Switch) -> None:
    def listen() -> socket.socket:
        taken = socket.socket()
        taken.bind(("127.0.0.1", 9144))
        taken.listen()
        return taken

    taken = machine.namespace.call(listen)
    try:
        problem = both_say(machine, "listen")
        assert f"(process {os.getpid()})" in problem["cause"]
        set_as_told(machine, problem)
        assert '"127.0.0.1:9145"' in machine.config_file.read_text()
        starts(machine)
    finally:
        taken.close()


def test_the_name_of_the_host_interface_is_taken(machine: Switch) -> None:
    machine.namespace.ip("tuntap add dev vtep0 mode tap")
    problem = both_say(machine, "host-interface")
    mend(machine, problem)
    starts(machine)


def test_a_name_that_is_somebody_s_is_left_to_him(machine: Switch) -> None:
    """What is no TAP without a process is not deleted: the host interface gets another name."""
    machine.namespace.ip("link add vtep0 type veth peer name other")
    problem = both_say(machine, "host-interface")
    assert not problem["mend"] and "choose another name for host-interface" in problem["advice"]
    set_value(machine, "vtep", "host-interface", "vtep1", of=machine.config.vteps[0].name)
    assert {"vtep0", "other"} <= machine.namespace.interfaces()
    starts(machine)


def test_several_at_once(machine: Switch) -> None:
    """What one report says is done, one after the other."""
    machine.config.memory_mib = 64
    machine.config.ports[1].device += ",framesz=8192,blocksz=8192"
    machine.config.worker_cores = [97]
    machine.namespace.ip("link add vtep0 type veth peer name other")
    report = doctor(machine, FAILURE)
    problems = [f for f in report["findings"] if f["severity"] == "problem"]
    assert {f["check"] for f in problems} == {"memory", "cores", "host-interface"}
    for problem in problems:
        if problem["check"] == "memory":
            set_as_told(machine, problem)
    set_value(machine, "dpdk", "worker-cores", [1])
    set_value(machine, "vtep", "host-interface", "vtep1", of=machine.config.vteps[0].name)
    starts(machine)


def test_what_was_changed_since_is_not_lost_by_an_edit(machine: Switch) -> None:
    """The state says more than the file: the report says how an edit of the file takes that along."""
    machine.start()
    ask = lambda *words: run(str(BINARY), *words, "--socket", str(machine.socket))
    ask("network", "create", "red", "--vni", "300")
    machine.stop(within=3.0)
    machine.is_edited = True
    before = machine.config_file.read_text()
    machine.namespace.ip("link add vtep0 type veth peer name other")
    both_say(machine, "host-interface")
    [told] = findings(doctor(machine, FAILURE), "state", "note")
    copy = re.search(r"`(cp [^`]+)`", told["advice"])
    assert copy and copy[1] in machine.refuses()[1], told
    run("sh", "-ec", copy[1])
    set_value(machine, "vtep", "host-interface", "vtep1", of=machine.config.vteps[0].name)
    assert machine.config_file.with_name("vswitch.toml.~1~").read_text() == before
    doctor(machine, OK)
    machine.start()
    assert "red" in {network["name"] for network in machine.show("networks")}
    assert "vtep0" not in ask("show", "config").stdout
    machine.verify()
    machine.stop(within=3.0)


def test_the_vteps_address_is_elsewhere(machine: Switch) -> None:
    machine.namespace.ip("addr add 198.51.100.1/24 dev up1")
    problem = both_say(machine, "host-interface")
    mend(machine, problem)
    starts(machine)


def test_another_switch_is_running(machine: Switch, lab: Lab) -> None:
    machine.start()
    second = lab.switch(machine.config)
    second.socket = machine.socket
    second.write_config()
    done = run(*second.command("run", "--config", str(second.config_file), "--state", str(second.state)), check=False)
    assert done.returncode == FAILURE
    pid = machine.process.pid
    assert f"process {pid}, another vswitch" in done.stderr, done.stderr
    # That, and nothing else: what the first has is not to be taken from it.
    assert re.findall("^  mend:  .*$", done.stderr, re.M) == [f"  mend:  kill {pid}"], done.stderr
    # To doctor it is no fault: what is there is that switch's.
    report = doctor(second, OK)
    assert any(f"the running switch (process {pid})" in f["found"] for f in report["findings"])
    machine.verify()
    machine.over = True
    run("sh", "-ec", f"kill {pid}")
    assert machine.process.wait(timeout=5) == 0
    starts(second)


def test_no_tun_device(machine: Switch) -> None:
    with own_mounts(machine, "mount -t tmpfs tmpfs /dev/net") as there:
        problem = both_say(machine, "tun")
        mend(machine, problem, by=machine.namespace.command(*there))
        starts(machine)


def test_a_plugin_that_is_missing(machine: Switch) -> None:
    """The command would fetch a package: instead of that, the package is asked whether it has the plugin."""
    hide = f"cp -a {PLUGINS} /tmp/vse-plugins-$$; mount -t tmpfs tmpfs {PLUGINS}; cp -a /tmp/vse-plugins-$$/. {PLUGINS}; " \
           f"rm -r /tmp/vse-plugins-$$; rm {PLUGINS}/librte_net_af_packet.so*"
    with own_mounts(machine, hide) as there:
        problem = both_say(machine, "plugins")
        [command] = problem["mend"]
        assert command.startswith("apt-get install --reinstall ")
        package = command.split()[-1]
        owner = run("dpkg", "-S", f"{PLUGINS}/librte_net_af_packet.so.23").stdout
        assert owner.split(":")[0] == package
        run(*machine.namespace.command(*there, "umount", str(PLUGINS)))
        starts(machine)


# --- what a switch runs with, and badly ----------------------------------------------------------


def both_warn(switch: Switch, check: str, words: str) -> dict:
    """The warning of doctor, which run logs in the same words; the switch runs all the same, and is stopped."""
    report = doctor(switch, OK)
    [warning] = findings(report, check, "warning", words)
    switch.start()
    is_logged(warning, switch.log())
    switch.verify()
    switch.stop(within=3.0)
    return warning


def is_gone(switch: Switch, warning: dict) -> None:
    report = doctor(switch, OK)
    assert warning["found"] not in [f["found"] for f in report["findings"]]
    before = len(switch.log())
    starts(switch)
    assert warning["found"] not in switch.log()[before:]


def test_an_interface_that_is_down(machine: Switch) -> None:
    machine.namespace.ip("link set ta down")
    warning = both_warn(machine, "interfaces", "ta is down")
    assert warning["mend"] == ["ip link set ta up"]
    mend(machine, warning)
    is_gone(machine, warning)


def test_an_uplink_too_small_for_the_headers(machine: Switch) -> None:
    machine.namespace.ip("link set up0 mtu 1500", "link set up1 mtu 1500")
    warning = both_warn(machine, "mtu", "needs 1550")
    assert warning["mend"] == ["ip link set up0 mtu 1550"]
    mend(machine, warning)
    # The chain has another link: the peer.
    chained = both_warn(machine, "mtu", "its peer up1")
    assert chained["mend"] == ["ip link set up1 mtu 1550"]
    mend(machine, chained)
    is_gone(machine, chained)
    assert all(f["severity"] == "ok" for f in doctor(machine, OK)["findings"] if f["check"] == "mtu")


def test_a_loose_filter(machine: Switch) -> None:
    machine.namespace.sysctl("net/ipv4/conf/all/rp_filter", "2")
    warning = both_warn(machine, "quiet", "rp_filter")
    mend(machine, warning)
    is_gone(machine, warning)


def test_the_host_speaks_where_the_switch_listens(machine: Switch) -> None:
    machine.namespace.sysctl("net/ipv6/conf/ta/disable_ipv6", "0")
    machine.namespace.ip("addr add 203.0.113.77/24 dev ta")
    spoken = both_warn(machine, "quiet", "ta: IPv6")
    mend(machine, spoken)
    is_gone(machine, spoken)
    addressed = both_warn(machine, "quiet", "203.0.113.77")
    mend(machine, addressed)
    is_gone(machine, addressed)


# --- what the command cannot be shown for here -------------------------------------------------------


def test_a_device_of_the_kernels(machine: Switch, hugepages: Path) -> None:
    """Real PCI devices that are not DPDK's. They are the machine's own, so there is no command that binds them."""
    pages = int(hugepages.read_text())
    hugepages.write_text(str(max(pages, 64)))
    devices = sorted(path for path in Path("/sys/bus/pci/devices").iterdir())
    assert devices, "a machine without PCI: the unit tests have a device"
    machine.config.hugepages, machine.config.memory_mib = True, 128
    for device in (device for device in devices if (device / "driver").exists()):
        machine.config.ports[1].device = device.name
        report = doctor(machine, FAILURE)
        problems = [f for f in report["findings"] if f["severity"] == "problem"]
        driver = next(f for f in problems if f["check"] == "driver")
        assert device.name in driver["found"] and not driver["mend"] and "careful" in driver["advice"], driver
        # No IOMMU is a warning, because there is a way without; run names it beside the problem.
        warnings = [f for f in report["findings"] if f["check"] == "iommu"]
        assert warnings or (device / "iommu_group").exists()
        _, said = machine.refuses()
        for finding in problems + warnings:
            assert all(text in said for text in (finding["found"], finding["cause"], *finding["mend"])), said


def test_a_device_that_is_gone_and_one_of_no_driver(machine: Switch) -> None:
    machine.config.ports[1].device = "0000:7f:1f.7"
    machine.config.hugepages = False
    report = doctor(machine, FAILURE)
    assert {f["check"] for f in report["findings"] if f["severity"] == "problem"} == {"device", "hugepages"}
    machine.config.ports[1].device = "net_nonsense0,iface=ta"
    assert "net_nonsense" in both_say(machine, "plugins")["found"]


@pytest.mark.parametrize("arguments, words", [
    (["--bogus"], ("eal-args", "--bogus", "cause:")),
    (["-m", "1048576"], ("hugepages", "cause:", "help:")),
    (["--vdev=net_nonsense7"], ("cause:", "help:")),
])
def test_what_only_dpdk_can_know_is_translated(machine: Switch, arguments: list[str], words: tuple[str, ...]) -> None:
    machine.config.eal_args = arguments
    machine.config.hugepages = True
    status, said = machine.refuses()
    assert status == FAILURE
    for word in words:
        assert word in said, said


# --- memory, and a running switch ----------------------------------------------------------------


def test_memory_is_computed_not_guessed(machine: Switch, hugepages: Path) -> None:
    """What doctor computes is what the switch takes, to the buffer and to the page."""
    machine.config.ports[1].device += ",framesz=4096"
    machine.config.hugepages = True
    machine.config.memory_mib = 256
    hugepages.write_text("256")
    memory = doctor(machine, OK)["memory"]
    machine.config.memory_mib = memory["least_memory_mib"]
    assert 64 <= machine.config.memory_mib < 256

    def free() -> int:
        return int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text())

    before = free()
    machine.start()
    assert machine.metric("vswitch_mbufs_capacity") == memory["packet_buffers"]
    taken_mib = (before - free()) * 2
    # EAL takes whole pages; drivers may take a page more while they run.
    assert machine.config.memory_mib <= taken_mib <= machine.config.memory_mib + 4, taken_mib

    # Hugepages that this switch holds are not missing.
    hugepages.write_text(str(int(hugepages.read_text()) - free()))
    until("no hugepage is free", lambda: free() == 0)
    report = doctor(machine, OK)
    [held] = [f for f in report["findings"] if f["check"] == "hugepages"]
    assert held["severity"] == "ok" and f"process {machine.process.pid}) holds {taken_mib} MiB" in held["found"], held
    machine.verify()
    machine.stop(within=3.0)


def test_memory_without_hugepages_is_computed(machine: Switch) -> None:
    """A buffer takes a page of 4 KiB: what that adds up to is enough, and 10 MiB less is not."""
    least = doctor(machine, OK)["memory"]["least_memory_mib"]
    machine.config.memory_mib = least
    starts(machine)
    machine.config.eal_args = ["-m", str(least - 10)]
    _, said = machine.refuses()
    assert "no memory for 16383 packet buffers" in said, said


def test_doctor_needs_neither_root_nor_a_file(machine: Switch) -> None:
    with tempfile.TemporaryDirectory(prefix="vse-") as name:
        as_nobody(machine, Path(name))
        done = run(*machine.command("doctor"))
    assert "not root" in done.stdout and "plugins" in done.stdout, done.stdout


def test_doctor_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[dpdk]\nmemory = 1\n")
    done = run(str(BINARY), "doctor", str(path), check=False)
    assert done.returncode == USAGE and "wrong.toml:2:" in done.stderr


def test_the_text_has_cause_command_and_memory(machine: Switch) -> None:
    machine.namespace.ip("link delete ta")
    machine.write_config()
    done = subprocess.run(machine.command("doctor", str(machine.config_file)), capture_output=True, text=True, check=False)
    assert done.returncode == FAILURE
    for words in ("CHECK", "interfaces", "problem", "  cause: ", "  help:  ", "`ip link add ta type veth", "packet buffers", "1 problem, "):
        assert words in done.stdout, done.stdout
