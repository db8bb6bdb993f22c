"""What all subjects have in common: their life, their counters, and what their counters must say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from .frames import Case
from .machine import Trouble
from .process import Process


def packet_buffers(case: Case) -> int:
    """The same pool for everyone: one buffer kept by the source for each frame of its file, and then some."""
    least = case.macs * case.sources + 16_384
    return (1 << least.bit_length()) - 1


@dataclass
class Surroundings:
    """What a subject is started with."""

    case: Case
    devices: list[str]
    core: int
    main_core: int
    folder: Path

    def process(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Process:
        return Process(command, self.folder / f"{name}.log", env)


@dataclass(frozen=True)
class Capture:
    """How far a capture of everything is."""

    number: int
    missed: int
    read_bytes: int


@dataclass
class Counters:
    """What went through so far. Lists are by port."""

    when: list[float] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    sent_bytes: list[int] = field(default_factory=list)
    dropped: int = 0
    """What the subject says it dropped, flooded, or cannot account for."""
    unaccounted: int = 0
    answered: int = 0
    """Rounds of questions that a client of its API was answered, if it has one."""
    upcalls: int = 0
    """Frames that its slow path had to look at: while there are any, it has not settled."""
    capture: Capture | None = None
    """The capture that runs beside it, where one must."""

    @property
    def sent_packets(self) -> int:
        return sum(self.sent)

    def add(self, when: float, received: int, sent: int, sent_bytes: int) -> None:
        """The next port's, and when they were read."""
        self.when.append(when)
        self.received.append(received)
        self.sent.append(sent)
        self.sent_bytes.append(sent_bytes)


class Subject(ABC):
    """Something that forwards frames from the source to the sink."""

    name: str
    process: Process
    settles_within = 0.0
    """Seconds after which the rate must be steady; 0: it is from the start."""
    changes_length = True
    """Whether frames are encapsulated and decapsulated, or sent as they came."""

    def cannot(self, case: Case) -> str:  # noqa: ARG002
        """Why the case makes no sense for it; empty if it does."""
        return ""

    @abstractmethod
    def need(self) -> None:
        """Fails if a program is missing."""

    @abstractmethod
    def memory_mib(self, case: Case) -> int:
        """Hugepages that it takes."""

    @abstractmethod
    def start(self, around: Surroundings) -> None:
        """Starts it and returns when frames pass."""

    @abstractmethod
    def counters(self) -> Counters:
        """What went through so far."""

    def beside(self, before: Counters, after: Counters) -> dict[str, float]:  # noqa: ARG002
        """What went on beside the forwarding between two readings, by name. Fails if that is not what it is for."""
        return {}

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def end(self) -> None:
        """Ends it and takes away what it left. Also after half a start."""
        if hasattr(self, "process"):
            self.process.end()


@dataclass(frozen=True)
class Rates:
    """Frames per second between two readings, both ports together."""

    sent: float
    received: float


def rates(before: Counters, after: Counters) -> Rates:
    """Each port over its own time: the two may be read a few milliseconds apart."""
    seconds = [b - a for a, b in zip(before.when, after.when)]

    def rate(a: list[int], b: list[int]) -> float:
        return sum((y - x) / s for x, y, s in zip(a, b, seconds))

    return Rates(rate(before.sent, after.sent), rate(before.received, after.received))


def check(subject: Subject, case: Case, before: Counters, after: Counters) -> float:
    """The share of frames that were forwarded, which must be all, each with the length that it should have.

    A subject that drops looks fast.
    """
    def wrong(what: str) -> Trouble:
        return Trouble(f"{what}, so its rate means nothing\n{subject.process.tail()}")

    seconds = [b - a for a, b in zip(before.when, after.when)]
    received = [b - a for a, b in zip(before.received, after.received)]
    sent = [b - a for a, b in zip(before.sent, after.sent)]
    sent_bytes = [b - a for a, b in zip(before.sent_bytes, after.sent_bytes)]
    if sum(sent) == 0:
        raise wrong("nothing was sent")
    for port in range(2):
        got, gone = received[port] / seconds[port], sent[1 - port] / seconds[1 - port]
        # 1 %, and the milliseconds that an answer may have waited on a busy main core.
        if abs(got - gone) > got * (0.01 + 0.01 / seconds[port]) + 10_000:
            raise wrong(f"port {port} received {got:,.0f} frames/s and port {1 - port} sent {gone:,.0f}")
        length = case.sent_bytes(port) if subject.changes_length else case.received_bytes(1 - port)
        if received[1 - port] and abs(sent_bytes[port] / sent[port] - length) > 0.01:
            raise wrong(f"port {port} sent frames of {sent_bytes[port] / sent[port]:.2f} bytes, not {length}")
    if after.dropped != before.dropped:
        raise wrong(f"{after.dropped - before.dropped:,} frames were dropped, flooded or lost")
    both = rates(before, after)
    return both.sent / both.received
