"""The command line: python -m bench [options], bench compare A.json B.json, bench training [options]."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from . import check, compare, picture, report, results, rounds, shapes
from .peers import PEERS
from .pool import Others, WorkerDiedError, workers
from .results import Row

WIDTH = 170  # columns the tables need, in a file or a terminal


def parser() -> argparse.ArgumentParser:
    tool = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure convkern and its peers, or compare two results: python -m bench compare A.json B.json.",
    )
    tool.add_argument("--shapes", type=Path, default=shapes.DEFAULT, help="a file like bench/shapes.txt (the default)")
    tool.add_argument("--only", metavar="TEXT", help="only shapes whose descriptor contains TEXT")
    tool.add_argument("--class", dest="group", metavar="NAME", help="only classes whose name contains NAME")
    tool.add_argument(
        "--peers", default=None, help=f"of {','.join(PEERS)}; all installed ones by default; none: no peers"
    )
    tool.add_argument("--without", default="", metavar="A,B", help="contestants to leave out, e.g. openvino NHWC")
    tool.add_argument("--algorithms", action="store_true", help="race each of our algorithms by name, too")
    tool.add_argument(
        "--direction", choices=[*check.DIRECTIONS, "all"], default=None, help="forward by default; --check: all"
    )
    tool.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    tool.add_argument("--threads", type=int, default=2, help="threads of every contestant (2)")
    tool.add_argument("--seconds", type=float, default=6.0, help="budget of a shape's rounds (6)")
    tool.add_argument("--burst", type=float, default=4.0, help="least milliseconds of a sample (4)")
    tool.add_argument("--json", type=Path, metavar="OUT", help="write all samples here")
    tool.add_argument("--picture", type=Path, metavar="OUT.png", help="draw ratios and the roofline here")
    tool.add_argument("--smoke", action="store_true", help="three small shapes, two rounds, no peers unless named")
    tool.add_argument("--check", action="store_true", help="compare numbers with the oracle instead of timing")
    return tool


def chosen_peers(text: str | None, smoke: bool) -> list[str]:
    if text is None:
        return [] if smoke else list(PEERS)
    named = [name for name in text.split(",") if name and name != "none"]
    if unknown := [name for name in named if name not in PEERS]:
        raise ValueError(f"--peers: unknown {', '.join(unknown)}; known are {', '.join(PEERS)}")
    return named


def progress(console: Console) -> Progress:
    # No refreshing thread: it would run beside the contestants.
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), console=console,
        auto_refresh=False,
    )  # fmt: skip


def measure(console: Console, chosen: list[shapes.Shape], options: argparse.Namespace) -> dict[str, Any]:
    """Race every shape in every wanted direction; return what goes into the JSON file."""
    directions = check.DIRECTIONS if options.direction == "all" else (options.direction or "forward",)
    seconds, least = (0.0, 2) if options.smoke else (options.seconds, 5)
    rows: list[Row] = []
    names = ["ours", *chosen_peers(options.peers, options.smoke)]
    with workers(names, options.threads) as (handles, versions, missing):
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
            task = bar.add_task("", total=len(chosen) * len(directions))

            def tick(share: float) -> None:
                bar.update(task, completed=len(rows) + share, refresh=True)

            for direction in directions:
                for shape in [shape.towards(direction) for shape in chosen]:
                    bar.update(task, description=f"{direction} {shape.text}", refresh=True)
                    spec = shape.spec(direction, options.dtype)
                    entries, skipped = rounds.enter(handles, spec, options.algorithms, missing)
                    entries = [e for e in entries if e.name not in options.without.split(",")]
                    for name in set(missing) - known:
                        bar.console.print(f"[red]{name} is gone: {escape(missing[name])}[/]", highlight=False)
                    known = set(missing)
                    others.share()
                    bandwidths = rounds.race(entries, spec.bytes, seconds, least, options.burst / 1e3, tick)
                    taken = {e.name: {"note": e.note, "seconds": e.seconds, "peaks": e.peaks} for e in entries}
                    row: Row = {
                        "shape": shape.text, "group": shape.group or "-", "each": shape.each, "mean": shape.mean,
                        "by_call": shape.by_call, "direction": direction, "dtype": options.dtype, "flops": spec.flops,
                        "bytes": spec.bytes, "bandwidths": bandwidths, "skipped": skipped, "contestants": taken,
                        "others": others.share(),
                    }  # fmt: skip
                    rows.append(row)
                    bar.console.print(report.finished(row), highlight=False)
                    tick(0.0)
    results.raise_peak(about, rows)
    stated = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    return {
        "format": 1, "when": stamp, "machine": about, "versions": versions, "missing": missing, "options": stated,
        "rows": rows,
    }  # fmt: skip


def run(options: argparse.Namespace, console: Console) -> int:
    if options.smoke:
        chosen = [shapes.Shape(text, "smoke") for text in shapes.SMOKE]
    else:
        chosen = shapes.select(shapes.read(options.shapes), options.only, options.group)
    if options.check:
        wanted = check.DIRECTIONS if options.direction in (None, "all") else (options.direction,)
        with progress(console) as bar:
            task = bar.add_task("", total=len(chosen) * len(wanted))

            def tick(text: str) -> None:
                bar.update(task, description=text)
                bar.advance(task)
                bar.refresh()

            return 1 if check.check(bar.console, chosen, wanted, options.dtype, tick) else 0
    measured = measure(console, chosen, options)
    for path in filter(None, (options.json, options.picture)):
        path.parent.mkdir(parents=True, exist_ok=True)
    if options.json:
        options.json.write_text(json.dumps(measured) + "\n")
    if options.picture:
        picture.draw(measured["rows"], measured["machine"], options.picture)
    report.show(console, measured["rows"])
    return 0 if all(row["contestants"] for row in measured["rows"]) else 1


def main(arguments: list[str]) -> int:
    console = Console()
    if console.width < WIDTH:
        console = Console(width=WIDTH)
    try:
        if arguments[:1] == ["training"]:
            from . import training

            return training.main(arguments[1:])
        if arguments[:1] == ["compare"]:
            files = argparse.ArgumentParser(prog="python -m bench compare", description=compare.__doc__)
            files.add_argument("a")
            files.add_argument("b")
            given = files.parse_args(arguments[1:])
            compare.compare(console, given.a, given.b)
            return 0
        return run(parser().parse_args(arguments), console)
    except (ValueError, OSError, WorkerDiedError) as error:
        console.print(f"[red]{escape(str(error))}[/]", highlight=False)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
