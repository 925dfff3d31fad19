"""Results as tables on a terminal: one of speeds and ratios, one of everybody's times, one of geometric means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .results import (
    OURS,
    Row,
    best_peer,
    groups,
    headline,
    is_ours,
    judged,
    machine_line,
    modes,
    rate,
    ratios,
    summary,
    times,
)

BUSY = 0.05  # share of the cores used by others above which a row is called unreliable
MODES = {"plan": "plan", "other": "other", "call": "call", "torch": "call/torch"}


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
    for label in ("time", *MODES.values(), "goal"):
        table.add_column(label, justify="right", no_wrap=True)
    for label, members in groups(rows).items():
        table.add_section()
        table.add_row(f"[bold]{label}[/]")
        for row in members:
            ours, peer, speed, found = headline(row), best_peer(row), rate(row), ratios(row)
            if ours is None:
                table.add_row(row["shape"], "-")
                continue
            algorithm = row["contestants"][ours[0]]["note"].partition(":")[0]
            judged_by = "call" if row["by_call"] else "plan"
            table.add_row(
                row["shape"], f"{ours[0]} {algorithm}".rstrip(), duration(ours[1]), f"{speed['gflops']:.3g}",
                f"{speed['gbytes']:.3g}", f"{speed['share']:.0%}", speed["bound"],
                peer[0] if peer else "-", duration(peer[1]) if peer else "-",
                *(ratio(found.get(mode), row["each"] if mode == judged_by else None) for mode in MODES),
                f"{row['each']:g}" if row["each"] else "",
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
    """Geometric means of the ratios, by class and over everything."""
    table = Table(title="Geometric mean of best peer / ours", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("class")
    for label in ("shapes", *MODES.values(), "least", "goal: mean", "each"):
        table.add_column(label, justify="right")
    for label, members in {**groups(rows), "all": rows}.items():
        if label == "all":
            table.add_section()
        found, goal = summary(members), members[0]["mean"] if label != "all" else None
        judged_by = "call" if members[0]["by_call"] else "plan"
        each = {row["each"] for row in members if row["each"]}
        held = [row for row in members if ratios(row)]
        reached = all(judged(row) >= (row["each"] or 0) for row in held)
        least = ratio(found["least"]["judged"])
        table.add_row(
            label, str(len(held)),
            *(ratio(found["mean"][mode], goal if mode == judged_by else None) for mode in MODES),
            f"[{'green' if reached else 'red'}]{least}[/]" if each else least,
            f"{goal:g}" if goal else "", "-".join(f"{e:g}" for e in sorted(each)) if label != "all" else "",
        )  # fmt: skip
    return table


def show(console: Console, rows: list[Row]) -> None:
    """Everything about the rows, and who did not take part for what reason."""
    has_peer = any(best_peer(row) for row in rows)
    console.print(speeds(rows))
    named = {n for row in rows for n in row["contestants"] if is_ours(row, n) and n not in OURS}
    console.print(everybody(rows, "Microseconds a call, lower quartile", lambda name: name not in named))
    if named:
        console.print(everybody(rows, "Our algorithms, microseconds a planned call", lambda name: name in named))
    if has_peer:
        console.print(means(rows))
    odd: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, reason in row["skipped"].items():
            odd.setdefault((name, reason), []).append(row["shape"])
        if row["contestants"] and not modes(row):
            odd.setdefault(("convkern", "no result to compare"), []).append(row["shape"])
    busy = [f"{row['shape']} ({row['others']:.0%})" for row in rows if (row["others"] or 0) > BUSY]
    if busy:
        console.print(
            f"[red]other processes used the machine during {'; '.join(busy)}: do not trust these[/]", highlight=False
        )
    for (name, reason), shapes in odd.items():
        where = f"{len(shapes)} shapes" if len(shapes) > 3 else "; ".join(shapes)
        loud = "red" if "something else" in reason or "Error" in reason else "dim"
        console.print(f"[{loud}]{name} left out: {escape(reason)} ({where})[/]", highlight=False)


def finished(row: Row) -> str:
    """One line about a row that has just been measured."""
    ours, peer = headline(row), best_peer(row)
    if ours is None:
        return f"{row['shape']}: ours did not run"
    line = f"{row['shape']}: {ours[0]} {duration(ours[1])}, {rate(row)['share']:.0%} of {rate(row)['bound']}"
    theirs = sum(not is_ours(row, name) for name in row["contestants"])
    return line + (f", {judged(row):.2f} x {peer[0]} (best of {theirs})" if peer else "")
