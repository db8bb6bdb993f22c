"""What was acknowledged survives: SIGKILL at any moment, damage, roll-backs, edited files."""

from __future__ import annotations

import contextlib
import copy
import http.client
import random
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from lib.api import Api
from lib.config import Config, Network, Port, Vtep
from lib.lab import Lab
from lib.switch import Switch
from lib.wait import until

ROUNDS = 100


def small(lab: Lab) -> Switch:
    """A switch that starts fast."""
    lab.namespace("sw").ip("link set lo up")
    config = Config(
        ports=[Port("uplink", "net_ring0"), Port("t0", "net_ring1")],
        vteps=[Vtep("198.51.100.1/24", mac="02:00:00:00:00:01")],
        networks=[Network("blue", 100, ["t0"], ["198.51.100.2"])],
        memory_mib=128,
    )
    return lab.switch(config)


def start(switch: Switch) -> None:
    switch.spawn()
    until("the API answers", lambda: answers(switch), seconds=15, every=0.02)


def answers(switch: Switch) -> bool:
    assert switch.running, switch.log()
    try:
        api = Api(switch.socket)
        api.get("/v1/config")
        api.close()
    except OSError:
        return False
    return True


def another(document: dict, number: int) -> dict:
    """A configuration that differs from every other one in many places, so that a mixture would show."""
    changed = copy.deepcopy(document)
    changed["network"] = [
        {"name": f"n{number}-{n}", "vni": 1 + n, "vtep": "fabric", "remote-vteps": [f"198.51.100.{number % 200 + 2}"],
         "mac-ageing-secs": 10 + number, "port": [], "mac": []}
        for n in range(1 + number % 40)
    ]
    return changed


class Killing:
    """Kills a switch beside what the test asks of it: at a random moment, or as soon as its state is another file, when
    the change is stored and not acknowledged yet."""

    def __init__(self, switch: Switch, after: float | None):
        self._switch = switch
        self._after = after
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._state = self._inode()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _inode(self) -> int:
        return (self._switch.state / "state.toml").stat().st_ino

    def _run(self) -> None:
        if self._after is not None:
            time.sleep(self._after)
        else:
            while self._inode() == self._state and not self._over.is_set():
                pass
        self._switch.kill()


def acknowledged(api: Api, path: str, body: object = None) -> bool:
    """Asks for a change beside the end of the switch."""
    try:
        return api.change("POST", path, body) is not None
    except (OSError, http.client.HTTPException):
        return False


def killed(switch: Switch, after: float | None, api: Api, path: str, body: object = None) -> tuple[bool, dict]:
    """A change, beside which the switch is killed: whether it was acknowledged, and what the next start comes up with."""
    with Killing(switch, after):
        was_acknowledged = acknowledged(api, path, body)
    start(switch)
    return was_acknowledged, Api(switch.socket).get("/v1/config")


def test_a_hundred_kills_during_changes(lab: Lab) -> None:
    """Half of them at random, half of them at the worst moment."""
    switch = small(lab)
    start(switch)
    before = Api(switch.socket).get("/v1/config")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number in range(ROUNDS):
        wanted = another(before, number)
        api = Api(switch.socket)
        api.get("/v1/config")
        after = chance.uniform(0.0, 0.02) if number % 2 else None
        was_acknowledged, found = killed(switch, after, api, "/v1/apply", wanted)
        possible = [wanted] if was_acknowledged else [before, wanted]
        assert found in possible, f"round {number}, seed {seed}, acknowledged {was_acknowledged}"
        outcomes["acknowledged" if was_acknowledged else "in flight" if found == wanted else "not made"] += 1
        before = found
    print(f"of {ROUNDS} changes, came up: {dict(outcomes)}")
    # When the state is there, the directory is yet to be synced and the answer to be sent: time enough for a kill.
    assert outcomes["in flight"] > 0, outcomes


@pytest.mark.parametrize("verb, rounds", [("confirm", 20), ("roll-back", 10)])
def test_kills_while_a_change_is_confirmed_or_rolled_back(lab: Lab, verb: str, rounds: int) -> None:
    switch = small(lab)
    start(switch)
    before = Api(switch.socket).get("/v1/config")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for number in range(rounds):
        wanted = another(before, number)
        api = Api(switch.socket)
        api.change("POST", "/v1/apply?confirm-within-secs=60", wanted)
        after = chance.uniform(0.0, 0.01) if number % 2 else None
        was_acknowledged, found = killed(switch, after, api, f"/v1/{verb}")
        # Nobody has confirmed what is rolled back, whether that is complete or not.
        possible = [before] if verb == "roll-back" else [wanted] if was_acknowledged else [before, wanted]
        assert found in possible, f"round {number}, seed {seed}, acknowledged {was_acknowledged}"
        said = f"{'' if was_acknowledged else 'not '}acknowledged, {'new' if found == wanted else 'former'}"
        outcomes[said] += 1
        # What waited is over, one way or the other: the next change is not refused.
        before = found
    print(f"of {rounds} times {verb}: {dict(outcomes)}")
    assert any(said.startswith("not") for said in outcomes), outcomes


def test_a_damaged_state_is_reported_and_the_one_before_it_used(lab: Lab) -> None:
    switch = small(lab)
    start(switch)
    api = Api(switch.socket)
    first = api.get("/v1/config")
    second = another(first, 1)
    api.change("POST", "/v1/apply", second)
    api.change("POST", "/v1/apply", another(first, 2))
    switch.stop(within=3)
    state = switch.state / "state.toml"
    damaged = state.read_bytes()[:-20]
    state.write_bytes(damaged)
    start(switch)
    assert Api(switch.socket).get("/v1/config") == second
    said = switch.log()
    assert "state.toml" in said and "kept" in said, said
    assert any(file.read_bytes() == damaged for file in switch.state.glob("state.toml.damaged-*"))


def test_a_change_that_cannot_be_saved_is_undone_and_its_generation_does_not_come_again(lab: Lab) -> None:
    switch = small(lab)
    switch.state.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(switch.state)], check=True)
    try:
        start(switch)
        api = Api(switch.socket)
        before = api.get("/v1/config")
        filler = switch.state / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        answer = api.ask("POST", "/v1/networks", {"name": "x", "vni": 9}, If_Match="*")
        assert answer.status == 507, answer
        assert api.get("/v1/config") == before
        given = api.get("/v1/generation")["generation"]
        assert given == 3, "the change, and its undoing"
        filler.unlink()
        state = switch.state / "state.toml"
        until("the state knows the generation", lambda: f"generation {given}" in state.read_text()[:200], seconds=8)
        switch.kill()
        start(switch)
        api = Api(switch.socket)
        assert (api.get("/v1/generation")["generation"], api.get("/v1/config")) == (given, before)
        switch.stop(within=3)
    finally:
        subprocess.run(["umount", "--lazy", str(switch.state)], check=True)
    switch.idle_mbufs = float("inf")


def test_what_was_not_confirmed_is_undone_by_a_kill(lab: Lab) -> None:
    switch = small(lab)
    start(switch)
    api = Api(switch.socket)
    before = api.get("/v1/config")
    api.change("POST", "/v1/apply?confirm-within-secs=60", another(before, 3))
    switch.kill()
    start(switch)
    assert Api(switch.socket).get("/v1/config") == before
    assert "not confirmed" in switch.log()


def test_an_edited_file_wins_and_an_old_one_does_not(lab: Lab) -> None:
    switch = small(lab)
    start(switch)
    api = Api(switch.socket)
    api.change("POST", "/v1/networks", {"name": "red", "vni": 7})
    switch.stop(within=3)
    start(switch)
    assert {row["name"] for row in Api(switch.socket).get("/v1/networks")} == {"blue", "red"}
    assert "--fresh" in switch.log(), "it says that the file differs"
    switch.stop(within=3)
    switch.config.networks.append(Network("green", 8, []))
    start(switch)
    assert {row["name"] for row in Api(switch.socket).get("/v1/networks")} == {"blue", "green"}


def test_two_switches_do_not_share_a_state(lab: Lab, tmp_path: Path) -> None:
    switch = small(lab)
    start(switch)
    second = small(lab)
    second.state = switch.state
    second.config.metrics = "127.0.0.1:9145"
    status, said = second.refuses()
    assert status == 1 and "another switch uses the state directory" in said, said
    assert Api(switch.socket).get("/v1/networks")
