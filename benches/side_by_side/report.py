"""What a run found: as JSON, which holds every sample, and as Markdown, which holds the medians."""

from __future__ import annotations

import platform
import statistics
import time

from .frames import Case
from .machine import ROOT, cpu_model, run
from .measure import LEAST_CORE_SHARE, LIMIT, Plan, Result
from .subject import Subject
from .testpmd import Testpmd
from .vswitch import Vswitch

OVS_GROUPS = {"ovs_normal": "ovs-normal-", "ovs_static": "ovs-static-"}


def versions(subjects: list[Subject]) -> dict[str, str]:
    """Of everything that was measured."""
    found = {"dpdk": _package("dpdk")}
    if any(subject.name.startswith("ovs-") for subject in subjects):
        found["ovs"] = _package("openvswitch-switch-dpdk")
    for subject in subjects:
        if isinstance(subject, Vswitch):
            found[subject.name] = subject.version()
    found["commit"] = run("git", "-C", str(ROOT), "describe", "--always", "--dirty", check=False).strip() or "unknown"
    return found


def _package(name: str) -> str:
    return run("dpkg-query", "-W", "-f", "${Version}", name, check=False).strip() or "unknown"


def header(plan: Plan, subjects: list[Subject], tsc_hz: int) -> dict:
    """Under what conditions."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": cpu_model(),
        "kernel": platform.release(),
        "tsc_hz": tsc_hz,
        "core": plan.core.number,
        "main_core": plan.main_core,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "warm_up_seconds": plan.warm_up_seconds,
        "testpmd_burst": Testpmd.BURST,
        "subjects": [subject.name for subject in subjects],
        "versions": versions(subjects),
        "cases": [],
    }


def case_as_json(case: Case, results: dict[str, Result], left_out: dict[str, str], tsc_hz: int) -> dict:
    """One case: each subject, and the best of OVS's settings."""
    limit = results.get(LIMIT)
    subjects = {
        name: _result_as_json(result, limit, tsc_hz) for name, result in results.items() if not result.trouble
    }
    best = {group: _best(subjects, prefix) for group, prefix in OVS_GROUPS.items()}
    for name, told in subjects.items():
        if not name.startswith(("ovs-", "testpmd-")):
            for group, winner in best.items():
                told[f"ratio_to_{group}"] = _median_ratio(results[name], results[winner]) if winner else None
    return {
        "scenario": case.scenario,
        "mac_pairs": case.macs,
        "frame_bytes": case.size,
        "vnis": 1,
        "subjects": subjects,
        "best": best,
        "left_out": left_out,
        "failed": {name: result.trouble for name, result in results.items() if result.trouble},
    }


def _result_as_json(result: Result, limit: Result | None, tsc_hz: int) -> dict:
    samples = result.samples_pps
    median = statistics.median(samples)
    return {
        "samples_mpps": [round(sample / 1e6, 4) for sample in samples],
        "median_mpps": round(median / 1e6, 4),
        "min_mpps": round(min(samples) / 1e6, 4),
        "max_mpps": round(max(samples) / 1e6, 4),
        "cycles_per_packet": round(tsc_hz / median, 1),
        "ratio_to_io": _median_ratio(result, limit) if limit and not limit.trouble else None,
        "forwarded_share": round(min(result.forwarded), 4),
        "unaccounted_packets": result.unaccounted,
        "core_share": round(result.core_share, 4),
        "settled": result.settled,
        "beside": {what: round(statistics.median(figures), 4) for what, figures in result.beside.items()},
    }


def _median_ratio(of: Result, to: Result) -> float:
    """The median of the ratios of each round: what drifts between rounds cancels out."""
    return round(statistics.median(a / b for a, b in zip(of.samples_pps, to.samples_pps)), 4)


def _best(subjects: dict[str, dict], prefix: str) -> str | None:
    names = [name for name in subjects if name.startswith(prefix)]
    return max(names, key=lambda name: subjects[name]["median_mpps"], default=None)


# --- Markdown -------------------------------------------------------------------------------------


def markdown(run_as_json: dict) -> str:
    """The summary, then every subject of every case."""
    told = run_as_json
    versions_told = ", ".join(f"{name} {version}" for name, version in told["versions"].items())
    lines = [
        "# Side by side", "",
        f"{told['date']}, {told['cpu']}, TSC {told['tsc_hz'] / 1e9:.3f} GHz, one core for each; {versions_told}. "
        f"Medians of {told['rounds']} rounds of {told['seconds']:g} s; testpmd with bursts of {told['testpmd_burst']}. "
        "Source and sink are the same for all: `net_pcap` with `infinite_rx`, and one that drops. "
        "Ratios are medians of the rounds' ratios.", "",
        *_summary(told), "", "## Every subject", "",
        "| scenario | MAC pairs | bytes | subject | Mpps | min – max | TSC cycles per packet | ratio to io |",
        "|---|--:|--:|---|--:|--:|--:|--:|",
    ]
    notes: dict[tuple[str, str], list[str]] = {}
    for case in told["cases"]:
        key = _key(case)
        for name, one in case["subjects"].items():
            mark = "" if one["settled"] else " (not settled)"
            mark += "" if one["core_share"] > LEAST_CORE_SHARE else f" (had {one['core_share']:.0%} of the core)"
            lines.append(
                f"| {key} | {name}{mark} | {one['median_mpps']:.2f} | {one['min_mpps']:.2f} – {one['max_mpps']:.2f} | "
                f"{one['cycles_per_packet']:.0f} | {_ratio(one['ratio_to_io'])} |"
            )
        for name, why in case["left_out"].items():
            notes.setdefault((_where(case), why), []).append(name)
        for name, why in case["failed"].items():
            notes.setdefault((_where(case), f"failed: {why.splitlines()[0]}"), []).append(name)
    beside = [
        f"- {_where(case)}: {name}: " + ", ".join(f"{figure:g} {what}" for what, figure in one["beside"].items()) + "."
        for case in told["cases"] for name, one in case["subjects"].items() if one["beside"]
    ]
    if beside:
        lines += ["", "Beside the forwarding:", "", *beside]
    if notes:
        lines += ["", "Left out:", ""]
        lines += [f"- {where}: {', '.join(names)}: {why}." for (where, why), names in notes.items()]
    return "\n".join(lines) + "\n"


def _summary(told: dict) -> list[str]:
    ours = [name for name in told["subjects"] if not name.startswith(("testpmd-", "ovs-"))]
    columns = ["scenario", "MAC pairs", "bytes", "io, Mpps", "macswap"]
    columns += ["OVS NORMAL, best", "OVS static flow, best"] if any(
        name.startswith("ovs-") for name in told["subjects"]) else []
    for name in ours:
        columns += [name, f"{name} / OVS NORMAL", f"{name} / OVS static"] if len(columns) > 5 else [name]
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "--:|" * (len(columns) - 1)]
    for case in told["cases"]:
        subjects = case["subjects"]

        def ratio(name: str | None, key: str = "ratio_to_io") -> str:
            return _ratio(subjects.get(name, {}).get(key))

        row = [_key(case), f"{subjects[LIMIT]['median_mpps']:.1f}" if LIMIT in subjects else "–"]
        row.append(ratio("testpmd-macswap"))
        if "OVS NORMAL, best" in columns:
            for group, prefix in OVS_GROUPS.items():
                best = case["best"][group]
                row.append(f"{ratio(best)} ({best.removeprefix(prefix)})" if best else "–")
        for name in ours:
            row.append(f"**{ratio(name)}**")
            if f"{name} / OVS static" in columns:
                row += [ratio(name, f"ratio_to_{group}") for group in OVS_GROUPS]
        lines.append("| " + " | ".join(row) + " |")
    return lines


def _key(case: dict) -> str:
    return f"{case['scenario']} | {case['mac_pairs']:,} | {case['frame_bytes']:,}"


def _where(case: dict) -> str:
    return f"{case['scenario']}, {case['mac_pairs']:,} MAC pairs, {case['frame_bytes']:,} bytes"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
