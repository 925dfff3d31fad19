"""The picture of a benchmark: bars of the ratio to the best peer, and a roofline of where our layers stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .results import Row, groups, headline, judged, machine_line, mean, rate, ratios

FASTER, SLOWER, OTHER = "#1b7837", "#b2182b", "#bdbdbd"


def _bars(axes: Any, rows: list[Row]) -> None:
    """One bar a shape on a log scale from 1, a light one for the other layout behind it, class by class."""
    place, ticks, labels = 0.0, [], []
    for label, members in groups(rows).items():
        side = {"transform": axes.get_yaxis_transform(), "fontsize": 8, "va": "center"}
        axes.text(0.0, place - 0.1, f" {label}", fontweight="bold", ha="left", **side)
        held = [r for r in members if ratios(r)]
        if held:
            axes.text(0.99, place - 0.1, f"mean {mean(judged(r) for r in held):.2f}", ha="right", **side)
        place += 1
        for row in held:
            value = judged(row)
            other = value if row["by_call"] else ratios(row).get("other", value)
            axes.barh(place, np.log2(other), height=0.75, color=OTHER)
            axes.barh(place, np.log2(value), height=0.45, color=FASTER if value >= 1 else SLOWER)
            if row["each"]:
                axes.plot(np.log2(row["each"]), place, "k|", markersize=9)
            ends = [np.log2(v) for v in (value, other)] + [0.0]
            side = max(ends) if value >= 1 else min(ends)
            axes.annotate(f"{value:.2f}", (side, place), xytext=(3 if value >= 1 else -3, 0), fontsize=7, va="center",
                          textcoords="offset points", ha="left" if value >= 1 else "right")  # fmt: skip
            ticks.append(place)
            labels.append(row["shape"])
            place += 1
        place += 0.3
    held = [row for row in rows if ratios(row)]
    values = [v for row in held for v in (judged(row), ratios(row).get("other", 1.0), row["each"] or 1.0)] or [1.0]
    left, right = min(-0.6, np.log2(min(values)) - 0.6), max(1.0, np.log2(max(values)) + 0.8)
    fine = (1.5, 3, 6) if right - left <= 5 else ()
    marks = [m for m in (*fine, *(2.0**e for e in range(-6, 8))) if left <= np.log2(m) <= right]
    axes.set_xlim(left, right)
    axes.set_xticks([np.log2(m) for m in marks], [f"{m:.2g}" for m in marks])
    axes.set_yticks(ticks, labels, fontsize=7)
    axes.set_ylim(place, -0.8)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_xlabel("best peer's time / ours (log scale; right of 1: ours is faster)")
    axes.set_title("Ratio to the best peer: dark = better layout, light = other layout, | = goal", fontsize=9)


def _roofline(axes: Any, rows: list[Row], about: dict[str, Any]) -> None:
    """Nominal GFLOP/s over flops per byte, under the measured FMA peak and copy bandwidth."""
    colours = {}
    for number, (label, members) in enumerate(groups(rows).items()):
        held = [row for row in members if headline(row)]
        if not held:
            continue
        colours[label] = f"C{number % 10}"
        axes.plot([row["flops"] / row["bytes"] for row in held], [rate(row)["gflops"] for row in held],
                  "os^D"[number // 10 % 4], markersize=6, color=colours[label], label=label, alpha=0.85)  # fmt: skip
    dtype = rows[0]["dtype"]
    peak = about["peak"][f"fma {dtype} {about['threads']}"] / 1e9
    copy = about["bandwidth"] / 1e9
    spread = [row["flops"] / row["bytes"] for row in rows]
    reach = np.geomspace(min(0.5, *spread) / 1.5, max(100.0, *spread) * 1.5, 200)
    axes.plot(reach, np.minimum(peak, copy * reach), color="black", linewidth=1.5)
    axes.annotate(f"FMA peak {peak:.0f} GFLOP/s ({about['threads']} threads, {dtype})", (reach[-1], peak), fontsize=8,
                  xytext=(-2, 4), textcoords="offset points", ha="right")  # fmt: skip
    axes.annotate(f"copy {copy:.0f} GB/s (memory)", (reach[0], copy * reach[0]), fontsize=8, xytext=(6, -3),
                  textcoords="offset points", va="top")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(alpha=0.3, which="both", linewidth=0.4)
    axes.set_xlabel("nominal flops per byte of x, weights and y")
    axes.set_ylabel("nominal GFLOP/s")
    axes.set_title("Roofline (above it: Winograd and FFT do fewer flops, caches beat memory)", fontsize=9)
    axes.legend(fontsize=7, loc="lower right", ncols=2)


def draw(rows: list[Row], about: dict[str, Any], path: str | Path) -> None:
    """Write the picture; bars only when there were peers."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = sum(len(members) + 1.3 for members in groups(rows).values())
    with_peers = any(ratios(row) for row in rows)
    size = (15, max(6.5, 1.8 + 0.21 * lines)) if with_peers else (8, 6.5)
    figure, axes = pyplot.subplots(1, 2 if with_peers else 1, figsize=size, squeeze=False, layout="constrained")
    if with_peers:
        _bars(axes[0, 0], rows)
    _roofline(axes[0, -1], rows, about)
    figure.suptitle(machine_line(about), fontsize=11)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
