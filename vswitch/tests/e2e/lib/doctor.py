"""What `vswitch doctor --json` reports, and that `vswitch run` says the same."""

from __future__ import annotations

import json

OK, FAILURE, USAGE = 0, 1, 2
"""Statuses of the program."""


def report_of(done, status: int) -> dict:
    """The report of a `vswitch doctor --json` that has ended, and with that status."""
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def findings(report: dict, check: str, severity: str, words: str = "") -> list[dict]:
    """The findings of that check and severity that have those words."""
    return [f for f in report["findings"] if f["check"] == check and f["severity"] == severity and words in f["found"]]


def the_one(report: dict, check: str, severity: str) -> dict:
    """The one finding of that severity; there must be no worse one, and no other check has one of it."""
    assert report["worst"] == severity, report["findings"]
    found = [f for f in report["findings"] if f["severity"] == severity and (f["check"] == check or severity == "problem")]
    assert [f["check"] for f in found] == [check], found
    return found[0]


def is_said(problem: dict, said: str) -> None:
    """`run` has said this problem of doctor's in the same words."""
    assert problem["cause"], problem
    assert problem["mend"] or problem["advice"], problem
    for line in (problem["found"], f"cause: {problem['cause']}", *(f"mend:  {command}" for command in problem["mend"])):
        assert line in said, f"{line!r} is not what run says:\n{said}"


def is_logged(warning: dict, log: str) -> None:
    """`run` has logged this warning of doctor's in the same words."""
    for text in (warning["found"], warning["cause"], *warning["mend"]):
        assert text in log, f"{text!r} is not in\n{log}"
