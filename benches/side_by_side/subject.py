"""What all subjects have in common: their life, their counters, and what their counters must say."""

from __future__ import annotations

import time
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


@dataclass
class Counters:
    """What went through so far. Lists are by port."""

    when: float
    received: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    sent_bytes: list[int] = field(default_factory=list)
    dropped: int = 0
    """What the subject says it dropped, flooded, or cannot account for."""
    unaccounted: int = 0

    @classmethod
    def now(cls) -> "Counters":
        return cls(time.monotonic())

    @property
    def sent_packets(self) -> int:
        return sum(self.sent)

    def add(self, of_port: dict, received: str, sent: str, sent_bytes: str) -> None:
        """The next port's, under the names that the subject has for them."""
        self.received.append(int(of_port.get(received, 0)))
        self.sent.append(int(of_port.get(sent, 0)))
        self.sent_bytes.append(int(of_port.get(sent_bytes, 0)))


class Subject(ABC):
    """Something that forwards frames from the source to the sink."""

    name: str
    process: Process
    settles_within = 0.0
    """Seconds after which the rate must be steady; 0: it is from the start."""
    changes_length = True
    """Whether frames are encapsulated and decapsulated, or sent as they came."""

    def has(self, case: Case) -> bool:  # noqa: ARG002
        """Whether the case makes sense for it."""
        return True

    @abstractmethod
    def memory_mib(self, case: Case) -> int:
        """Hugepages that it takes."""

    @abstractmethod
    def start(self, around: Surroundings) -> None:
        """Starts it and returns when frames pass."""

    @abstractmethod
    def counters(self) -> Counters:
        """What went through so far."""

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def end(self) -> None:
        """Ends it and takes away what it left. Also after half a start."""
        if hasattr(self, "process"):
            self.process.end()


def check(subject: Subject, case: Case, before: Counters, after: Counters) -> float:
    """The share of frames that were forwarded, which must be all, each with the length that it should have.

    A subject that drops looks fast.
    """
    def wrong(what: str) -> Trouble:
        return Trouble(f"{subject.name} ({case}): {what}, so its rate means nothing\n{subject.process.tail()}")

    received = [b - a for a, b in zip(before.received, after.received)]
    sent = [b - a for a, b in zip(before.sent, after.sent)]
    sent_bytes = [b - a for a, b in zip(before.sent_bytes, after.sent_bytes)]
    if sum(sent) == 0:
        raise wrong("nothing was sent")
    for port in range(2):
        # A few bursts are between the two counters of a moment.
        if abs(received[port] - sent[1 - port]) > 2048 + received[port] // 1000:
            raise wrong(f"port {port} received {received[port]:,} frames and port {1 - port} sent {sent[1 - port]:,}")
        length = case.sent_bytes(port) if subject.changes_length else case.received_bytes(1 - port)
        if received[1 - port] and abs(sent_bytes[port] / sent[port] - length) > 0.01:
            raise wrong(f"port {port} sent frames of {sent_bytes[port] / sent[port]:.2f} bytes, not {length}")
    if after.dropped != before.dropped:
        raise wrong(f"{after.dropped - before.dropped:,} frames were dropped, flooded or lost")
    return sum(sent) / max(1, sum(received))
