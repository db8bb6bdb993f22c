"""How far a run is, on a terminal: one line that changes. Elsewhere one line for each case."""

from __future__ import annotations

import sys
import time

from .frames import Case


class Progress:
    """Counts steps: each subject's start and each of its samples is one."""

    def __init__(self, steps: int):
        self._steps, self._done = steps, 0
        self._began = time.monotonic()
        self._case: Case | None = None
        self._on_terminal = sys.stderr.isatty()

    def step(self, case: Case, what: str) -> None:
        """The next step begins."""
        if self._on_terminal:
            share = self._done / self._steps
            filled = round(20 * share)
            line = f"[{'#' * filled}{'.' * (20 - filled)}] {share:4.0%}  {case}: {what}{self._left()}"
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif case != self._case:
            print(case, file=sys.stderr, flush=True)
        self._case = case
        self._done += 1

    def _left(self) -> str:
        if self._done < 5:
            return ""
        seconds = (time.monotonic() - self._began) / self._done * (self._steps - self._done)
        return f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"

    def end(self) -> None:
        if self._on_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
