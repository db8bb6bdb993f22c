"""The side-by-side benchmark measures what it says: every frame forwarded, every sample there. Never how fast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from lib.switch import BINARY, ROOT
from lib.wait import until

SUBJECTS = ["testpmd-io", "vswitch"]
SCENARIOS = ["l2", "encap", "decap", "mixed"]
NR_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")

pytestmark = pytest.mark.skipif(not NR_HUGEPAGES.exists(), reason="this kernel has no hugepages")


def side_by_side(*options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(ROOT / "benches" / "side-by-side"), *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False,
    )


def remains() -> tuple[set[str], str, set[str]]:
    """What a run must give back: namespaces, hugepages, DPDK's folders."""
    namespaces = {entry.name for entry in Path("/run/netns").glob("vsb*")}
    return namespaces, NR_HUGEPAGES.read_text(), {entry.name for entry in Path("/run/dpdk").glob("vsb*")}


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="what is measured needs a core of its own")
def test_every_frame_of_every_scenario_is_forwarded() -> None:
    before = remains()
    done = side_by_side(
        "--subjects", ",".join(SUBJECTS), "--vswitch", str(BINARY), "--macs", "1000", "--sizes", "64",
        "--rounds", "1", "--seconds", "0.5", "--warm-up", "0.2", "--json", "-",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["subjects"] == SUBJECTS
    assert told["cpu"] and told["tsc_hz"] > 1e8 and told["versions"]["dpdk"]
    assert [case["scenario"] for case in told["cases"]] == SCENARIOS
    for case in told["cases"]:
        assert (case["mac_pairs"], case["frame_bytes"], case["vnis"]) == (1000, 64, 1)
        assert (case["failed"], case["left_out"]) == ({}, {})
        assert list(case["subjects"]) == SUBJECTS
        for name, one in case["subjects"].items():
            assert len(one["samples_mpps"]) == 1, name
            assert 0 < one["min_mpps"] <= one["median_mpps"] <= one["max_mpps"], name
            assert one["cycles_per_packet"] > 0 and one["ratio_to_io"] > 0, name
            assert one["forwarded_share"] == pytest.approx(1, abs=0.02), name
            assert one["unaccounted_packets"] == 0, name
    assert remains() == before


POLLED = (
    "--subjects", "polled-vswitch", "--vswitch", str(BINARY), "--macs", "1000", "--sizes", "64", "--scenarios", "l2",
    "--warm-up", "0.2", "--json", "-",
)


def test_a_switch_that_is_polled_is_measured_while_it_is() -> None:
    done = side_by_side(*POLLED, "--rounds", "1", "--seconds", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    [case] = json.loads(done.stdout)["cases"]
    assert list(case["subjects"]) == ["polled-vswitch"] and case["failed"] == {}


@pytest.mark.parametrize("how, said", [(signal.SIGKILL, "its poller ended"), (signal.SIGSTOP, "its client was answered")])
def test_without_its_poller_there_is_no_sample(how: signal.Signals, said: str) -> None:
    def pollers() -> set[int]:
        lines = {int(entry.name): _command_line(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        return {pid for pid, line in lines.items() if b"side_by_side.poller" in line}

    others = pollers()
    running = subprocess.Popen(
        [str(ROOT / "benches" / "side-by-side"), *POLLED, "--rounds", "1", "--seconds", "1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    [poller] = until("the poller runs", lambda: pollers() - others, seconds=30)
    os.kill(poller, how)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 1 and said in told, told


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it is gone
        return b""


def test_an_interrupted_run_gives_everything_back() -> None:
    before = remains()
    running = subprocess.Popen(
        [str(ROOT / "benches" / "side-by-side"), "--subjects", "vswitch", "--vswitch", str(BINARY), "--macs", "1000"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    until("the switch runs", lambda: remains()[0] > before[0], seconds=20)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=20)
    assert running.returncode == 130, said
    assert remains() == before


def test_a_wrong_option_is_explained_before_anything_starts() -> None:
    done = side_by_side("--scenarios", "l2,l3")
    assert done.returncode == 2
    assert "no scenario is named l3; there are l2, encap, decap, mixed" in done.stderr
    done = side_by_side("--subjects", "vpp")
    assert done.returncode == 2
    assert "no subject is named vpp" in done.stderr


def test_a_missing_binary_is_named() -> None:
    done = side_by_side("--subjects", "vswitch", "--vswitch", "/nowhere/vswitch")
    assert done.returncode == 1
    assert "/nowhere/vswitch is missing" in done.stderr and "cargo build --release" in done.stderr
