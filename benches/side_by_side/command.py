"""The command line, and a run from its start to its end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from . import frames, report
from .frames import Case
from .machine import TARGET, Core, Trouble, need_cores, need_program, need_root, remove_stale, tsc_hz
from .measure import Plan, measure
from .openvswitch import CACHES, MODES, OpenVswitch
from .progress import Progress
from .subject import Subject
from .testpmd import Testpmd
from .vswitch import CapturedVswitch, PolledVswitch, Vswitch

BENCH = TARGET / "bench"
FULL = [(1, 64), (1_000, 64), (10_000, 64), (100_000, 64), (1_000, 512), (1_000, 1_500)]
QUICK = [(1_000, 64)]
EXAMPLES = """\
examples:
  benches/side-by-side --quick                        64 bytes, 1,000 MAC pairs, under five minutes
  benches/side-by-side                                everything; more than an hour
  benches/side-by-side --quick --subjects testpmd-io,vswitch --vswitch old=/tmp/a --vswitch new=/tmp/b
                                                      two binaries beside each other
  benches/side-by-side --scenarios encap --macs 10_000 --subjects testpmd-io,ovs-normal,vswitch
"""


def main() -> int:
    """The exit status: 0 if everything was measured, 1 if not, 2 for a wrong command line, 130 after Ctrl-C."""
    options = _options()
    # Ends what was started, as Ctrl-C does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    try:
        return _run(options)
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; everything is taken away again", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    subjects, cases = _subjects(options), _cases(options)
    need_root()
    need_program("ip", "iproute2")
    need_cores(options.core, options.main_core)
    for subject in subjects:
        subject.need()
    if options.plot:
        _need_matplotlib()
    remove_stale()
    # What reads counters shares the main core with whatever else runs there, and must not be late.
    os.setpriority(os.PRIO_PROCESS, 0, -10)
    BENCH.mkdir(parents=True, exist_ok=True)
    lock = options.lock or Path(f"/run/lock/side-by-side-{options.core}.lock")
    with tempfile.TemporaryDirectory(prefix="run-", dir=BENCH) as folder:
        plan = Plan(
            Core(options.core, lock), options.main_core, options.rounds, options.seconds, options.warm_up, Path(folder)
        )
        found = _measure(cases, subjects, plan, options)
    return _tell(found, options)


def _measure(cases: list[Case], subjects: list[Subject], plan: Plan, options: argparse.Namespace) -> dict:
    hz = tsc_hz()
    found = report.header(plan, subjects, hz)
    taking_part = {case: [subject for subject in subjects if not subject.cannot(case)] for case in cases}
    progress = Progress(sum(len(some) for some in taking_part.values()) * (1 + plan.rounds))
    try:
        for case, some in taking_part.items():
            left_out = {subject.name: subject.cannot(case) for subject in subjects if subject not in some}
            results = measure(case, some, plan, progress)
            found["cases"].append(report.case_as_json(case, results, left_out, hz))
            _write(found, options)  # after each: a long run that is interrupted has told what it knew
    finally:
        progress.end()
    return found


def _write(found: dict, options: argparse.Namespace) -> None:
    if options.json == "-":
        return
    path = Path(options.json or BENCH / "side-by-side.json")
    path.write_text(json.dumps(found, indent=2) + "\n")
    path.with_suffix(".md").write_text(report.markdown(found))


def _tell(found: dict, options: argparse.Namespace) -> int:
    if options.json == "-":
        print(json.dumps(found, indent=2))
    else:
        print(report.markdown(found))
    if options.plot:
        from .plot import draw

        draw(found, options.plot)
    failed = [(case, name, why) for case in found["cases"] for name, why in case["failed"].items()]
    for case, name, why in failed:
        where = f"{case['scenario']}, {case['mac_pairs']:,} MAC pairs, {case['frame_bytes']} bytes"
        print(f"error: {name} ({where}): {why}", file=sys.stderr)
    return 1 if failed else 0


# --- options --------------------------------------------------------------------------------------


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="side-by-side", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures testpmd, OVS-DPDK and this switch on the same frames, source, sink and core, in turn.",
    )
    parser.add_argument("--quick", action="store_true", help="64 bytes and 1,000 MAC pairs, short samples")
    parser.add_argument(
        "--subjects", default="testpmd,ovs,vswitch", metavar="LIST",
        help="names or beginnings of names (testpmd-io, testpmd-macswap, ovs-normal-emc, … -smc, … -nocache, "
        "ovs-static-…, vswitch, polled-vswitch, captured-vswitch); default: all but the last two",
    )
    parser.add_argument(
        "--vswitch", action="append", default=[], metavar="[NAME=]PATH",
        help="the binary to measure; repeat it to compare several; default: target/release/vswitch",
    )
    parser.add_argument("--scenarios", default=",".join(frames.SCENARIOS), metavar="LIST", help="default: %(default)s")
    parser.add_argument("--macs", type=_numbers, metavar="LIST", help="MAC pairs, with --sizes of 64 if none are given")
    parser.add_argument("--sizes", type=_numbers, metavar="LIST", help="frame sizes with FCS, 64 to 1500")
    parser.add_argument("--rounds", type=_positive, default=5, metavar="N", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of a sample; default: 1.5, quick 0.4")
    parser.add_argument("--warm-up", type=float, metavar="S", help="before each sample; default: 0.5, quick 0.15")
    parser.add_argument("--core", type=int, default=1, metavar="N", help="the core that polls; default: %(default)s")
    parser.add_argument("--main-core", type=int, default=0, metavar="N", help="for the rest; default: %(default)s")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="a file that is locked (flock) while a subject polls")
    parser.add_argument(
        "--json", metavar="FILE",
        help="the table goes beside it, ending in .md; `-`: standard output, and no table; "
        "default: target/bench/side-by-side.json",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="an SVG of the result")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 0.4 if options.quick else 1.5
    if options.warm_up is None:
        options.warm_up = 0.15 if options.quick else 0.5
    wrong = set(options.scenarios.split(",")) - set(frames.SCENARIOS)
    if wrong:
        parser.error(f"no scenario is named {', '.join(sorted(wrong))}; there are {', '.join(frames.SCENARIOS)}")
    if any(not 64 <= size <= 1500 for size in options.sizes or []):
        parser.error("--sizes: from 64 to 1500")
    if any(not 1 <= macs <= 500_000 for macs in options.macs or []):
        parser.error("--macs: from 1 to 500000 (half the switch's default FDB)")
    unknown = [word for word in options.subjects.split(",") if not any(n.startswith(word) for n in _names(options))]
    if unknown:
        parser.error(f"no subject is named {', '.join(unknown)}; there are {', '.join(_names(options))}")
    return options


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _cases(options: argparse.Namespace) -> list[Case]:
    if options.macs or options.sizes:
        pairs = [(macs, size) for size in options.sizes or [64] for macs in options.macs or [1_000]]
    else:
        pairs = QUICK if options.quick else FULL
    return [Case(scenario, macs, size) for macs, size in pairs for scenario in options.scenarios.split(",")]


def _all(options: argparse.Namespace) -> list[Subject]:
    everyone: list[Subject] = [Testpmd("io"), Testpmd("macswap")]
    everyone += [OpenVswitch(mode, cache) for mode in MODES for cache in CACHES]
    for given in options.vswitch or [str(TARGET / "release" / "vswitch")]:
        name, _, path = given.rpartition("=")
        # A name that cannot be taken for another subject's.
        everyone.append(Vswitch(f"vswitch-{name}" if name else "vswitch", Path(path)))
        if not name:
            everyone += [PolledVswitch(Path(path)), CapturedVswitch(Path(path))]
    return everyone


def _names(options: argparse.Namespace) -> list[str]:
    return [subject.name for subject in _all(options)]


def _subjects(options: argparse.Namespace) -> list[Subject]:
    wanted = tuple(options.subjects.split(","))
    return [subject for subject in _all(options) if subject.name.startswith(wanted)]


def _need_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise Trouble("--plot needs matplotlib\n  help: scripts/setup --benchmarks") from None
