"""Two workers and two queues: the same things hold, and the counters of both add up.

Two workers and the management core want three CPUs. Where there are two, one worker polls on the
main core as well: slower, but the same code with the same races.
"""

from __future__ import annotations

import os

from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab
from lib.switch import Switch
from lib.tenant import Tenant
from lib.wait import until


def two_workers(tenant_queues: int) -> Config:
    return Config(
        worker_cores=[1, 2] if len(os.sched_getaffinity(0)) >= 3 else [0, 1],
        ports=[
            Port("uplink", "net_af_packet0,iface=up0,qpairs=2", mtu=1600, queues=2),
            Port("tenant-a", f"net_af_packet1,iface=ta,qpairs={tenant_queues}", queues=tenant_queues),
        ],
        vteps=[Vtep("198.51.100.1/24")],
        networks=[Network("blue", 100, ["tenant-a"], ["198.51.100.2"])],
    )


def build(lab: Lab, tenant_queues: int) -> tuple[Switch, Tenant, Tenant]:
    fabric = lab.fabric()
    fabric.attach(lab.namespace("sw"), "up0", queues=2)
    vtep = lab.linux_vtep(fabric, "h1", "198.51.100.2/24")
    vtep.network(100, ["198.51.100.1"])
    remote = vtep.tenant(lab.namespace("r"), 100, "203.0.113.20", "02:00:00:00:00:14")
    local = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a", queues=2)
    return lab.switch(two_workers(tenant_queues)).start(), local, remote


def exercise(switch: Switch, local: Tenant, remote: Tenant) -> None:
    local.reaches(remote)
    assert local.ping(remote.address, count=10) == 10
    assert remote.ping(local.address, count=10) == 10
    for reverse in (False, True):
        measured = local.iperf(remote, reverse=reverse, megabits=20)
        assert measured.bits_per_second > 15e6, measured
        assert measured.retransmits < measured.segments / 100, measured


def test_both_workers_forward(lab: Lab) -> None:
    """Many flows over both queues; every worker has its share, and the sum is what the ports count."""
    switch, local, remote = build(lab, tenant_queues=2)
    exercise(switch, local, remote)
    workers = switch.show("workers")
    assert len(workers) == 2
    assert all(worker["received"] > 0 for worker in workers), workers

    def adds_up() -> bool:
        metrics = switch.metrics()
        ours = metrics.value("vswitch_port_receive_packets_total", port="tenant-a")
        theirs = local.namespace.run("cat", "/sys/class/net/eth0/statistics/tx_packets").stdout
        return int(ours) == int(theirs)

    until("the tenant has sent what its port has received", adds_up)


def test_a_device_with_fewer_queues_than_workers(lab: Lab) -> None:
    """The tenant's port has one transmit queue, which belongs to one worker; the other hands its frames over."""
    exercise(*build(lab, tenant_queues=1))
