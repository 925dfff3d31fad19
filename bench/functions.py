"""Suites that time one function of ours against its namesakes elsewhere; filters.py, pooling.py, training.py hold rows.

A Job is a row: inputs drawn from its name, and contestants, each built in its own library's process from those inputs.
Ours are named by a dotted name; one that is not there is reported as absent. Results are compared before timing.
"""

from __future__ import annotations

import importlib
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from . import goals, report, rounds
from .case import Contestant, SkipError
from .goals import Verdict
from .pool import workers
from .results import FRAMEWORKS, Row, is_ours, mean, times
from .rounds import Task

SMALL = 8  # a smoke run's images have sides this many times smaller, its networks are this many times thinner

# Whom a goal can be against: workers by kind.
OPPONENTS = {"scipy": ("scipy",), "opencv": ("opencv",), "frameworks": FRAMEWORKS}

Inputs = tuple[np.ndarray, ...]
Build = Callable[[Inputs, int], Contestant]  # inputs, threads


@dataclass(frozen=True)
class Job:
    """One row: `name` is its key in goals.toml, `detail` says the sizes; tolerance is relative to max|y|, 0: equal."""

    name: str
    detail: str
    inputs: Callable[[np.random.Generator], Inputs]
    ours: dict[str, Build]
    peers: dict[str, tuple[str, Build]]  # contestant: (worker, build)
    tolerance: float = 2e-5


def resolve(dotted: str) -> Callable[..., Any]:
    """Import what a dotted name means; SkipError beginning with "absent" when it is not there."""
    module, _, name = dotted.rpartition(".")
    try:
        holder = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name and f"{module}.".startswith(f"{error.name}.")):
            raise  # the module is there, but something it needs is not
        raise SkipError(f"absent: no module {error.name}") from None
    if not hasattr(holder, name):
        raise SkipError(f"absent: {module} has no {name}")
    found: Callable[..., Any] = getattr(holder, name)
    return found


def calling(dotted: str, call: Callable[..., Any]) -> Build:
    """Return a builder of call(function, *inputs), the function named by a dotted name."""

    def build(inputs: Inputs, threads: int) -> Contestant:
        run = partial(call, resolve(dotted), *inputs)
        return Contestant(run, lambda: np.asarray(run()))

    return build


def scipy_calling(dotted: str, call: Callable[..., Any]) -> Build:
    """The same of SciPy, whose transforms are given the threads."""

    def build(inputs: Inputs, threads: int) -> Contestant:
        import scipy.fft

        scipy.fft.set_workers(threads).__enter__()  # for the life of the process
        return calling(dotted, call)(inputs, threads)

    return build


def opencv_calling(name: str, call: Callable[..., Any]) -> Build:
    """The same of OpenCV: call(cv2, function, *inputs)."""

    def build(inputs: Inputs, threads: int) -> Contestant:
        import cv2

        cv2.setNumThreads(threads)
        return calling(f"cv2.{name}", lambda function, *given: call(cv2, function, *given))(inputs, threads)

    return build


def _jobs(suite: str, shrink: int) -> dict[str, Job]:
    jobs: dict[str, Job] = importlib.import_module(f".{suite}", __package__).jobs(shrink)
    return jobs


def contestants(peer: str, row: str, threads: int, suite: str, shrink: int) -> dict[str, Callable[[], Contestant]]:
    """Return the contestants of one worker for a row of a suite."""
    job = _jobs(suite, shrink)[row]
    builds = job.ours if peer == "ours" else {name: b for name, (worker, b) in job.peers.items() if worker == peer}
    if not builds:
        return {}
    inputs = job.inputs(np.random.default_rng(zlib.crc32(row.encode())))
    return {name: partial(build, inputs, threads) for name, build in builds.items()}


def tasks(suite: str, jobs: dict[str, Job], shrink: int, only: str | None) -> list[Task]:
    found = []
    for job in jobs.values():
        shape = f"{job.name} ({job.detail})"
        wanted = {} if shrink > 1 else goals.read()[suite].get(job.name, {})
        facts = {"shape": shape, "group": suite, "dtype": "float32", "goals": wanted}
        if (only or "") in shape:
            found.append(
                Task("functions", job.name, facts, job.tolerance, {"suite": suite, "shrink": shrink})
            )  # fmt: skip
    if not found:
        raise ValueError(f"no row matches only={only!r}; the rows are: {'; '.join(jobs)}")
    return found


def own(row: Row) -> tuple[str, float] | None:
    """Return our fastest contestant and its seconds."""
    found = [(seconds, name) for name, seconds in times(row).items() if is_ours(row, name)]
    return min(found)[::-1] if found else None


def absent(row: Row) -> str | None:
    """Return why none of ours ran, when that is because the function is not there."""
    reasons = [reason for reason in row["skipped"].values() if reason.startswith("absent")]
    return reasons[0] if reasons and own(row) is None else None


def opponents(row: Row) -> dict[str, tuple[str, float]]:
    """Return the fastest of each kind of opponent, and its seconds."""
    found: dict[str, tuple[str, float]] = {}
    for kind, members in OPPONENTS.items():
        theirs = [(s, n) for n, s in times(row).items() if row["contestants"][n]["worker"] in members]
        if theirs:
            seconds, name = min(theirs)
            found[kind] = name, seconds
    return found


def ratios(row: Row) -> dict[str, float]:
    """Opponent's time over ours, by kind."""
    ours = own(row)
    return {kind: seconds / ours[1] for kind, (_, seconds) in opponents(row).items()} if ours else {}


def verdicts(rows: list[Row]) -> list[Verdict]:
    """Every goal of the rows; one whose function is absent is reached by nothing."""
    found = []
    for row in rows:
        reached = ratios(row)
        for kind, wanted in row["goals"].items():
            value = 0.0 if own(row) is None else reached.get(kind, math.nan)
            found.append(Verdict(f"{row['shape']}, {kind} / ours", value, wanted))
    return found


def finished(row: Row) -> str:
    ours = own(row)
    if ours is None:
        return f"[red]{row['shape']}: {escape(absent(row) or 'ours did not run')}[/]"
    theirs = ", ".join(f"{ratios(row)[kind]:.2f} x {name}" for kind, (name, _) in opponents(row).items())
    return f"{row['shape']}: {report.duration(ours[1])}" + (f", {theirs}" if theirs else "")


def show(console: Console, rows: list[Row]) -> int:
    """Print the table of times and ratios, who is left out, the goals missed; return how many, absent rows included."""
    kinds = [kind for kind in OPPONENTS if any(kind in opponents(row) or kind in row["goals"] for row in rows)]
    table = Table(title="Ours, and the ratio opponent / ours (above 1: ours is faster)", title_justify="left",
                  box=SIMPLE_HEAD)  # fmt: skip
    table.add_column("row", no_wrap=True)
    table.add_column("ours", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for kind in kinds:
        table.add_column(f"best of {kind}", no_wrap=True)
        for name in ("time", "ratio", "goal"):
            table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        ours, theirs, reached = own(row), opponents(row), ratios(row)
        cells = [ours[0], report.duration(ours[1])] if ours else ["[red]absent[/]" if absent(row) else "-", "-"]
        for kind in kinds:
            wanted = row["goals"].get(kind)
            cells += [theirs[kind][0], report.duration(theirs[kind][1])] if kind in theirs else ["", ""]
            cells += [report.ratio(reached[kind], wanted) if kind in reached else "", f"{wanted:g}" if wanted else ""]
        table.add_row(row["shape"], *cells)
    console.print(table)
    for kind in kinds:
        values = [r[kind] for row in rows if kind in (r := ratios(row))]
        if values:
            console.print(f"{kind} / ours: geometric mean {mean(values):.2f}, smallest {min(values):.2f}")
    report.left_out(console, rows)
    missing = [row["shape"] for row in rows if own(row) is None]
    if missing:
        console.print(f"[red]absent or failed: {'; '.join(missing)}[/]", highlight=False)
    missed = goals.show(console, verdicts(rows))
    return missed + sum(not row["goals"] for row in rows if own(row) is None)


def check(console: Console, wanted: list[Task], peers: list[str], threads: int) -> int:
    """Compare the results of a row's contestants instead of timing them, with ours or without; 1 when two differ."""
    wrong = 0
    with workers(["ours", *peers], threads) as (handles, _, missing):
        for task in wanted:
            entries, skipped = rounds.enter(handles, task, missing, alone=True)
            bad = {name: why for name, why in skipped.items() if "something else" in why or "Error" in why}
            wrong += len(bad)
            agreed = ", ".join(entry.name for entry in entries) or "nobody"
            console.print(f"{task.facts['shape']}: agree within {task.tolerance:g}: {agreed}", highlight=False)
            for name, why in skipped.items():
                colour = "red" if name in bad else "dim"
                console.print(f"[{colour}]  {name} left out: {escape(why)}[/]", highlight=False)
    for name, reason in missing.items():
        console.print(f"[yellow]{name} is not here: {escape(reason)}[/]", highlight=False)
    console.print(f"[red]{wrong} wrong[/]" if wrong else "[green]all right[/]")
    return 1 if wrong else 0
