"""A process that polls a core: started, stopped while others measure, ended whatever happens."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Callable

from .machine import Trouble

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """A process that polls must not outlive the benchmark, not even when that is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child with its output in a file."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None):
        self.log = log
        with log.open("wb") as output:
            # A session of its own: Ctrl-C is for the benchmark, which ends its children in order.
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def until(self, what: str, holds: Callable[[], object], seconds: float) -> None:
        """Waits until `holds` is true; fails with the log when the process ends or time is up."""
        deadline = time.monotonic() + seconds
        while not holds():
            self.must_live(when=f", before {what}")
            if time.monotonic() > deadline:
                raise Trouble(f"after {seconds:g} s still not: {what}\n{self.tail()}")
            time.sleep(0.02)

    def must_live(self, who: str = "it", when: str = "") -> None:
        """Fails with the log if the process has ended."""
        if self._child.poll() is not None:
            raise Trouble(f"{who} ended with status {self._child.returncode}{when}\n{self.tail()}")

    def polled_seconds(self) -> float:
        """How long its busiest thread has run so far: the one that polls."""
        times = [0]
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                times.append(int((task / "schedstat").read_text().split()[0]))
            except OSError:  # the thread is gone
                continue
        return max(times) / 1e9

    def tail(self, lines: int = 15) -> str:
        said = self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"  | {line}" for line in said)

    @property
    def is_over(self) -> bool:
        return self._child.poll() is not None

    def pause(self) -> None:
        self._child.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.must_live(when=", by itself")
        self._child.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """SIGTERM, which a stopped process sees when it goes on, and SIGKILL if that is not enough."""
        if self._child.poll() is None:
            self._child.terminate()
            self._child.send_signal(signal.SIGCONT)
            try:
                self._child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._child.stdin is not None:
            self._child.stdin.close()
