"""The suite of dtypes: our plans in float64 against the same layers' plans in float32, one row a layer of shapes.txt.

    ratio = float32 plan's time / float64 plan's time, each in its better layout

Half is what vectors of half as many elements and twice the bytes leave.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from convkern.spec import Spec

from . import goals, ours, report, shapes
from .case import Case, Contestant
from .goals import Verdict
from .results import Row, groups, mean, times
from .rounds import TOLERANCE, Task

DTYPES = ("float32", "float64")


def contestants(peer: str, row: str, threads: int) -> dict[str, Callable[[], Contestant]]:
    """Return the plans of both dtypes in both layouts."""
    cases = {dtype: Case(replace(Spec.parse(row), dtype=dtype)) for dtype in DTYPES}
    return {
        f"{dtype} {layout}": partial(ours.plan, case, channels_last)
        for dtype, case in cases.items()
        for channels_last, layout in ours.LAYOUTS.items()
    }


def tasks(smoke: bool, only: str | None) -> list[Task]:
    goal = None if smoke else goals.read()["dtypes"]["float64"]
    whole = [shapes.Shape(text, "smoke") for text in shapes.SMOKE] if smoke else shapes.read()
    found = []
    for shape in shapes.select(whole, only):
        facts = {"shape": shape.text, "group": shape.group, "dtype": "float32", "goal": goal}
        found.append(Task("dtypes", shape.text, facts, TOLERANCE["float32"]))
    return found


def best(row: Row, dtype: str) -> tuple[float, str]:
    """Return the seconds and the name of the better layout's plan; infinite without one."""
    return min(((s, name) for name, s in times(row).items() if name.startswith(dtype)), default=(math.inf, "-"))


def speed(row: Row) -> float:
    """Speed of float64 in units of float32's; nan where one is missing."""
    single, double = (best(row, dtype)[0] for dtype in DTYPES)
    return single / double if math.isfinite(single) and math.isfinite(double) else math.nan


def finished(row: Row) -> str:
    return f"{row['shape']}: float64 at {speed(row):.2f} of float32's speed"


def show(console: Console, rows: list[Row]) -> int:
    """Print the table, the geometric mean and the least, and the goals missed; return how many."""
    table = Table(title="Plans, better layout: float64 against float32", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("shape", no_wrap=True)
    for name in ("float32", "float64"):
        table.add_column(name, no_wrap=True)
        table.add_column("time", justify="right")
    table.add_column("speed", justify="right")
    for label, members in groups(rows).items():
        table.add_section()
        table.add_row(f"[bold]{label}[/]")
        for row in members:
            cells = []
            for dtype in DTYPES:
                seconds, name = best(row, dtype)
                note = row["contestants"][name]["note"].partition(":")[0] if name != "-" else ""
                cells += [f"{name.removeprefix(dtype).strip()} {note}", report.duration(seconds)]
            table.add_row(row["shape"], *cells, report.ratio(speed(row), row["goal"]))
    console.print(table)
    speeds = [s for row in rows if not math.isnan(s := speed(row))]
    if speeds:
        console.print(f"float64 / float32: geometric mean {mean(speeds):.2f}, smallest {min(speeds):.2f}")
    report.left_out(console, rows)
    judged = [row for row in rows if row["goal"]]
    return goals.show(console, [Verdict(f"{r['shape']}: float64 / float32", speed(r), r["goal"]) for r in judged])
