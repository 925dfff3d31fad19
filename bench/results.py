"""What the samples of a race amount to: times, ratios, shares of the machine's limits, geometric means.

A row is a plain dict, as it stands in the JSON file:
    shape group each mean by_call direction dtype flops bytes, contestants {name: {seconds[], peaks[], note}},
    bandwidths[], skipped {name: reason}, others (share of the machine that other processes used, or None)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Row = dict[str, Any]
OURS = ("plan NCHW", "plan NHWC", "call NCHW", "call NHWC")


def machine_line(about: dict[str, Any]) -> str:
    """Say in a line what ran where, of what machine.describe returned."""
    library = f"convkern {about['convkern']} ({about['revision'] or 'installed'})"
    return f"{library}, {about['isa']}, {about['threads']} threads, {about['cpu']['model']}"


def raise_peak(about: dict[str, Any], rows: list[Row]) -> None:
    """Let the machine's FMA peak be the best a race has seen: the cores may have been slower at the start."""
    for row in rows:
        key = f"fma {row['dtype']} {about['threads']}"
        for taken in row["contestants"].values():
            if taken["peaks"]:
                about["peak"][key] = max(about["peak"][key], float(np.median(taken["peaks"])))


def low(samples: Iterable[float]) -> float:
    """Return the lower quartile: steady, and blind to whatever else the machine did now and then."""
    return float(np.quantile(list(samples), 0.25))


def mean(ratios: Iterable[float]) -> float:
    """Geometric mean; nan of nothing."""
    logs = [math.log(r) for r in ratios if r > 0]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def times(row: Row) -> dict[str, float]:
    """Seconds a call of each contestant."""
    return {name: low(c["seconds"]) for name, c in row["contestants"].items() if c["seconds"]}


def is_ours(row: Row, name: str) -> bool:
    return bool(row["contestants"][name]["peaks"])


def best_peer(row: Row) -> tuple[str, float] | None:
    """Return the fastest contestant that is not ours, and its seconds a call."""
    theirs = [(seconds, name) for name, seconds in times(row).items() if not is_ours(row, name)]
    if not theirs:
        return None
    seconds, name = min(theirs)
    return name, seconds


def modes(row: Row) -> dict[str, tuple[str, float]]:
    """Our three numbers: mode -> (contestant, seconds) for "plan" (better layout), "other" (the other one), "call"."""
    taken = times(row)
    plans = sorted((taken[n], n) for n in OURS[:2] if n in taken)
    calls = sorted((taken[n], n) for n in OURS[2:] if n in taken)
    ranked = list(zip(("plan", "other"), plans, strict=False)) + list(zip(("call",), calls, strict=False))
    return {mode: (name, seconds) for mode, (seconds, name) in ranked}


def ratios(row: Row) -> dict[str, float]:
    """Best peer's time over ours, by mode, and "torch": PyTorch's best over our call. Empty without a peer."""
    peer = best_peer(row)
    if not peer:
        return {}
    ours = modes(row)
    found = {mode: peer[1] / seconds for mode, (_, seconds) in ours.items()}
    plain = [seconds for name, seconds in times(row).items() if name.startswith("torch") and not is_ours(row, name)]
    if plain and "call" in ours:
        found["torch"] = min(plain) / ours["call"][1]
    return found


def judged(row: Row) -> float:
    """Return the ratio the row's goal speaks of; nan without a peer."""
    return ratios(row).get("call" if row["by_call"] else "plan", math.nan)


def headline(row: Row) -> tuple[str, float] | None:
    """Our contestant the row stands for, and its seconds a call."""
    found = modes(row)
    return found.get("call") if row["by_call"] else found.get("plan", found.get("call"))


def rate(row: Row) -> dict[str, Any]:
    """Our speed against the limit that binds: nominal flops against the FMA peak, or bytes against a copy.

    The peak stands beside each sample and the bandwidth beside each round, of a copy that touches as many bytes as the
    layer does; the shares are medians over the rounds.  bound is the limit that alone would take longer.
    """
    ours = headline(row)
    if ours is None:
        return {}
    name, seconds = ours
    taken = row["contestants"][name]
    peaks, bandwidths = np.array(taken["peaks"]), np.array(row["bandwidths"])
    every = np.array(taken["seconds"])
    of_peak = float(np.median(row["flops"] / every / peaks))
    of_copy = float(np.median(row["bytes"] / every / bandwidths[: len(every)]))
    bound = "fma" if row["flops"] / np.median(peaks) >= row["bytes"] / np.median(bandwidths) else "memory"
    return {
        "gflops": row["flops"] / seconds / 1e9,
        "gbytes": row["bytes"] / seconds / 1e9,
        "of_peak": of_peak,
        "of_copy": of_copy,
        "bound": bound,
        "share": of_peak if bound == "fma" else of_copy,
    }


def groups(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by class, in order."""
    sorted_in: dict[str, list[Row]] = {}
    for row in rows:
        sorted_in.setdefault(row["group"], []).append(row)
    return sorted_in


def summary(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Geometric means by mode and the least judged ratio, of some rows that had peers."""
    found = [ratios(row) for row in rows]
    means = {mode: mean(r[mode] for r in found if mode in r) for mode in ("plan", "other", "call", "torch")}
    least = min((judged(row) for row in rows if ratios(row)), default=math.nan)
    return {"mean": means, "least": {"judged": least}}
