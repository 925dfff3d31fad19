"""What the samples of a race amount to: times, ratios, shares of the machine's limits, geometric means.

A row is a plain dict, as it stands in the JSON file:
    shape group each mean frameworks by_call direction dtype flops bytes (each, mean and frameworks are goals),
    contestants {name: {worker, seconds[], peaks[], note, and ours: workspace}}, bandwidths[],
    skipped {name: reason}, others (share of the machine that other processes used, or None)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import goals
from .goals import Verdict

Row = dict[str, Any]
OURS = ("plan NCHW", "plan NHWC", "call NCHW", "call NHWC")
FED_NHWC = "openvino NHWC"  # beyond the definition of the best peer, which names two layouts for PyTorch alone
FRAMEWORKS = ("torch", "onnxruntime", "openvino")  # what the names of their contestants begin with


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


def best_peer(row: Row, named: tuple[str, ...] = ("",)) -> tuple[str, float] | None:
    """Return the fastest contestant that is not ours, of those whose name begins so, and its seconds a call."""
    theirs = [(s, name) for name, s in times(row).items() if not is_ours(row, name) and name.startswith(named)]
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
    """Best peer's time over ours, by mode; empty without a peer.

    Besides the modes: "nchw", of the plan in NCHW; "frameworks", the best of PyTorch, ONNX Runtime and OpenVINO against
    the plan; "listed", the best peer but OpenVINO fed with NHWC against the plan; "torch", PyTorch's better layout
    against our better call.
    """
    peer = best_peer(row)
    if not peer:
        return {}
    ours = modes(row)
    found = {mode: peer[1] / seconds for mode, (_, seconds) in ours.items()}
    if OURS[0] in (taken := times(row)):
        found["nchw"] = peer[1] / taken[OURS[0]]
    rest = tuple(name for name in times(row) if name != FED_NHWC)
    for name, members, mode in (
        ("frameworks", FRAMEWORKS, "plan"),
        ("listed", rest, "plan"),
        ("torch", ("torch",), "call"),
    ):
        best = best_peer(row, members)
        if best and mode in ours:
            found[name] = best[1] / ours[mode][1]
    return found


def nchw_share(row: Row) -> float:
    """Speed of the plan in NCHW over that of the plan in the better layout; nan where one is missing."""
    taken, ours = times(row), modes(row)
    return ours["plan"][1] / taken[OURS[0]] if OURS[0] in taken and "plan" in ours else math.nan


def workspace(row: Row) -> int | None:
    """Most bytes of scratch memory any of our plans and calls of the row takes; None when not recorded."""
    known = [c["workspace"] for name, c in row["contestants"].items() if name in OURS and "workspace" in c]
    return max(known, default=None)


def flat(row: Row) -> bool:
    """Whether it is a row of a 2-D layer."""
    return str(row["shape"]).partition("->")[0].count("x") == 1


def judged(row: Row) -> float:
    """Return the ratio the row's goal speaks of; nan without a peer.

    Calls are judged against PyTorch, whose weights come with the call as ours do; the others prepare theirs.
    """
    return ratios(row).get("torch" if row["by_call"] else "plan", math.nan)


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
    """Geometric means and least values by mode, "judged" among them, of some rows that had peers."""
    found = [{**ratios(row), "judged": judged(row)} for row in rows if ratios(row)]
    lists = {
        mode: [r[mode] for r in found if mode in r] for mode in ("plan", "listed", "nchw", "call", "torch", "judged")
    }
    shares = [share for row in rows if not math.isnan(share := nchw_share(row))]
    lists["nchw_share"] = shares
    return {
        "mean": {mode: mean(values) for mode, values in lists.items()},
        "least": {mode: min(values, default=math.nan) for mode, values in lists.items()},
    }


def verdicts(rows: list[Row]) -> list[Verdict]:
    """Every goal of goals.toml that speaks of these rows: rows, classes and, where there are several, all of them."""
    table, found = goals.read()["table"], []
    for row in rows:
        reached, name = ratios(row), f"{row['group']}: {row['shape']}"
        mode = "PyTorch / call" if row["by_call"] else "plan"
        if row["each"]:
            found.append(Verdict(f"{name}, {mode}", judged(row), row["each"]))
        if row.get("frameworks"):
            found.append(Verdict(f"{name}, frameworks / plan", reached.get("frameworks", math.nan), row["frameworks"]))
        if row["each"] and row["direction"] == "forward" and not row["by_call"]:
            nchw = reached.get("nchw", math.nan)
            found.append(Verdict(f"{name}, plan in NCHW", nchw, table["nchw"] * row["each"]))
        if (taken := workspace(row)) is not None:
            found.append(Verdict(f"{name}, MB of workspace", taken / goals.MB, table["workspace-mb"], limit=True))
    for label, members in groups(rows).items():
        if members[0]["mean"]:
            means = summary(members)["mean"]
            found.append(Verdict(f"{label}: geometric mean", means["judged"], members[0]["mean"]))
            found.append(Verdict(f"{label}: geometric mean in NCHW", means["nchw"], table["nchw"] * members[0]["mean"]))
    forward = [row for row in rows if row["direction"] == "forward" and row["each"]]
    if len(groups(forward)) < 2:
        return found
    images, every = summary([row for row in forward if flat(row)]), summary(forward)
    found.append(Verdict("2-D layers: geometric mean of plans", images["mean"]["plan"], table["mean-2d"]))
    found.append(Verdict("2-D layers: smallest plan", images["least"]["plan"], table["least-2d"]))
    found.append(Verdict("PyTorch / call: geometric mean", every["mean"]["torch"], table["call-mean"]))
    found.append(Verdict("PyTorch / call: smallest", every["least"]["torch"], table["call-least"]))
    return found
