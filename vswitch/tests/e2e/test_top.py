"""`vswitch top` on a terminal, beside a switch at work."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from pathlib import Path

from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab, af_packet
from lib.switch import BINARY, Switch
from lib.terminal import Terminal


def tenants(lab: Lab):
    a = lab.local_tenant("ta", "a", "203.0.113.10", "02:00:00:00:00:0a")
    b = lab.local_tenant("tb", "b", "203.0.113.11", "02:00:00:00:00:0b")
    lab.namespace("sw").ip("link set lo up")
    switch = lab.switch(Config(
        ports=[Port("uplink", "net_ring0"), Port("tenant-a", af_packet(1, "ta")), Port("tenant-b", af_packet(2, "tb"))],
        vteps=[Vtep("198.51.100.1/24", mac="02:00:00:00:00:01")],
        networks=[Network("blue", 100, ["tenant-a", "tenant-b"])],
        memory_mib=512,
    )).start()
    return switch, a, b


def top(switch: Switch, *words: str) -> list[str]:
    return [str(BINARY), "top", *words, "--socket", str(switch.socket)]


def row(text: str, name: str) -> list[str]:
    """The cells of the line that begins with a name."""
    line = next(line for line in text.splitlines() if line.startswith(f"│{name} "))
    return re.split(r"\s{2,}", line.strip("│ "))


def test_rates_on_a_terminal(lab: Lab) -> None:
    switch, a, b = tenants(lab)
    a.reaches(b)
    screen = lab.keep(Terminal(*top(switch, "--interval", "500ms"), columns=140, lines=45))
    ping = a.namespace.popen("ping", "-q", "-i", "0.01", "-w", "20", b.address, stdout=subprocess.DEVNULL)
    try:
        # 100 requests a second from a, and as many answers to it.
        text = screen.sees("traffic", lambda text: "│tenant-a " in text and 50 < float(row(text, "tenant-a")[2]) < 150)
    finally:
        ping.terminate()
        ping.wait()
    name, link, into, _, out_of, *_, role = row(text, "tenant-a")
    assert (link, role) == ("up", "in blue") and 50 < float(out_of) < 150, text
    assert 100 < float(row(text, "blue")[2]) < 300, "of both ports"
    assert "unaccounted 0" in text and "0 on core 1" in text, text
    screen.sees("silence", lambda text: row(text, "tenant-a")[2] == "0")

    # A drop: its rate, then its number, and what it means.
    with a.sender() as hand:
        hand.send(b"\x02\x00\x00\x00\x00\x0b" + b"\x03\x00\x00\x00\x00\x0a" + b"\x88\xb5" + bytes(46))
    text = screen.sees("the drop", lambda text: "invalid_source_mac" in text)
    assert "The source MAC is zero or a group address" in text, text

    screen.press("p")
    screen.sees("that it is paused", lambda text: "paused" in text)
    screen.press("q")
    assert screen.ends() == 0
    assert screen.output.endswith(b"\x1b[?1049l\x1b[?25h") or b"\x1b[?1049l" in screen.output, "the screen before is back"


def test_a_switch_that_stops_and_comes_back(lab: Lab) -> None:
    switch, _, _ = tenants(lab)
    screen = lab.keep(Terminal(*top(switch, "--interval", "200ms"), columns=100, lines=30))
    screen.sees("ports", lambda text: "│tenant-a " in text)
    switch.stop()
    screen.sees("that nobody answers", lambda text: "no answer for" in text)
    switch.start()
    screen.sees("ports again", lambda text: "no answer for" not in text and "│tenant-a " in text)
    screen.press("\x03")
    assert screen.ends() == 0


def test_without_a_terminal(lab: Lab, tmp_path: Path) -> None:
    switch, a, b = tenants(lab)
    ended = subprocess.run(top(switch), capture_output=True, text=True, timeout=10, check=False)
    assert ended.returncode == 2 and ended.stdout == "" and "--json" in ended.stderr, ended
    nobody = subprocess.run(
        [str(BINARY), "top", "--json", "--socket", str(tmp_path / "nobody")], capture_output=True, text=True, timeout=10,
        check=False,
    )
    assert nobody.returncode == 1 and str(tmp_path / "nobody") in nobody.stderr, nobody
    reader = subprocess.Popen(top(switch, "--json", "--interval", "300ms"), stdout=subprocess.PIPE, text=True)
    sending = threading.Thread(target=lambda: a.ping(b.address, count=8))
    sending.start()
    lines = [json.loads(reader.stdout.readline()) for _ in range(5)]
    sending.join()
    reader.stdout.close()
    assert reader.wait(timeout=5) == 0, "a reader that has seen enough is no failure"
    assert all(line["unaccounted"] == 0 and 0.2 < line["secs"] < 3 for line in lines)
    sent = [port["receive"]["packets"] for line in lines for port in line["ports"] if port["name"] == "tenant-a"]
    assert max(sent) > 0, lines
