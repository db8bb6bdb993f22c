"""The command line, and a run from its start to its end."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from . import frames
from .frames import Case
from .machine import (
    ROOT, TARGET, Core, Trouble, need_cores, need_program, need_root, remove_stale, tsc_hz,
)
from .measure import Plan, measure
from .subject import Subject
from .testpmd import Testpmd
from .vswitch import Vswitch

FULL = [(1, 64), (1_000, 64), (10_000, 64), (100_000, 64), (1_000, 512), (1_000, 1_500)]


def numbers(text: str) -> list[int]:
    return [int(part.replace("_", "")) for part in text.split(",")]


def main() -> int:
    p = argparse.ArgumentParser()
    p.add_argument("--scenarios", default="l2,encap,decap,mixed")
    p.add_argument("--macs", type=numbers, default=[1000])
    p.add_argument("--sizes", type=numbers, default=[64])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=2)
    p.add_argument("--warm-up", type=float, default=1)
    p.add_argument("--vswitch", action="append", default=[])
    p.add_argument("--lock", default="/tmp/core1.lock")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    remove_stale()
    subs = [Testpmd("io"), Testpmd("macswap")]
    for v in a.vswitch:
        name, _, path = v.rpartition("=")
        subs.append(Vswitch(name or "vswitch", Path(path)))
    if not a.vswitch: subs.append(Vswitch())
    folder = TARGET / "bench"; folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(Core(1, Path(a.lock)), 0, a.rounds, a.seconds, a.warm_up, folder, lambda s: print(s, file=sys.stderr))
    hz = tsc_hz()
    for sc in a.scenarios.split(","):
        for m in a.macs:
            for size in a.sizes:
                try:
                    r = measure(Case(sc, m, size), subs, plan)
                except Trouble as t:
                    print("error:", t); continue
                for n, x in r.items():
                    j = x.as_json(hz)
                    print(f"{sc:6} {m:7} {size:5} {n:20} {j['median_mpps']:8.2f} Mpps ({j['min_mpps']:.2f}-{j['max_mpps']:.2f}) {j['cycles_per_packet']:7.1f} cyc  ratio {j['ratio_to_io']} fwd {j['forwarded_share']} unacc {j['unaccounted_packets']}")
    return 0
