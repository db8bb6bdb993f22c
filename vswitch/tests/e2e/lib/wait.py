"""Waiting for what must become true, and saying so when it does not."""

from __future__ import annotations

import time
from typing import Callable, TypeVar

T = TypeVar("T")


def until(what: str, condition: Callable[[], T], *, seconds: float = 3.0, every: float = 0.02) -> T:
    """Polls until `condition` gives something true and returns it; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what} (last seen: {value!r})")
        time.sleep(every)
