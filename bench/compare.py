"""python -m bench compare A.json B.json: what a change did, shape by shape, with an estimate of the noise.

Times of two runs cannot be compared as they are, for the cores' speed differs between them.  Each of our samples has
the FMA peak of its moment beside it; time x peak is the time in units of the machine's speed, and that is compared:

    gain = low(t_A * peak_A) / low(t_B * peak_B)        above 1: B is faster

with low the lower quartile.  The noise is the standard error of log(gain) under resampling of the rounds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .results import Row, groups, judged, machine_line, mean, modes, times

Key = tuple[str, str, str]
RESAMPLES = 300
CLEAR = 2.0  # standard errors beyond which a gain is called one
SMALL = 0.02  # and a change below this is not worth a colour


def load(path: str | Path) -> dict[str, Any]:
    data = json.loads(Path(path).read_text())
    if data.get("format") != 1:
        raise ValueError(f"{path} is not a file that python -m bench --json wrote")
    return dict(data)


def _key(row: Row) -> Key:
    return row["shape"], row.get("direction", ""), row["dtype"]  # functions and networks have no direction


def gain(a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float]:
    """How many times faster contestant b is than a, in machine units, and the relative noise of that."""
    random = np.random.default_rng(0)
    spread, points = [], []
    for taken in (a, b):
        cost = np.array(taken["seconds"]) * np.array(taken["peaks"])
        draws = random.choice(cost, (RESAMPLES, len(cost)))
        points.append(np.quantile(cost, 0.25))
        spread.append(np.log(np.quantile(draws, 0.25, axis=1)))
    return float(points[0] / points[1]), float(np.hypot(spread[0].std(), spread[1].std()))


def _paint(value: float, noise: float = 0.0) -> str:
    text = f"{value:.3f}"
    if abs(np.log(value)) <= max(CLEAR * noise, SMALL):
        return text
    return f"[{'green' if value > 1 else 'red'}]{text}[/]"


def _pairs(a: Row, b: Row) -> list[tuple[str, str, str]]:
    """(label, contestant of a, contestant of b): the better plans and calls, then each algorithm both know by name."""
    ours_a, ours_b = modes(a), modes(b)
    found: list[tuple[str, str, str]] = [
        (mode, who, ours_b[mode][0]) for mode, (who, _) in ours_a.items() if mode in ours_b
    ]
    named = [n for n, c in a["contestants"].items() if c["peaks"] and not n.startswith(("plan", "call"))]
    found += [(n, n, n) for n in named if n in b["contestants"] and n in times(b)]
    return found


def _gains(rows: list[Row], old: dict[Key, Row]) -> tuple[Table, dict[str, list[tuple[Row, float]]]]:
    """Return the table of gains and, by mode or algorithm, every row's gain."""
    collected: dict[str, list[tuple[Row, float]]] = {}
    title = "Gain of B over A in units of the machine's speed (above 1: B is faster)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in ("shape", "ours", "A", "B"):
        table.add_column(name, no_wrap=True)
    for name in ("gain", "noise", "ratio to best peer: A", "B"):
        table.add_column(name, justify="right")
    for label, members in groups(rows).items():
        table.add_section()
        table.add_row(f"[bold]{label}[/]")
        for row in members:
            before = old[_key(row)]
            for which, name_a, name_b in _pairs(before, row):
                value, noise = gain(before["contestants"][name_a], row["contestants"][name_b])
                collected.setdefault(which, []).append((row, value))
                shown = which == ("call" if row.get("by_call") else "plan")
                peers = [f"{judged(r):.2f}" if shown and not np.isnan(judged(r)) else "" for r in (before, row)]
                notes = [_who(r, name) for r, name in ((before, name_a), (row, name_b))]
                table.add_row(row["shape"], which, *notes, _paint(value, noise), f"+-{noise:.1%}", *peers)
    return table, collected


def _who(row: Row, name: str) -> str:
    """Name a contestant and its algorithm; of an algorithm raced by name, its details."""
    algorithm, _, detail = row["contestants"][name]["note"].partition(": ")
    return detail if name.startswith(f"{algorithm} ") else f"{name} {algorithm}".strip()


def compare(console: Console, path_a: str, path_b: str) -> None:
    """Print the table of gains and their geometric means."""
    files = load(path_a), load(path_b)
    for mark, path, data in zip("AB", (path_a, path_b), files, strict=True):
        console.print(f"{mark}: {path}: {machine_line(data['machine'])}, {data['when']}", highlight=False)
    if files[0]["machine"]["cpu"]["model"] != files[1]["machine"]["cpu"]["model"]:
        console.print("[red]two different CPUs: the gains below mix the change with the machine[/]")
    old = {_key(row): row for row in files[0]["rows"]}
    shared = [row for row in files[1]["rows"] if _key(row) in old]
    if not shared:
        raise ValueError(f"{path_a} and {path_b} have no shape in common")
    table, collected = _gains(shared, old)
    console.print(table)
    for which, gains in collected.items():
        by_shape = {_key(row): value for row, value in gains}
        parts = [
            f"{name} {_paint(mean(by_shape[_key(row)] for row in members))}"
            for name, members in groups([row for row, _ in gains]).items()
        ]
        whole = _paint(mean(by_shape.values()))
        console.print(f"{which}: geometric mean {whole} ({', '.join(parts)})", highlight=False)
    new = {_key(row) for row in files[1]["rows"]}
    for name, alone in (("A", old.keys() - new), ("B", new - old.keys())):
        if alone:
            console.print(f"[dim]only in {name}: {'; '.join(key[0] for key in sorted(alone))}[/]", highlight=False)
