"""One run of a suite: workers started, its rows raced one after the other, and all that goes into the JSON file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from . import report, results, rounds
from .pool import Others, WorkerDiedError, workers
from .results import Row
from .rounds import Entry, Task

Finished = Callable[[Row], str]  # one line about a row that has just been measured
Keep = Callable[[list[Entry]], list[Entry]]  # which entries are worth racing


def progress(console: Console) -> Progress:
    # No refreshing thread: it would run beside the contestants.
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=console,
        auto_refresh=False,
    )  # fmt: skip


def measure(
    console: Console, tasks: list[Task], peers: list[str], options: argparse.Namespace, finished: Finished, keep: Keep
) -> dict[str, Any]:
    """Race every task; return what goes into the JSON file, the rows among it."""
    seconds, least = (0.0, 2) if options.smoke else (options.seconds, 5)
    rows: list[Row] = []
    with workers(["ours", *peers], options.threads) as (handles, versions, missing):
        if "ours" in missing:
            raise WorkerDiedError(f"convkern cannot be imported: {missing['ours']}")
        about = handles["ours"].ask("machine")
        versions = {"convkern" if name == "ours" else name: version for name, version in versions.items()}
        report.machine(console, about, versions)
        for name, reason in missing.items():
            console.print(f"[yellow]{name} is not here: {escape(reason)}[/]", highlight=False)
        others = Others(handles)
        known = set(missing)
        with progress(console) as bar:
            line = bar.add_task("", total=len(tasks))

            def tick(share: float) -> None:
                bar.update(line, completed=len(rows) + share, refresh=True)

            for task in tasks:
                bar.update(line, description=task.row, refresh=True)
                entries, skipped = rounds.enter(handles, task, missing)
                entries = keep(entries)
                for name in set(missing) - known:
                    bar.console.print(f"[red]{name} is gone: {escape(missing[name])}[/]", highlight=False)
                known = set(missing)
                others.share()
                bandwidths = rounds.race(entries, task.footprint, seconds, least, options.burst / 1e3, tick)
                taken = {
                    e.name: {"worker": e.worker.name, "note": e.note, "seconds": e.seconds, "peaks": e.peaks, **e.facts}
                    for e in entries
                }
                row: Row = {
                    **task.facts, "bandwidths": bandwidths, "skipped": skipped, "contestants": taken,
                    "others": others.share(),
                }  # fmt: skip
                rows.append(row)
                bar.console.print(finished(row), highlight=False)
                tick(0.0)
    results.raise_peak(about, rows)
    stated = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return {
        "format": 1, "when": stamp, "machine": about, "versions": versions, "missing": missing, "options": stated,
        "rows": rows,
    }  # fmt: skip
