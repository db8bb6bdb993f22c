"""Rounds: every subject once, in turn, A B C A B C …, so that what drifts on the machine drifts for all."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from . import frames
from .frames import Case
from .machine import Core, Trouble, hugepages
from .subject import Subject, Surroundings, check

LIMIT = "testpmd-io"


@dataclass(frozen=True)
class Plan:
    """How each case is measured."""

    core: Core
    main_core: int
    rounds: int
    seconds: float
    warm_up: float
    folder: Path
    say: Callable[[str], None]


@dataclass
class Result:
    """What one subject did in one case: one entry for each round."""

    samples_pps: list[float] = field(default_factory=list)
    ratios_to_io: list[float] = field(default_factory=list)
    forwarded: list[float] = field(default_factory=list)
    unaccounted: int = 0

    def as_json(self, tsc_hz: int) -> dict:
        median = statistics.median(self.samples_pps)
        return {
            "samples_mpps": [round(sample / 1e6, 4) for sample in self.samples_pps],
            "median_mpps": round(median / 1e6, 4),
            "min_mpps": round(min(self.samples_pps) / 1e6, 4),
            "max_mpps": round(max(self.samples_pps) / 1e6, 4),
            "cycles_per_packet": round(tsc_hz / median, 1),
            "ratios_to_io": [round(ratio, 4) for ratio in self.ratios_to_io],
            "ratio_to_io": round(statistics.median(self.ratios_to_io), 4) if self.ratios_to_io else None,
            "forwarded_share": round(min(self.forwarded), 6),
            "unaccounted_packets": self.unaccounted,
        }


def measure(case: Case, subjects: list[Subject], plan: Plan) -> dict[str, Result]:
    """All subjects of one case, alive together, one of them running at a time."""
    taking_part = [subject for subject in subjects if subject.has(case)]
    paths = frames.write(case, plan.folder)
    around = Surroundings(case, frames.devices(paths), plan.core.number, plan.main_core, plan.folder)
    results = {subject.name: Result() for subject in taking_part}
    with ExitStack() as stack:
        stack.callback(lambda: [path.unlink(missing_ok=True) for path in paths])
        stack.enter_context(hugepages(sum(subject.memory_mib(case) for subject in taking_part)))
        for subject in taking_part:
            plan.say(f"{case}: starting {subject.name}")
            with plan.core.held():
                stack.callback(subject.end)
                try:
                    subject.start(around)
                    _settle(subject, plan)
                except Trouble as trouble:
                    raise Trouble(f"{subject.name} ({case}): {trouble}") from trouble
                subject.pause()
        for number in range(plan.rounds):
            for subject in taking_part:
                plan.say(f"{case}: round {number + 1} of {plan.rounds}, {subject.name}")
                _sample(subject, case, plan, results[subject.name])
            if LIMIT in results:
                limit = results[LIMIT].samples_pps[-1]
                for result in results.values():
                    result.ratios_to_io.append(result.samples_pps[-1] / limit)
    return results


def _sample(subject: Subject, case: Case, plan: Plan, result: Result) -> None:
    with plan.core.held():
        subject.resume()
        try:
            time.sleep(plan.warm_up)
            before = subject.counters()
            time.sleep(plan.seconds)
            after = subject.counters()
        finally:
            subject.pause()
    result.forwarded.append(check(subject, case, before, after))
    result.unaccounted = max(result.unaccounted, after.unaccounted)
    result.samples_pps.append((after.sent_packets - before.sent_packets) / (after.when - before.when))


def _settle(subject: Subject, plan: Plan) -> None:
    """Waits until three windows in a row agree within 3 %."""
    if not subject.settles_within:
        return
    deadline = time.monotonic() + subject.settles_within
    rates: list[float] = []
    before = subject.counters()
    while len(rates) < 3 or max(rates[-3:]) > 1.03 * min(rates[-3:]):
        if time.monotonic() > deadline:
            plan.say(f"{subject.name} does not settle within {subject.settles_within:g} s; going on")
            return
        time.sleep(0.5)
        after = subject.counters()
        rates.append((after.sent_packets - before.sent_packets) / (after.when - before.when))
        before = after
