"""Fixtures of the end-to-end suite, and the promise that every test makes at its end.

Run as root with Debian's Python (scapy, pytest, iproute2, iperf3):

    /usr/bin/python3 -m pytest vswitch/tests/e2e
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import pytest
from lib import netns
from lib.lab import Lab
from lib.machine import build_package
from lib.switch import BINARY


def pytest_sessionstart() -> None:
    if os.geteuid() != 0:
        raise pytest.UsageError("the end-to-end tests make network namespaces: run them as root")
    if not BINARY.exists():
        raise pytest.UsageError(f"{BINARY} is missing: run `cargo build --release` first")
    netns.remove_stale()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Keeps each phase's report on the item, and adds the switch's log to a failure."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
    lab = item.funcargs.get("lab") if hasattr(item, "funcargs") else None
    if report.failed and report.when == "call" and lab is not None:
        report.sections.append(("the switch", lab.report()))


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path) -> Iterator[Lab]:
    """An empty laboratory. After a test that passed, every switch still running is verified and stopped."""
    made = Lab(tmp_path)
    try:
        yield made
        called = getattr(request.node, "report_call", None)
        if called is not None and called.passed:
            made.verify()
    finally:
        made.close()


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package, alone in its folder: built once, for all who install it."""
    return build_package(tmp_path_factory.mktemp("deb"))
