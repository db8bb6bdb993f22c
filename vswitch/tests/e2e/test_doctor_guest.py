"""A host is broken that has what this machine has not: NICs on PCI, an IOMMU, two NUMA nodes, cores that go off line.

As in test_doctor.py: `vswitch doctor` and `vswitch run` name the same cause and the same command, that command is run
as it is printed, and then the switch starts: on NICs that QEMU emulates, which DPDK drives, and frames pass. A start
takes seconds here: where another test has shown the same one, it is enough that doctor finds no problem.

One virtual machine for all. It is booted anew where the command says so, and only then.
"""

from __future__ import annotations

import re
from typing import Iterator

import pytest
from lib.config import Config, Network, Port, Vtep
from lib.doctor import FAILURE, OK, findings, is_logged, is_said, report_of
from lib.guest import Guest, SwitchInGuest
from lib.overlay import OUR_ADDRESS, PROBE_MAC, REMOTE, VNI, Probe, experimental
from lib.surroundings import NOBODY
from lib.wait import until

UPLINK, TENANT = "0000:41:00.0", "0000:42:00.0"
"""An e1000e and a virtio-net, each in a slot of node 1, alone in its group."""
NEIGHBOUR, STRANGER = "0000:01:01.0", "0000:01:02.0"
"""Two e1000 behind one bridge to PCI, so in one group."""
UPLINK_MAC, TENANT_MAC = "52:54:00:00:00:01", "52:54:00:00:00:02"
MACHINE = f"""
    -cpu max,vendor=GenuineIntel,-hypervisor -smp 4 -m 1024
    -object memory-backend-ram,id=memory0,size=512M -numa node,cpus=0-1,memdev=memory0
    -object memory-backend-ram,id=memory1,size=512M -numa node,cpus=2-3,memdev=memory1
    -device intel-iommu,intremap=on
    -device pxb-pcie,id=node1,bus_nr=64,bus=pcie.0,numa_node=1
    -device pcie-root-port,id=slot0,bus=node1,chassis=1,addr=0
    -device e1000e,bus=slot0,netdev=uplink,mac={UPLINK_MAC}
    -device pcie-root-port,id=slot1,bus=node1,chassis=2,addr=1
    -device virtio-net-pci,bus=slot1,netdev=tenant,mac={TENANT_MAC},disable-legacy=on,iommu_platform=on
    -device pcie-pci-bridge,id=pci,bus=pcie.0 -device e1000,bus=pci,addr=1,netdev=neighbour -device e1000,bus=pci,addr=2
"""
MAIN, WORKER = 0, 2
WORKER_OF_NODE_0 = 1
WITHOUT_IOMMU = "intel_iommu=off"
DEVICES = "/sys/bus/pci/devices"
PAGES = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"


@pytest.fixture(scope="module")
def virtual_machine() -> Iterator[Guest]:
    """The virtual machine as it is first booted: its kernel is told to use no IOMMU."""
    made = Guest(MACHINE.split(), WITHOUT_IOMMU)
    for name in ("uplink", "tenant", "neighbour"):
        made.cable(name)
    try:
        yield made.boot()
    finally:
        made.close()


@pytest.fixture
def without_iommu(virtual_machine: Guest) -> Iterator[SwitchInGuest]:
    """A switch on a host without an IOMMU. Nothing is bound."""
    if virtual_machine.run("ls /sys/class/iommu").stdout:
        virtual_machine.reboots(f"echo GRUB_CMDLINE_LINUX={WITHOUT_IOMMU} >> /etc/default/grub && update-grub && reboot")
    yield from in_order(virtual_machine, driver="")


@pytest.fixture
def machine(virtual_machine: Guest) -> Iterator[SwitchInGuest]:
    """A switch with everything that it needs, an IOMMU too; each test takes one thing away."""
    if not virtual_machine.run("ls /sys/class/iommu").stdout:
        virtual_machine.reboots(f"sed -i s/{WITHOUT_IOMMU}// /etc/default/grub && update-grub && reboot")
    yield from in_order(virtual_machine, driver="vfio-pci")


IN_ORDER = f"""
for node in 0 1; do echo 64 > {PAGES.format("$node")}; done
for core in /sys/devices/system/cpu/cpu[1-9]/online; do echo 1 > $core; done
[ ! -e /dev/vfio ] || chown -R root /dev/vfio
"""
BIND = f"""
bind() {{ # DEVICE [DRIVER]: to a driver, or to the kernel's own
    device={DEVICES}/$1 now=
    [ ! -e $device/driver ] || now=$(basename $(readlink $device/driver))
    case $now in
        "$2") [ -z "$2" ] || return 0 ;;
        vfio-pci | uio_pci_generic) ;;
        *) [ -n "$2" ] || return 0 ;;
    esac
    [ -z "$2" ] || modprobe $2
    echo $2 > $device/driver_override
    [ -z "$now" ] || echo $1 > $device/driver/unbind
    echo $1 > /sys/bus/pci/drivers_probe
}}
"""


def in_order(guest: Guest, driver: str) -> Iterator[SwitchInGuest]:
    """Everything as it should be, whatever the test before left."""
    guest.run(f"{IN_ORDER}{BIND}bind {UPLINK} {driver}\nbind {TENANT} {driver}\nbind {NEIGHBOUR}\nbind {STRANGER}\n")
    for cable in guest.cables.values():
        cable.clear()
    switch = SwitchInGuest(guest, Config(
        ports=[Port("uplink", UPLINK), Port("tenant-a", TENANT)],
        vteps=[Vtep(f"{OUR_ADDRESS}/24")],
        networks=[Network("blue", VNI, ["tenant-a"], [REMOTE])],
        worker_cores=[WORKER], main_core=MAIN, memory_mib=128, hugepages=True,
    ))
    try:
        yield switch
    finally:
        switch.kill()


# --- what doctor and run say -----------------------------------------------------------------


def doctor(switch: SwitchInGuest, status: int) -> dict:
    return report_of(switch.doctor(), status)


def both_say(switch: SwitchInGuest, *checks: str) -> tuple[dict, ...]:
    """The problems that keep the switch from starting, of these checks, as doctor and run have them."""
    report = doctor(switch, FAILURE)
    problems = tuple(f for f in report["findings"] if f["severity"] == "problem")
    assert [f["check"] for f in problems] == list(checks), problems
    done = switch.refuses()
    assert done.returncode == FAILURE
    for problem in problems:
        is_said(problem, done.said)
    for warning in report["findings"]:
        if warning["severity"] == "warning":
            is_logged(warning, done.said)
    return problems


def mend(switch: SwitchInGuest, *problems: dict) -> None:
    """Runs the commands, as somebody who copies them."""
    for problem in problems:
        assert problem["mend"], problem
        for command in problem["mend"]:
            switch.guest.run(command)
    switch.is_edited = True


def starts(switch: SwitchInGuest, tenant: str = "tenant") -> None:
    """Nothing keeps the switch from starting any more; it logs what doctor warns of, and frames pass in both directions."""
    report = doctor(switch, OK)
    switch.start()
    for warning in report["findings"]:
        if warning["severity"] == "warning":
            is_logged(warning, switch.log())
    switch.guest.run(f"ip neigh replace {REMOTE} lladdr {PROBE_MAC} dev vtep0")
    uplink, tenant_cable = switch.guest.cables["uplink"], switch.guest.cables[tenant]
    far = Probe(UPLINK_MAC, uplink, uplink)
    there = experimental("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:0a", b"from the tenant")
    back = experimental("ff:ff:ff:ff:ff:ff", "02:00:00:00:00:0b", b"to the tenant")

    def passed() -> bool:
        tenant_cable.send(there)
        far.send_inner(back)
        return bool(far.tunnelled(lambda inner: inner == there) and tenant_cable.frames(lambda f: f.data == back))

    until("frames pass", passed, seconds=60, every=0.1)
    until("every frame is accounted for", lambda: switch.metrics().value("vswitch_unaccounted_packets") == 0)
    switch.stop()


# --- without an IOMMU ------------------------------------------------------------------------


def test_no_iommu(without_iommu: SwitchInGuest) -> None:
    """Both name it, and why there is none. It can be done without: then root's uio drives the NICs."""
    switch = without_iommu
    report = doctor(switch, FAILURE)
    for address in (UPLINK, TENANT):
        [lack] = findings(report, "iommu", "warning", address)
        assert WITHOUT_IOMMU in lack["cause"], lack
    problems = both_say(switch, "driver", "driver")
    assert all(problem["mend"][0] == "modprobe uio_pci_generic" for problem in problems)
    mend(switch, *problems)
    starts(switch)


def test_an_iommu_is_turned_on(without_iommu: SwitchInGuest) -> None:
    """What is said to do is an argument of the kernel, and a boot."""
    switch = without_iommu
    advice = findings(doctor(switch, FAILURE), "iommu", "warning")[0]["advice"]
    assert f"take {WITHOUT_IOMMU} off the kernel's command line" in advice and "`update-grub`" in advice, advice
    switch.guest.reboots(f"sed -i s/{WITHOUT_IOMMU}// /etc/default/grub && update-grub && reboot")
    report = doctor(switch, FAILURE)
    assert not findings(report, "iommu", "warning")
    drivers = findings(report, "driver", "problem")
    assert [driver["mend"][0] for driver in drivers] == ["modprobe vfio-pci"] * 2, drivers


# --- NICs -------------------------------------------------------------------------------------


def test_vfio_is_not_loaded_and_the_kernel_has_the_nics(machine: SwitchInGuest) -> None:
    machine.guest.run(f"{BIND}bind {UPLINK}\nbind {TENANT}\nmodprobe -r vfio-pci vfio_iommu_type1; ! [ -e /sys/module/vfio ]")
    problems = both_say(machine, "driver", "driver")
    assert "e1000e" in problems[0]["found"] and "virtio-pci" in problems[1]["found"]
    mend(machine, *problems)
    assert machine.guest.run(f"readlink {DEVICES}/{UPLINK}/driver").stdout.strip().endswith("/vfio-pci")
    starts(machine)


def test_a_nic_of_no_driver(machine: SwitchInGuest) -> None:
    machine.guest.run(f"echo {UPLINK} > {DEVICES}/{UPLINK}/driver/unbind")
    mend(machine, *both_say(machine, "driver"))
    doctor(machine, OK)


def test_a_nic_that_was_removed(machine: SwitchInGuest) -> None:
    machine.guest.run(f"echo 1 > {DEVICES}/{UPLINK}/remove")
    mend(machine, *both_say(machine, "device"))
    # It is there again, and the kernel's.
    mend(machine, *both_say(machine, "driver"))
    doctor(machine, OK)


def test_a_nic_of_another_address(machine: SwitchInGuest) -> None:
    """No command can know which is meant: the one that is named lists them."""
    machine.config.ports[0].device = "0000:43:00.0"
    [problem] = both_say(machine, "device")
    assert "`lspci -D`" in problem["advice"]
    nics = re.findall(r"^(\S+) Ethernet", machine.guest.run("lspci -D").stdout, re.M)
    assert UPLINK in nics
    machine.config.ports[0].device = UPLINK
    doctor(machine, OK)


def test_a_group_that_the_kernel_has_a_part_of(machine: SwitchInGuest) -> None:
    machine.config.ports[1].device = NEIGHBOUR
    machine.guest.run(f"{BIND}bind {NEIGHBOUR} vfio-pci")
    [problem] = both_say(machine, "vfio")
    assert STRANGER in problem["found"] and "e1000" in problem["found"]
    mend(machine, problem)
    starts(machine, tenant="neighbour")


def test_a_nic_that_another_process_has(machine: SwitchInGuest) -> None:
    """Only DPDK can know. What that process is for, nobody but the operator does: so it is named, and no command ends it."""
    group = machine.guest.run(f"basename $(readlink {DEVICES}/{UPLINK}/iommu_group)").stdout.strip()
    machine.guest.run(f"sleep 100 <>/dev/vfio/{group} >/dev/null 2>&1 &")
    doctor(machine, OK)
    said = machine.refuses().said
    assert "another process has it" in said and "mend:" not in said, said
    [process] = re.findall(rf"cause: sleep \(process (\d+)\) has /dev/vfio/{group},", said)
    machine.guest.run(f"kill {process}")
    starts(machine)


# --- users ---------------------------------------------------------------------------------------


def test_a_group_s_file_and_locked_memory_of_a_user(machine: SwitchInGuest) -> None:
    """The service's user: two capabilities, and what root gives it."""
    guest = machine.guest
    guest.run(f"install -d -o {NOBODY} /run/vswitch")
    machine.socket = machine.socket.parent / "vswitch" / "vswitch.sock"
    capabilities = "--inh-caps=+net_admin,+net_raw --ambient-caps=+net_admin,+net_raw"
    machine.before = f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {capabilities} env XDG_RUNTIME_DIR=/run/vswitch"
    problems = both_say(machine, "vfio", "vfio", "memlock")
    mend(machine, *problems[:2])
    [limit] = both_say(machine, "memlock")
    raised = f"prlimit --memlock=unlimited {machine.binary} run"
    assert f"start it as root by `{raised}" in limit["advice"], limit
    machine.before = f"{raised.removesuffix(f' {machine.binary} run')} {machine.before}"
    starts(machine)


# --- cores and NUMA nodes ------------------------------------------------------------------------


def test_a_core_that_is_off_line(machine: SwitchInGuest) -> None:
    machine.guest.run(f"echo 0 > /sys/devices/system/cpu/cpu{WORKER}/online")
    [problem] = both_say(machine, "cores")
    assert f"core {WORKER}" in problem["found"] and "offline" in problem["found"]
    mend(machine, problem)
    starts(machine)


def test_hugepages_gone_from_every_node(machine: SwitchInGuest) -> None:
    machine.guest.run("sysctl -w vm.nr_hugepages=0")
    [problem] = both_say(machine, "hugepages")
    assert [command.split("/")[5] for command in problem["mend"]] == ["node0", "node1"]
    mend(machine, problem)
    doctor(machine, OK)


def test_a_worker_and_hugepages_far_from_the_nic(machine: SwitchInGuest) -> None:
    """On the NIC's node is no hugepage: it does not start. And when there are some: no worker."""
    machine.config.worker_cores = [WORKER_OF_NODE_0]
    machine.guest.run(f"echo 0 > {PAGES.format(1)}")
    [problem] = both_say(machine, "hugepages")
    assert "NUMA node 1" in problem["found"]
    mend(machine, problem)
    warning = findings(doctor(machine, OK), "numa", "warning", "uplink")[0]
    assert "NUMA node 1" in warning["found"] and f"cores of node 1: {WORKER}," in warning["advice"]
    machine.config.worker_cores = [WORKER]
    machine.is_edited = False
    assert not findings(doctor(machine, OK), "numa", "warning")


def test_a_core_that_is_not_isolated(machine: SwitchInGuest) -> None:
    [warning] = findings(doctor(machine, OK), "isolation", "warning")
    assert str(WORKER) in warning["found"]
    assert "`reboot`" in warning["advice"]
    mend(machine, warning)
    machine.guest.reboots("reboot")
    # The NICs are the kernel's again.
    assert not findings(doctor(machine, FAILURE), "isolation", "warning")
    assert machine.guest.run("cat /sys/devices/system/cpu/isolated").stdout.strip() == str(WORKER)
