"""The command line: python -m bench [SUITE] [options], python -m bench compare A.json B.json."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from . import (
    check,
    compare,
    dtypes,
    filters,
    functions,
    layers,
    picture,
    pooling,
    quality,
    report,
    session,
    shapes,
    training,
)
from .peers import PEERS
from .pool import WorkerDiedError

WIDTH = 200  # columns the tables need, in a file or a terminal

SUITES = {
    "quality": "how good the dispatcher's choice is: time of the chosen algorithm over that of the best",
    "dtypes": "plans in float64 against the same in float32",
    "filters": "SciPy's filters and ours, and OpenCV's",
    "pooling": "pooling against PyTorch, ONNX Runtime and OpenVINO",
    "training": "training steps and inference of networks against PyTorch",
    "compare": "what a change did: compare A.json B.json",
}
FUNCTIONS = {"filters": filters, "pooling": pooling, "training": training}  # suites whose rows are jobs
SECONDS = {"training": 15.0}  # budget of a row where it is not 3 s: a step of a network takes long


def common(tool: argparse.ArgumentParser, seconds: float, burst: float = 4.0, peers: bool = True) -> None:
    """Add what every suite that measures understands."""
    tool.add_argument("--only", metavar="TEXT", help="only rows whose name or descriptor contains TEXT")
    if peers:
        names = f"of {','.join(PEERS)}; all installed ones by default; none: no peers"
        tool.add_argument("--peers", default=None, help=names)
        tool.add_argument("--without", default="", metavar="A,B", help="contestants to leave out, e.g. openvino NHWC")
    tool.add_argument("--threads", type=int, default=2, help="threads of every contestant (2)")
    tool.add_argument("--seconds", type=float, default=seconds, help=f"budget of a row's rounds ({seconds:g})")
    tool.add_argument("--burst", type=float, default=burst, help=f"least milliseconds of a sample ({burst:g})")
    tool.add_argument("--json", type=Path, metavar="OUT", help="write all samples here")
    tool.add_argument("--smoke", action="store_true", help="few and small rows, two rounds, no peers unless named")


def layers_parser() -> argparse.ArgumentParser:
    tool = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure convkern's layers and their peers. Suites of their own: python -m bench SUITE --help.",
        epilog="; ".join(f"{name}: {what}" for name, what in SUITES.items()),
    )
    common(tool, 6.0)
    tool.add_argument("--shapes", type=Path, default=shapes.DEFAULT, help="a file like bench/shapes.txt (the default)")
    tool.add_argument(
        "--class", dest="group", metavar="NAME", help="only classes whose name contains NAME; also: gradients"
    )
    tool.add_argument("--algorithms", action="store_true", help="race each of our algorithms by name, too")
    tool.add_argument(
        "--direction", choices=[*shapes.DIRECTIONS, "all"], default=None, help="forward by default; --check: all"
    )
    tool.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    tool.add_argument("--picture", type=Path, metavar="OUT.png", help="draw ratios and the roofline here")
    tool.add_argument("--check", action="store_true", help="compare numbers with the oracle instead of timing")
    tool.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 when a goal is missed")
    return tool


def suite_parser(name: str) -> argparse.ArgumentParser:
    modules = {"quality": quality, "dtypes": dtypes, **FUNCTIONS}
    tool = argparse.ArgumentParser(
        prog=f"python -m bench {name}",
        description=modules[name].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if name == "quality":
        common(tool, 0.8, 2.0, peers=False)
        tool.add_argument("--sample", type=int, metavar="N", help="only N rows, evenly drawn from all")
        tool.add_argument("--assert", dest="limits", metavar="mean=M,p95=P,worst=W", help="exit with 1 above a limit")
        return tool
    common(tool, SECONDS.get(name, 3.0), peers=name != "dtypes")
    tool.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 when a goal is missed")
    if name != "dtypes":
        tool.add_argument("--check", action="store_true", help="compare results only; peers without ours, too")
    return tool


def chosen_peers(text: str | None, smoke: bool) -> list[str]:
    if text is None:
        return [] if smoke else list(PEERS)
    named = [name for name in text.split(",") if name and name != "none"]
    if unknown := [name for name in named if name not in PEERS]:
        raise ValueError(f"--peers: unknown {', '.join(unknown)}; known are {', '.join(PEERS)}")
    return named


def write(measured: dict[str, Any], path: Path | None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measured) + "\n")


def run_layers(options: argparse.Namespace, console: Console) -> int:
    whole = [shapes.Shape(text, "smoke") for text in shapes.SMOKE] if options.smoke else shapes.read(options.shapes)
    named = options.group and any(options.group in label for label in shapes.GRADIENTS.values())
    every = options.direction == "all" or (options.direction is None and (options.check or named))
    directions = shapes.DIRECTIONS if every else (options.direction or "forward",)
    chosen = shapes.select(shapes.directed(whole, directions), options.only, options.group)
    if options.check:
        with session.progress(console) as bar:
            task = bar.add_task("", total=len(chosen))

            def tick(text: str) -> None:
                bar.update(task, description=text)
                bar.advance(task)
                bar.refresh()

            return 1 if check.check(bar.console, chosen, options.dtype, tick) else 0
    tasks = [layers.task(shape, options.dtype, options.algorithms) for shape in chosen]
    peers = chosen_peers(options.peers, options.smoke)
    left_out = options.without.split(",")
    measured = session.measure(
        console, tasks, peers, options, report.finished, lambda found: [e for e in found if e.name not in left_out]
    )
    write(measured, options.json)
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        picture.draw(measured["rows"], measured["machine"], options.picture)
    missed = report.show(console, measured["rows"])
    return 1 if (options.strict and missed) or not all(row["contestants"] for row in measured["rows"]) else 0


def run_quality(options: argparse.Namespace, console: Console) -> int:
    limits = quality.read_limits(options.limits)
    tasks = quality.tasks(options.smoke, options.only, options.sample)
    measured = session.measure(console, tasks, [], options, quality.finished, quality.worth_racing)
    measured["quality"] = quality.figures(measured["rows"])
    write(measured, options.json)
    return quality.show(console, measured["rows"], limits, options.smoke)


def run_dtypes(options: argparse.Namespace, console: Console) -> int:
    tasks = dtypes.tasks(options.smoke, options.only)
    measured = session.measure(console, tasks, [], options, dtypes.finished, list)
    write(measured, options.json)
    missed = dtypes.show(console, measured["rows"])
    return 1 if options.strict and missed else 0


def run_functions(suite: str, options: argparse.Namespace, console: Console) -> int:
    shrink = functions.SMALL if options.smoke else 1
    tasks = functions.tasks(suite, FUNCTIONS[suite].jobs(shrink), shrink, options.only)
    peers = chosen_peers(options.peers, options.smoke)
    if options.check:
        return functions.check(console, tasks, peers, options.threads)
    left_out = options.without.split(",")
    measured = session.measure(
        console, tasks, peers, options, functions.finished, lambda found: [e for e in found if e.name not in left_out]
    )
    write(measured, options.json)
    missed = functions.show(console, measured["rows"])
    return 1 if options.strict and missed else 0


def main(arguments: list[str]) -> int:
    console = Console()
    if console.width < WIDTH:
        console = Console(width=WIDTH)
    suite, rest = (arguments[0], arguments[1:]) if arguments[:1] and arguments[0] in SUITES else ("", arguments)
    try:
        if suite == "compare":
            files = argparse.ArgumentParser(prog="python -m bench compare", description=compare.__doc__)
            files.add_argument("a")
            files.add_argument("b")
            given = files.parse_args(rest)
            compare.compare(console, given.a, given.b)
            return 0
        if not suite:
            return run_layers(layers_parser().parse_args(rest), console)
        options = suite_parser(suite).parse_args(rest)
        if suite == "quality":
            return run_quality(options, console)
        return run_dtypes(options, console) if suite == "dtypes" else run_functions(suite, options, console)
    except (ValueError, OSError, WorkerDiedError) as error:
        console.print(f"[red]{escape(str(error))}[/]", highlight=False)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
