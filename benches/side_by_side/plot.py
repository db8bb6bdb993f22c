"""The plot of a run: for each scenario the share of testpmd io's rate that each switch reaches."""

from __future__ import annotations

from pathlib import Path

from .report import OVS_GROUPS

# Told apart also in grey and by colour-blind eyes (after Okabe and Ito).
COLOURS = ("#0072b2", "#56b4e9", "#009e73", "#cc79a7")
OVS_COLOURS = ("#e69f00", "#f5d58a")
OVS_LABELS = ("OVS-DPDK, learning, best of its cache settings", "OVS-DPDK, one static flow, best of its settings")


def draw(told: dict, path: Path) -> None:
    """Writes the SVG."""
    import matplotlib

    matplotlib.use("svg")
    # Text as text, and nothing random in the file: the same figures give the same bytes.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "side-by-side", "font.size": 9})
    import matplotlib.pyplot as pyplot

    scenarios = list(dict.fromkeys(case["scenario"] for case in told["cases"]))
    ours = [name for name in told["subjects"] if not name.startswith(("ovs-", "testpmd-"))]
    series = [(name, COLOURS[number % 4], lambda case, n=name: n) for number, name in enumerate(ours)]
    if any(name.startswith("ovs-") for name in told["subjects"]):
        series += [
            (label, colour, lambda case, g=group: case["best"][g])
            for group, label, colour in zip(OVS_GROUPS, OVS_LABELS, OVS_COLOURS)
        ]
    figure, axes = pyplot.subplots(
        1, len(scenarios), sharey=True, squeeze=False, figsize=(1.5 + 2.6 * len(scenarios), 3.6)
    )
    for axis, scenario in zip(axes[0], scenarios):
        cases = [case for case in told["cases"] if case["scenario"] == scenario]
        width = 0.8 / max(1, len(series))
        for number, (label, colour, subject_of) in enumerate(series):
            for place, case in enumerate(cases):
                one = case["subjects"].get(subject_of(case)) or {}
                height = one.get("ratio_to_io") or 0
                at = place + (number - (len(series) - 1) / 2) * width
                axis.bar(at, height, width, color=colour, label=label if place == 0 else None)
                if height and len(cases) <= 2:
                    axis.text(at, height + 0.01, f"{height:.2f}", ha="center", va="bottom", fontsize=8)
        axis.set_title(scenario)
        axis.set_xticks(range(len(cases)), [_label(case) for case in cases], fontsize=7.5)
        axis.set_ylim(0, 1)
        axis.grid(axis="y", linewidth=0.4, color="#cccccc")
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("share of testpmd io's rate")
    title = f"One core, the same source and sink for all: {told['cpu']}, DPDK {told['versions']['dpdk']}"
    figure.suptitle(title, fontsize=9)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=min(3, len(labels)), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def _label(case: dict) -> str:
    macs = case["mac_pairs"]
    count = f"{macs // 1000} k" if macs >= 1000 else str(macs)
    return f"{count}\nMACs\n{case['frame_bytes']} B"
