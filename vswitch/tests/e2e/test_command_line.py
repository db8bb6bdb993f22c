"""The command line changes a running switch, as the README says."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab
from lib.switch import BINARY, Switch
from lib.terminal import Terminal
from lib.wait import until


def vswitch(switch: Switch, *words: str, stdin: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(BINARY), *words, "--socket", str(switch.socket)], input=stdin, capture_output=True, text=True, timeout=20,
        check=False,
    )


def test_plan_apply_confirm_and_single_changes(lab: Lab, tmp_path: Path) -> None:
    lab.namespace("sw").ip("link set lo up")
    switch = lab.switch(Config(
        ports=[Port("uplink", "net_ring0"), Port("a", "net_ring1"), Port("b", "net_ring2")],
        vteps=[Vtep("198.51.100.1/24", mac="02:00:00:00:00:01")],
        networks=[Network("blue", 100, ["a"], ["198.51.100.2"])],
    ))
    switch.start()

    def done(*words: str) -> str:
        ended = vswitch(switch, *words)
        assert ended.returncode == 0, (words, ended)
        return ended.stdout

    # What is running, as a file: planning it shows no difference.
    file = tmp_path / "new.toml"
    file.write_text(done("show", "config"))
    done("plan", str(file))

    file.write_text(file.read_text() + '\n[[network]]\nname = "red"\nvni = 200\n  [[network.port]]\n  port = "b"\n')
    planned = vswitch(switch, "plan", str(file))
    assert planned.returncode == 3 and "+ network red" in planned.stdout, planned
    assert {row["name"] for row in switch.show("networks")} == {"blue"}, "a plan changes nothing"

    done("apply", str(file), "--confirm-within", "2s")
    assert {row["name"] for row in switch.show("networks")} == {"blue", "red"}
    until("it goes back by itself", lambda: {row["name"] for row in switch.show("networks")} == {"blue"}, seconds=5)
    done("apply", str(file), "--confirm-within", "60s")
    done("confirm")

    done("network", "create", "green", "--vni", "300", "--vtep", "fabric", "--remote-vtep", "198.51.100.3")
    done("port", "add", "c", "--device", "net_ring3")
    done("network", "attach", "green", "c")
    done("mac", "add", "green", "02:00:00:00:00:77", "--remote-vtep", "198.51.100.4")
    done("network", "migrate", "--mac", "02:00:00:00:00:77", "--network", "green", "--to-remote-vtep", "198.51.100.3")
    [row] = switch.show("fdb")
    assert row["mac"] == "02:00:00:00:00:77", row
    # There is no way to the new home here: it stays where it was for a while.
    until("it is at its new home", lambda: switch.show("fdb")[0]["remote_vtep"] == "198.51.100.3")
    done("network", "migrate", "--port", "c", "--from", "green", "--to", "red")
    assert {port["name"]: port["members"] for port in switch.show("ports")}["c"] == [{"network": "red"}]

    wrong = vswitch(switch, "network", "attach", "blue", "nobody")
    assert wrong.returncode in (1, 2) and "nobody" in wrong.stderr, wrong
    for words in (("network", "delete", "green"), ("network", "detach", "red", "c"), ("port", "remove", "c")):
        done(*words)
    file.write_text(done("show", "config"))
    done("plan", str(file))


def test_what_takes_long_shows_progress_on_a_terminal(lab: Lab, tmp_path: Path) -> None:
    """A switch that is stopped for a while takes as long as the test wants."""
    lab.namespace("sw").ip("link set lo up")
    switch = lab.switch(Config(
        ports=[Port("a", "net_ring0"), Port("b", "net_ring1")], networks=[Network("blue", 100, ["a", "b"], vtep=None)],
    )).start()
    file = tmp_path / "new.toml"
    switch.config.networks[0].ports = ["a"]
    file.write_text(switch.config.render(switch.socket))
    assert switch.process is not None
    switch.process.send_signal(signal.SIGSTOP)
    screen = lab.keep(Terminal(str(BINARY), "apply", str(file), "--socket", str(switch.socket)))
    screen.sees("that it compares", lambda text: "comparing" in text and "1s" in text)
    switch.process.send_signal(signal.SIGCONT)
    text = screen.sees("the question", lambda text: "Apply? [y/N]" in text)
    assert "- member b" in text and "comparing" not in text, text
    switch.process.send_signal(signal.SIGSTOP)
    screen.press("y\n")
    screen.sees("that it applies", lambda text: "applying" in text and "1s" in text)
    switch.process.send_signal(signal.SIGCONT)
    assert screen.ends() == 0
    text = screen.sees("the end", lambda text: "applied: generation 2" in text)
    assert "applying" not in text, "the line is gone"
    assert {row["name"]: row["members"] for row in switch.show("ports")} == {"a": [{"network": "blue"}], "b": []}
