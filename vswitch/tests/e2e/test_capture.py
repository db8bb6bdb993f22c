"""Captures and the drop ring, with kernels at the other ends, and tshark as the reader."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from lib.api import Api
from lib.lab import Lab, af_packet, overlay_config
from lib.overlay import experimental, probe, resolve, start, uplink_to_probe
from lib.switch import BINARY, Switch
from lib.wait import until
from test_changes import Watch, full_rate
from test_connectivity import LOCAL, REMOTE, make_pair

TSHARK = "/usr/bin/tshark"


class Capture:
    """A running `vswitch capture`, writing to a file."""

    def __init__(self, switch: Switch, file: Path, *words: str):
        self.switch, self.file = switch, file
        before = len(self.running())
        self.process = subprocess.Popen(
            [str(BINARY), "capture", "--socket", str(switch.socket), "-w", str(file), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        until("the capture runs", lambda: len(self.running()) > before or self.process.poll() is not None)

    def running(self) -> list[dict]:
        api = Api(self.switch.socket)
        try:
            return api.get("/v1/captures")
        finally:
            api.close()

    def end(self) -> str:
        """Ctrl-C; what it says at its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        out, said = self.process.communicate(timeout=20)
        assert self.process.returncode == 0 and out == "", (out, said)
        assert " captured, " in said and " missed (no room: " in said, said
        return said

    def packets(self) -> list[tuple[str, str, str]]:
        """Interface, protocols and comment of each packet, as tshark reads the file."""
        return fields(self.file)


def fields(file: Path) -> list[tuple[str, str, str]]:
    done = subprocess.run(
        [TSHARK, "-r", str(file), "-T", "fields", "-e", "frame.interface_name", "-e", "frame.protocols",
         "-e", "frame.comment"],
        capture_output=True, text=True, timeout=60, check=True,
    )
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def test_a_ping_is_captured_at_each_stage(lab: Lab, tmp_path: Path) -> None:
    pair = make_pair(lab)
    pair.local.reaches(pair.remote)
    everything = Capture(pair.switch, tmp_path / "all.pcapng", "icmp", "or", "udp", "port", "4789")
    inside = Capture(pair.switch, tmp_path / "icmp.pcapng", "--stage", "decapsulated", "--network", "blue", "icmp")
    assert pair.local.ping(REMOTE, count=3) == 3
    until("they are in the file", lambda: len(inside.packets()) >= 3)
    for capture in (everything, inside):
        said = capture.end()
        assert "0 missed" in said, said

    generation = "generation 1"
    seen = Counter((interface, comment) for interface, _, comment in everything.packets())
    for interface, comment in [
        ("tenant-a/received",
         f"received on port tenant-a, network blue (VNI 100), encapsulated to remote VTEP 198.51.100.2, {generation}"),
        ("uplink/transmitted", f"transmitted on port uplink, network blue (VNI 100), sent, {generation}"),
        ("uplink/received",
         "received on port uplink from remote VTEP 198.51.100.2, network blue (VNI 100), forwarded to port tenant-a, "
         + generation),
        ("tenant-a/transmitted", f"transmitted on port tenant-a, network blue (VNI 100), sent, {generation}"),
    ]:
        assert seen[interface, comment] >= 3, (interface, comment, seen)
    # The filter was for what is inside, where nothing is around it any more.
    packets = inside.packets()
    assert len(packets) == 3, packets
    for interface, protocols, comment in packets:
        assert (interface, "vxlan" in protocols) == ("uplink/decapsulated", False), packets
        assert "icmp" in protocols and comment.startswith("decapsulated on port uplink from remote VTEP 198.51.100.2")


def test_tshark_reads_the_pipe(lab: Lab) -> None:
    pair = make_pair(lab)
    pair.local.reaches(pair.remote)
    vswitch = subprocess.Popen(
        [str(BINARY), "capture", "--socket", str(pair.switch.socket), "--port", "tenant-a", "--stage", "received", "icmp"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    tshark = subprocess.Popen(
        [TSHARK, "-l", "-r", "-", "-c", "2", "-T", "fields", "-e", "ip.dst", "-e", "frame.comment"],
        stdin=vswitch.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    vswitch.stdout.close()

    def read() -> bool:
        pair.local.ping(REMOTE, count=1, wait=0.2)
        return tshark.poll() is not None

    until("tshark has read two packets", read, seconds=30)
    lines = tshark.stdout.read().splitlines()
    assert len(lines) == 2 and all(line.startswith(f"{REMOTE}\treceived on port tenant-a, ") for line in lines), (
        lines, tshark.stderr.read())
    # Nobody reads any more: that ends the capture, and well.
    until("the capture ends", lambda: pair.local.ping(REMOTE, count=1, wait=0.2) >= 0 and vswitch.poll() is not None,
          seconds=30)
    said = vswitch.stderr.read()
    assert vswitch.returncode == 0 and " captured, " in said, (vswitch.returncode, said)


def test_a_flooded_frame_is_captured_whole(lab: Lab, tmp_path: Path) -> None:
    """A long frame leaves in several buffers: its headers, and the bytes that all its replicas share."""
    uplink_to_probe(lab)
    local = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    switch = start(lab, overlay_config(["198.51.100.2", "198.51.100.3"], tenant_device=af_packet(1, "ta")))
    far = probe(lab)
    resolve(switch, local, far, ("198.51.100.2", "198.51.100.3"))
    capture = Capture(switch, tmp_path / "flood.pcapng", "--stage", "transmitted", "--vtep", "fabric", "greater", "1400")
    frame = experimental("ff:ff:ff:ff:ff:ff", local.mac, b"long", length=1400)
    with local.sender() as hand:
        hand.send(frame)
    until("both have left", lambda: len(capture.packets()) == 2)
    capture.end()
    done = subprocess.run([TSHARK, "-r", str(capture.file), "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len",
                           "-e", "ip.dst", "-e", "vxlan.vni"], capture_output=True, text=True, check=True)
    packets = sorted(line.split("\t") for line in done.stdout.splitlines())
    assert packets == [["1450", "1450", "198.51.100.2", "100"], ["1450", "1450", "198.51.100.3", "100"]], packets


def test_why_did_this_frame_vanish(lab: Lab, tmp_path: Path) -> None:
    """The drop ring has the frame afterwards, and a capture of the reason has it as it happens."""
    uplink_to_probe(lab)
    local = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    switch = start(lab, overlay_config(["198.51.100.2", "198.51.100.3"], tenant_device=af_packet(1, "ta")))
    far = probe(lab)
    resolve(switch, local, far)
    live = Capture(switch, tmp_path / "live.pcapng", "--reason", "unknown_vni", "--count", "1")
    inner = experimental(local.mac, "02:00:00:00:00:fa", b"x")
    far.sender.send(far.wrap(inner, vni=4242))
    until("it is counted", lambda: switch.drops().get("unknown_vni"))
    shown = switch.show_text("dropped-frames", "--reason", "unknown_vni")
    assert "unknown_vni at port uplink, generation 1, 110 bytes: " in shown, shown
    assert "IPv4 198.51.100.2 → 198.51.100.1 UDP 50000 → 4789 VXLAN 4242: 02:00:00:00:00:fa → 02:00:00:00:00:0a" in shown
    until("the capture has its one frame", lambda: live.process.poll() is not None)
    live.end()
    [(interface, _, comment)] = live.packets()
    assert (interface, comment) == (
        "uplink/dropped", "dropped at port uplink, no network, dropped: unknown_vni, generation 1")

    # What the control thread drops is there, too: the host interface is down, and a ping for the host arrives.
    lab.namespace("sw").ip("link set vtep0 down")
    until("the host takes nothing",
          lambda: lab.namespace("probe").run("ping", "-c", "1", "-W", "0.2", "198.51.100.1", check=False)
          and switch.drops().get("host_write_failed"))
    shown = switch.show_text("dropped-frames", "--reason", "host_write_failed")
    assert "host_write_failed at port uplink, generation 1" in shown, shown
    file = tmp_path / "ring.pcapng"
    switch.show_text("dropped-frames", "--write", str(file))
    assert {comment.split(" ")[0] for _, _, comment in fields(file)} >= {"unknown_vni", "host_write_failed"}


class Starved:
    """The switch's worker, which gets next to nothing of its core while the block lasts."""

    def __init__(self, switch: Switch, core: int):
        self.core = core
        tasks = [int(task.name) for task in Path(f"/proc/{switch.process.pid}/task").iterdir()]
        [self.worker] = [task for task in tasks if os.sched_getaffinity(task) == {core}]

    def __enter__(self) -> None:
        spin = ["taskset", "-c", str(self.core), sys.executable, "-c", "while True: pass"]
        self.hog = subprocess.Popen(spin)
        os.sched_setscheduler(self.worker, os.SCHED_IDLE, os.sched_param(0))

    def __exit__(self, *_: object) -> None:
        os.sched_setscheduler(self.worker, os.SCHED_OTHER, os.sched_param(0))
        self.hog.kill()
        self.hog.wait()


class Chatter:
    """A host that sends by its VTEP's interface as fast as it can, until the interface goes."""

    def __init__(self, lab: Lab):
        namespace = lab.namespace("sw")
        namespace.ip("neigh replace 198.51.100.2 lladdr 02:00:00:00:01:02 nud permanent dev vtep0")
        self.socket = namespace.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self.over.is_set():
            try:
                self.socket.sendto(b"chatter", ("198.51.100.2", 9))
            except OSError:  # its queue is full, or it is gone
                time.sleep(0.001)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()
        self.socket.close()


def test_what_the_control_thread_drops(lab: Lab, tmp_path: Path) -> None:
    """The host sends faster than a worker without a core takes; then VTEP and uplink, whose index is the highest, are
    removed while frames wait for that worker. Both can be captured and are in the ring, by the names they had."""
    uplink_to_probe(lab)
    lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    config = overlay_config(["198.51.100.2"], tenant_device=af_packet(1, "ta"))
    config.ports.reverse()
    switch = start(lab, config)
    api = Api(switch.socket)
    capture = Capture(switch, tmp_path / "dropped.pcapng", "--stage", "dropped")

    def dropped(reason: str) -> float:
        return switch.metric("vswitch_drops_by_reason_total", reason=reason)

    with Starved(switch, core=1), Chatter(lab):
        until("the queue to the worker is full", lambda: dropped("host_queue_full") > 0, seconds=20)
        document = api.get("/v1/config")
        document["port"] = [port for port in document["port"] if port["name"] != "uplink"]
        document["vtep"] = []
        document["network"][0] |= {"vtep": None, "remote-vteps": []}
        api.change("POST", "/v1/apply", document)
    until("what waited is dropped", lambda: dropped("port_removed") > 0, seconds=20)
    api.close()
    capture.end()
    seen = {(interface, comment.rsplit(",", 1)[0]) for interface, _, comment in capture.packets()}
    for reason in ("host_queue_full", "port_removed"):
        assert ("uplink/dropped", f"dropped at port uplink, no network, dropped: {reason}") in seen, seen
        shown = switch.show_text("dropped-frames", "--reason", reason)
        assert f"{reason} at port uplink, generation " in shown and "→ 198.51.100.2 UDP" in shown, shown


@pytest.mark.parametrize("reads", [True, False], ids=["reader", "no-reader"])
def test_everything_at_full_rate(lab: Lab, tmp_path: Path, reads: bool) -> None:
    """What cannot be taken is counted, no frame is lost for it, and other captures go on beside it. That frames go on
    passing is seen here; how fast they do is what `benches/side-by-side` measures with captured-vswitch."""
    switch = full_rate(lab, tmp_path)
    watch = Watch(switch)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(switch.socket))
        slow.sendall(b"GET /v1/capture HTTP/1.1\r\nhost: h\r\n\r\n")
        beside = Capture(switch, tmp_path / "beside.pcapng", "--port", "sink", "--count", "1000")
        sent = [watch.sent()]
        for _ in range(4):
            until_then = time.monotonic() + 0.5
            while time.monotonic() < until_then:
                if reads:
                    slow.recv(1 << 20)
                else:
                    time.sleep(0.1)
            sent.append(watch.sent())
        until("the other one has had its share", lambda: beside.process.poll() is not None, seconds=10)
        said = beside.end()
        assert said.startswith("1000 frames captured, "), said
        [everything] = beside.running()
    missed = everything["missed_no_room"], everything["missed_over_budget"]
    assert missed[1] > 0, "at full rate not every frame can be looked at"
    if not reads:
        assert missed[0] > 0, "nobody read"
    until("the capture of whoever went away is over", lambda: beside.running() == [])
    assert watch.lost() == {}, "captures drop nothing, and every frame is accounted for"
    assert all(earlier[port] < later[port] for earlier, later in zip(sent, sent[1:]) for port in earlier), \
        f"frames passed all the time: {sent}"
    assert len(beside.packets()) == 1000


def test_a_stop_ends_captures_well(lab: Lab, tmp_path: Path) -> None:
    pair = make_pair(lab)
    pair.local.reaches(pair.remote)
    capture = Capture(pair.switch, tmp_path / "all.pcapng", "--port", "tenant-a")
    assert pair.local.ping(REMOTE, count=2) == 2
    assert pair.remote.ping(LOCAL, count=2) == 2
    pair.switch.verify()
    pair.switch.stop()
    said = capture.end()
    assert not said.startswith("0 frames"), said
    assert len(capture.packets()) >= 8
