"""The suite of choices: how good the dispatcher is, untuned, row by row.

    ratio = time of the algorithm that is chosen / time of the best one             1 is perfect

Two sets, judged apart: the layers of shapes.txt, forward, in both layouts, by plan and by one-shot call; and 200 random
problems (bench/drawn.py says from which distribution). All algorithms that support a problem race, but the oracle. Left
out after a first round are hopeless ones: predicted to take over 5 times the least prediction and found to take over 3
times the least time. Figures are the arithmetic mean, the 95th percentile and the worst ratio.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from convkern.algorithms import BY_NAME
from convkern.spec import Spec

from . import drawn, goals, ours, report, shapes
from .case import Case, Contestant
from .goals import Verdict
from .results import Row, groups, times
from .rounds import TOLERANCE, Entry, Task

RANDOM = 200
PREDICTED, FOUND = 5.0, 3.0  # times the least prediction and the least time beyond which one is hopeless
WORST_SHOWN = 10
SETS = {"shapes": "bench/shapes.txt", "random": "random problems"}


def contestants(peer: str, row: str, threads: int, planned: bool) -> dict[str, Callable[[], Contestant]]:
    """Return every algorithm that supports the problem in its layout, marked with its prediction and the choice."""
    spec = Spec.parse(row)
    case = Case(replace(spec, channels_last=False))
    make = ours.plan if planned else ours.call
    table = ours.choice(spec, spec.channels_last, planned)

    def build(name: str, facts: dict[str, Any]) -> Contestant:
        contestant = make(case, spec.channels_last, name)
        return replace(contestant, facts={**contestant.facts, **facts})

    return {
        found.algorithm: partial(build, found.algorithm, {"predicted": found.seconds, "chosen": found.chosen})
        for found in table.rows
        if found.reason is None and not BY_NAME[found.algorithm].oracle
    }


def _task(spec: Spec, planned: bool, group: str) -> Task:
    facts = {
        "shape": f"{spec} {'plan' if planned else 'call'}", "group": group, "dtype": spec.dtype, "planned": planned,
        "direction": spec.direction, "flops": spec.flops, "bytes": spec.bytes,
    }  # fmt: skip
    return Task("quality", str(spec), facts, TOLERANCE[spec.dtype], {"planned": planned})


def tasks(smoke: bool = False, only: str | None = None, sample: int | None = None) -> list[Task]:
    """Return the rows of both sets; `sample` of them, drawn evenly with a fixed seed, in their order."""
    layers = [shapes.Shape(text) for text in shapes.SMOKE] if smoke else shapes.read()
    found = [
        _task(replace(shape.spec(), channels_last=channels_last), planned, "shapes")
        for shape in layers
        for channels_last in ours.LAYOUTS
        for planned in (True, False)
    ]
    small = (p for p in drawn.draw(RANDOM) if not smoke or (p.spec.flops < 3e6 and p.spec.bytes < 1e6))
    found += [_task(problem.spec, problem.planned, "random") for problem in list(small)[: 3 if smoke else RANDOM]]
    found = [task for task in found if (only or "") in task.facts["shape"]]
    if not found:
        raise ValueError(f"no problem matches only={only!r}")
    if sample is not None and sample < len(found):
        if sample < 1:
            raise ValueError(f"--sample: got {sample}, needs at least 1")
        kept = np.random.default_rng(drawn.SEED).choice(len(found), sample, replace=False)
        found = [found[i] for i in sorted(kept)]
    return found


def worth_racing(entries: list[Entry]) -> list[Entry]:
    """Leave out the hopeless, by prediction and by the first calls; whatever is chosen stays."""
    if not entries:
        return entries
    predicted = min(e.facts["predicted"] for e in entries)
    found = min(e.estimate for e in entries)
    return [
        e
        for e in entries
        if e.facts["chosen"] or e.facts["predicted"] <= PREDICTED * predicted or e.estimate <= FOUND * found
    ]


def chosen(row: Row) -> str | None:
    return next((name for name, c in row["contestants"].items() if c["chosen"]), None)


def ratio(row: Row) -> float:
    """Time of the chosen over time of the best; nan when the chosen one did not run."""
    taken, name = times(row), chosen(row)
    return taken[name] / min(taken.values()) if name in taken else math.nan


def figures(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Return mean, p95 and worst of each set that has rows."""
    found = {}
    for name, members in groups(rows).items():
        ratios = np.array([r for row in members if not math.isnan(r := ratio(row))])
        if ratios.size:
            p95 = float(np.quantile(ratios, 0.95))
            found[name] = {"mean": float(ratios.mean()), "p95": p95, "worst": float(ratios.max())}
    return found


def read_limits(text: str | None) -> dict[str, float]:
    """Read mean=1.05,p95=1.15,worst=1.5, or some of them."""
    limits = {}
    for part in (text or "").split(","):
        name, _, value = part.partition("=")
        if not part:
            continue
        try:
            limits[name] = float(value)
        except ValueError:
            raise ValueError(f"--assert: cannot read {part!r}; needs such as mean=1.05,p95=1.15,worst=1.5") from None
        if name not in goals.read()["quality"]:
            raise ValueError(f"--assert: unknown {name!r}; known are {', '.join(goals.read()['quality'])}")
    return limits


def finished(row: Row) -> str:
    taken, name = times(row), chosen(row)
    if name not in taken:
        return f"[red]{row['shape']}: the chosen algorithm did not run[/]"
    best = min(taken, key=taken.__getitem__)
    better = "" if best == name else f", {best} {report.duration(taken[best])}: {ratio(row):.2f}"
    return f"{row['shape']}: {name} {report.duration(taken[name])}{better} (of {len(taken)})"


def worst_table(rows: list[Row]) -> Table:
    """Show the rows whose choice is worst, with what was chosen and what had been best, predicted and found."""
    table = Table(title="The worst choices", title_justify="left", box=SIMPLE_HEAD)
    for name in ("set", "problem"):
        table.add_column(name, no_wrap=True)
    for who in ("chosen", "best"):
        table.add_column(who, no_wrap=True)
        for name in ("predicted", "found"):
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("ratio", justify="right")
    held = sorted((row for row in rows if ratio(row) > 1), key=ratio, reverse=True)
    for row in held[:WORST_SHOWN]:
        taken = times(row)
        cells = []
        for name in (chosen(row) or "", min(taken, key=taken.__getitem__)):
            cells += [name, report.duration(row["contestants"][name]["predicted"]), report.duration(taken[name])]
        table.add_row(SETS[row["group"]], row["shape"], *cells, f"{ratio(row):.3f}")
    return table


def show(console: Console, rows: list[Row], limits: dict[str, float], smoke: bool = False) -> int:
    """Print the worst rows, both sets' figures, the goals missed; return 1 above a limit or when a choice failed.

    A smoke run is not held to the goals, which speak of all problems; limits are for whoever names them.
    """
    console.print(worst_table(rows))
    wanted = goals.read()["quality"]
    table = Table(title="Time of the chosen over time of the best", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("set")
    for name in ("problems", "chosen is best", *wanted):
        table.add_column(name, justify="right")
    verdicts, exceeded = [], False
    for name, found in figures(rows).items():
        members = [row for row in rows if row["group"] == name]
        right = sum(ratio(row) == 1 for row in members)
        cells = [f"[{'green' if found[f] <= wanted[f] else 'red'}]{found[f]:.3f}[/]" for f in wanted]
        table.add_row(SETS[name], str(len(members)), f"{right / len(members):.0%}", *cells)
        verdicts += [Verdict(f"{SETS[name]}: {f}", found[f], wanted[f], limit=True) for f in wanted]
        exceeded |= any(found[f] > limit for f, limit in limits.items())
    console.print(table)
    picked = collections.Counter(chosen(row) for row in rows)
    console.print("chosen: " + ", ".join(f"{name} {count}" for name, count in picked.most_common()), highlight=False)
    report.left_out(console, rows)
    failed = [row["shape"] for row in rows if math.isnan(ratio(row))]
    if failed:
        console.print(f"[red]the chosen algorithm did not run: {'; '.join(failed)}[/]", highlight=False)
    if not smoke:
        goals.show(console, verdicts)
    if exceeded:
        console.print(f"[red]above a limit of --assert: {limits}[/]", highlight=False)
    return 1 if exceeded or failed else 0
