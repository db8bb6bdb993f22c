"""Rounds: every subject once, in turn, A B C A B C …, so that what drifts on the machine drifts for all."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from . import frames
from .frames import Case
from .machine import Core, Trouble, hugepages
from .progress import Progress
from .subject import Counters, Subject, Surroundings, check, rates

LIMIT = "testpmd-io"
LEAST_CORE_SHARE = 0.95


@dataclass(frozen=True)
class Plan:
    """How each case is measured."""

    core: Core
    main_core: int
    rounds: int
    seconds: float
    warm_up_seconds: float
    folder: Path


@dataclass
class Result:
    """What one subject did in one case: one entry for each round."""

    samples_pps: list[float] = field(default_factory=list)
    forwarded: list[float] = field(default_factory=list)
    unaccounted: int = 0
    beside: dict[str, list[float]] = field(default_factory=dict)
    """What went on beside the forwarding."""
    core_share: float = 1.0
    """How much of the core it had, at least. Less than 1: the sample is disturbed."""
    settled: bool = True
    trouble: str = ""
    """Why there is no result, or not one to rely on."""


def measure(case: Case, subjects: list[Subject], plan: Plan, progress: Progress) -> dict[str, Result]:
    """All subjects of one case, alive together, one of them running at a time. One that fails is left out."""
    paths = frames.write(case, plan.folder)
    around = Surroundings(case, frames.devices(paths), plan.core.number, plan.main_core, plan.folder)
    results = {subject.name: Result() for subject in subjects}
    running = []
    with ExitStack() as stack:
        stack.callback(lambda: [path.unlink(missing_ok=True) for path in paths])
        stack.enter_context(hugepages([subject.memory_mib(case) for subject in subjects]))
        for subject in subjects:
            progress.step(case, f"{subject.name} starts")
            stack.callback(subject.end)
            try:
                _start(subject, around, plan, results[subject.name])
                running.append(subject)
            except Trouble as trouble:
                results[subject.name].trouble = str(trouble)
                subject.end()
        for number in range(plan.rounds):
            for subject in list(running):
                progress.step(case, f"round {number + 1} of {plan.rounds}, {subject.name}")
                try:
                    _sample(subject, case, plan, results[subject.name])
                except Trouble as trouble:
                    results[subject.name].trouble = str(trouble)
                    subject.end()
                    running.remove(subject)
    return results


def _start(subject: Subject, around: Surroundings, plan: Plan, result: Result) -> None:
    with plan.core.held():
        subject.start(around)
        result.settled = _settles(subject)
        subject.pause()


@dataclass(frozen=True)
class Sample:
    """Two readings, and how much of the core the subject had between them."""

    before: Counters
    after: Counters
    core_share: float


def _sample(subject: Subject, case: Case, plan: Plan, result: Result) -> None:
    """One sample; another one, up to five times, when something else ran on the core meanwhile. The best counts."""
    tried: list[Sample] = []
    while len(tried) < 5 and (not tried or tried[-1].core_share < LEAST_CORE_SHARE):
        with plan.core.held():
            subject.resume()
            try:
                tried.append(_observe(subject, plan))
            finally:
                subject.pause()
    best = max(tried, key=lambda sample: sample.core_share)
    result.core_share = min(result.core_share, best.core_share)
    result.forwarded.append(check(subject, case, best.before, best.after))
    for what, figure in subject.beside(best.before, best.after).items():
        result.beside.setdefault(what, []).append(figure)
    result.unaccounted = max(result.unaccounted, best.after.unaccounted)
    result.samples_pps.append(rates(best.before, best.after).sent)


def _observe(subject: Subject, plan: Plan) -> Sample:
    time.sleep(plan.warm_up_seconds)
    began, ran = time.monotonic(), subject.process.polled_seconds()
    before = subject.counters()
    time.sleep(plan.seconds)
    after = subject.counters()
    ran = subject.process.polled_seconds() - ran
    return Sample(before, after, ran / (time.monotonic() - began))


def _settles(subject: Subject) -> bool:
    """Waits until the slow path is idle and the rate steady for three windows in a row, or time is up."""
    deadline = time.monotonic() + subject.settles_within
    window: list[float] = []
    before = subject.counters()
    while subject.settles_within:
        time.sleep(0.4)
        after = subject.counters()
        is_idle = after.upcalls - before.upcalls < 10
        window = [*window[-2:], rates(before, after).sent] if is_idle else []
        before = after
        # Not closer: the machine itself is no steadier.
        if len(window) == 3 and max(window) <= 1.15 * min(window):
            break
        if time.monotonic() > deadline:
            return False
    return True
