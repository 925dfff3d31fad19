"""Results as tables on a terminal: one of speeds and ratios, one of everybody's times, one of geometric means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import goals
from .goals import MB
from .results import (
    OURS,
    Row,
    best_peer,
    flat,
    groups,
    headline,
    is_ours,
    judged,
    machine_line,
    modes,
    nchw_share,
    rate,
    ratios,
    summary,
    times,
    verdicts,
    workspace,
)

BUSY = 0.05  # share of the cores used by others above which a row is called unreliable
MODES = {"plan": "plan", "listed": "no OV NHWC", "nchw": "NCHW", "call": "call", "torch": "torch/call"}


def duration(seconds: float) -> str:
    """Three figures in us, ms or s."""
    for unit, size in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def ratio(value: float | None, goal: float | None = None) -> str:
    """Format a ratio to two figures, green when it reaches the goal and red when it does not."""
    if value is None or math.isnan(value):
        return "-"
    text = f"{value:.2f}" if value < 9.95 else f"{value:.1f}"
    if goal is None:
        return text
    return f"[{'green' if value >= goal else 'red'}]{text}[/]"


def share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def size(count: int | None) -> str:
    """Format bytes, red beyond what a call may take."""
    if count is None:
        return "-"
    text = f"{count / 1024:.3g} KB" if count < MB else f"{count / MB:.3g} MB"
    return text if count <= goals.read()["table"]["workspace-mb"] * MB else f"[red]{text}[/]"


def machine(console: Console, about: dict[str, Any], versions: dict[str, str]) -> None:
    cpu, peak = about["cpu"], about["peak"]
    caches = ", ".join(f"{level.upper()} {cpu[level] >> 10} KB" for level in ("l1", "l2", "l3"))
    console.print(f"[bold]{machine_line(about)}[/], {about['cores']} cores, {caches}", highlight=False)
    for dtype in ("float32", "float64"):
        one, every = peak[f"fma {dtype} 1"], peak[f"fma {dtype} {about['threads']}"]
        console.print(f"FMA peak {dtype}: {one / 1e9:.0f} GFLOP/s on one thread, {every / 1e9:.0f} on all")
    console.print(f"copy bandwidth, in no cache: {about['bandwidth'] / 1e9:.1f} GB/s read and written")
    console.print(", ".join(f"{name} {version}" for name, version in versions.items()), highlight=False)


def speeds(rows: list[Row]) -> Table:
    """Our speed, its share of the binding limit, and the ratio best peer / ours in each mode."""
    title = "Ours, and the ratio best peer / ours (above 1: ours is faster)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("shape", "ours"):
        table.add_column(name, no_wrap=True)
    for name in ("time", "GFLOP/s", "GB/s", "share"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("of")
    table.add_column("best peer", no_wrap=True)
    for label in ("time", *MODES.values(), "goal", "NCHW speed", "scratch"):
        table.add_column(label, justify="right", no_wrap=True)
    limits = goals.read()["table"]
    for label, members in groups(rows).items():
        table.add_section()
        table.add_row(f"[bold]{label}[/]")
        for row in members:
            ours, peer, speed, found = headline(row), best_peer(row), rate(row), ratios(row)
            if ours is None:
                table.add_row(row["shape"], "-")
                continue
            algorithm = row["contestants"][ours[0]]["note"].partition(":")[0]
            judged_by, taken = "torch" if row["by_call"] else "plan", workspace(row)
            wanted = {judged_by: row["each"]} if row["each"] else {}
            if row["direction"] == "forward" and row["each"]:
                wanted.setdefault("torch", limits["call-least"])
                if not row["by_call"]:
                    wanted["nchw"] = limits["nchw"] * row["each"]
            table.add_row(
                row["shape"], f"{ours[0]} {algorithm}".rstrip(), duration(ours[1]), f"{speed['gflops']:.3g}",
                f"{speed['gbytes']:.3g}", f"{speed['share']:.0%}", speed["bound"],
                peer[0] if peer else "-", duration(peer[1]) if peer else "-",
                *(ratio(found.get(mode), wanted.get(mode)) for mode in MODES),
                f"{row['each']:g}" if row["each"] else "", share(nchw_share(row)), size(taken),
            )  # fmt: skip
    return table


def everybody(rows: list[Row], title: str, wanted: Callable[[str], bool]) -> Table:
    """Show the lower quartile of every wanted contestant in microseconds, and how many rounds the shape had."""
    names = [name for name in dict.fromkeys(n for row in rows for n in row["contestants"]) if wanted(name)]
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("shape", no_wrap=True)
    for name in names:
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("rounds", justify="right")
    for members in groups(rows).values():
        table.add_section()
        for row in members:
            taken = {name: seconds for name, seconds in times(row).items() if wanted(name)}
            least = min(taken.values(), default=0.0)
            cells = []
            for name in names:
                micro = taken[name] * 1e6 if name in taken else 0.0
                text = f"{micro:.{0 if micro >= 99.95 else 1 if micro >= 9.995 else 2}f}" if micro else ""
                cells.append(f"[bold]{text}[/]" if text and taken[name] == least else text)
            rounds = max((len(c["seconds"]) for c in row["contestants"].values()), default=0)
            table.add_row(row["shape"], *cells, str(rounds))
    return table


def means(rows: list[Row]) -> Table:
    """Geometric means of the ratios and the least ones, by class and over everything."""
    table = Table(title="Geometric mean (least) of best peer / ours", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("class")
    for label in ("shapes", *MODES.values(), "NCHW speed", "goal: mean", "each"):
        table.add_column(label, justify="right")
    limits = goals.read()["table"]
    parts: list[tuple[str, list[Row], dict[str, float], dict[str, float]]] = []
    for label, members in groups(rows).items():
        judged_by = "torch" if members[0]["by_call"] else "plan"
        parts.append((label, members, {judged_by: members[0]["mean"]} if members[0]["mean"] else {}, {}))
    forward = [row for row in rows if row["direction"] == "forward"]
    if len(groups(forward)) > 1:
        whole = {"mean": limits["mean-2d"]}, {"least": limits["least-2d"]}
        calls = {"torch": limits["call-mean"]}, {"torch": limits["call-least"]}
        images = [row for row in forward if flat(row)]
        parts.append(("2-D", images, {"plan": whole[0]["mean"]}, {"plan": whole[1]["least"]}))
        parts.append((f"all {len(forward)} forward", forward, *calls))
    for label, members, mean_goals, least_goals in parts:
        found, each = summary(members), {row["each"] for row in members if row["each"]}
        held = [row for row in members if ratios(row)]
        if not held:
            continue
        by_class = label in groups(rows)
        if by_class and each:  # a row's goal may differ from its class's: red where one of them is missed
            reached = all(judged(row) >= (row["each"] or 0) for row in held)
            judged_by = "torch" if members[0]["by_call"] else "plan"
            least_goals = {judged_by: 0.0 if reached else math.inf}
        cells = [
            f"{ratio(found['mean'][m], mean_goals.get(m))} ({ratio(found['least'][m], least_goals.get(m))})"
            for m in MODES
        ]
        goal = next(iter(mean_goals.values()), None)
        table.add_row(
            label, str(len(held)), *cells, share(found["mean"]["nchw_share"]), f"{goal:g}" if goal else "",
            "-".join(f"{e:g}" for e in sorted(each)) if by_class else f"{next(iter(least_goals.values())):g}",
        )  # fmt: skip
    return table


def left_out(console: Console, rows: list[Row]) -> None:
    """Say who did not take part for what reason, and during which rows the machine was busy."""
    odd: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, reason in row["skipped"].items():
            odd.setdefault((name, reason), []).append(row["shape"])
    busy = [f"{row['shape']} ({row['others']:.0%})" for row in rows if (row["others"] or 0) > BUSY]
    if busy:
        console.print(
            f"[red]other processes used the machine during {'; '.join(busy)}: do not trust these[/]", highlight=False
        )
    for (name, reason), shapes in odd.items():
        where = f"{len(shapes)} rows" if len(shapes) > 3 else "; ".join(shapes)
        loud = "red" if "something else" in reason or "Error" in reason else "dim"
        console.print(f"[{loud}]{name} left out: {escape(reason)} ({where})[/]", highlight=False)


def show(console: Console, rows: list[Row]) -> int:
    """Everything about the rows, who did not take part for what reason, the goals missed; return how many."""
    has_peer = any(best_peer(row) for row in rows)
    console.print(speeds(rows))
    named = {n for row in rows for n in row["contestants"] if is_ours(row, n) and n not in OURS}
    console.print(everybody(rows, "Microseconds a call, lower quartile", lambda name: name not in named))
    if named:
        console.print(everybody(rows, "Our algorithms, microseconds a planned call", lambda name: name in named))
    if has_peer:
        console.print(means(rows))
    left_out(console, rows)
    for row in rows:
        if row["contestants"] and not modes(row):
            console.print(f"[red]convkern has no result to compare for {row['shape']}[/]", highlight=False)
    return goals.show(console, verdicts(rows))


def finished(row: Row) -> str:
    """One line about a row that has just been measured."""
    ours, peer = headline(row), best_peer(row)
    if ours is None:
        return f"{row['shape']}: ours did not run"
    line = f"{row['shape']}: {ours[0]} {duration(ours[1])}, {rate(row)['share']:.0%} of {rate(row)['bound']}"
    theirs = sum(not is_ours(row, name) for name in row["contestants"])
    return line + (f", {judged(row):.2f} x {peer[0]} (best of {theirs})" if peer else "")
