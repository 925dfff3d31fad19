"""The command line of tune: reads what to measure, prints a line for each problem and the table of a calibration."""

import argparse
import os
import sys
from typing import TextIO

from . import _core, store
from .algorithms import BY_NAME
from .dispatch import Explanation, format_seconds
from .measure import NEVER
from .tune import check_folder, expand, read_lines, tune_spec

DESCRIPTION = """\
Measure the algorithms that serve a layer, as a plan and as a call, and remember the times on this CPU: choices rest on
them from then on. With --calibrate measure the constants of the cost models first, which predict what was not measured.
"""
EPILOG = """\
examples:
  python -m convkern tune --calibrate
  python -m convkern tune "1,64,56x56->64 3x3 p1" "nhwc 8,64,56x56->64 3x3 p1"
  python -m convkern tune bench/shapes.txt
"""


def add_arguments(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the command line."""
    tool = commands.add_parser(
        "tune",
        help="measure algorithms or the constants of the cost models on this machine, and remember them",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "a descriptor, as explain takes it, in one quoted argument, or a file with one a line"
    tool.add_argument("problems", nargs="*", metavar="SPEC|FILE", help=what)
    tool.add_argument("--calibrate", action="store_true", help="measure the constants of the cost models, 15-60 s")
    tool.add_argument("--isa", help="instruction set (that of CONVKERN_ISA, else the best one)")
    tool.add_argument(
        "--cache", metavar="FOLDER", help=f"the store's folder (that of {store.VARIABLE}, else the user's)"
    )
    tool.add_argument("--forget", action="store_true", help="first delete all that was remembered of this CPU")


def main(options: argparse.Namespace, out: TextIO | None = None) -> int:
    """Runs the command; returns the exit code: 0 done, 1 not enough memory, 2 wrong arguments or an unusable store."""
    out = out or sys.stdout
    try:
        lines = [line for problem in options.problems for line in read_problem(problem)]
        specs = [spec for line in dict.fromkeys(lines) for spec in expand(line)]
        if not (specs or options.calibrate or options.forget):
            raise ValueError("nothing to do: give a descriptor, a file or --calibrate")
        if options.isa is not None:
            _core.set_isa(options.isa)
        place = check_folder(options.cache)
        if options.forget and place is not None:
            print(f"{'deleted' if store.forget(place) else 'there is no'} {store.file_in(place)}", file=out)
    except (ValueError, OSError, ImportError) as error:
        print(f"convkern tune: {error}", file=sys.stderr)
        return 2
    worst = 0
    if options.calibrate:
        from .calibration import calibrate

        try:
            print(calibrate(cache=options.cache), file=out, flush=True)
        except MemoryError:
            print("convkern tune: not enough memory to calibrate", file=sys.stderr)
            worst = 1
    for spec in specs:
        try:
            for table in tune_spec(spec, options.cache):
                print(describe(table), file=out, flush=True)
        except MemoryError:
            print(f"convkern tune: {spec} does not fit in memory", file=sys.stderr)
            worst = 1
    if place is None:
        print(f"{store.VARIABLE} is off: nothing was stored", file=out)
    elif specs or options.calibrate:
        print(f"remembered in {store.file_in(place)}", file=out)
    return worst


def read_problem(text: str) -> list[str]:
    """The descriptors of an argument: itself, or those of the file that it names."""
    if "->" in text or not os.path.exists(text):
        return [text]
    return read_lines(text)


def describe(table: Explanation) -> str:
    """A measured problem in one line: its algorithms, the fastest first, and which was predicted to be that."""
    times = {row.algorithm: row.measured for row in table.rows if row.measured is not None and row.measured < NEVER}
    ranked = sorted(times, key=lambda name: times[name] or 0.0)
    ranking = ", ".join(f"{name} {format_seconds(times[name] or 0.0)}" for name in ranked)
    fit = [row for row in table.rows if row.reason is None and not BY_NAME[row.algorithm].oracle]
    predicted = min(fit, key=lambda row: row.seconds).algorithm if fit else None
    loss = times.get(predicted or "")
    behind = f" ({loss / times[ranked[0]]:.2f}x)" if loss and ranked and predicted != ranked[0] else ""
    return (
        f"{table.spec}  {'plan' if table.planned else 'call'}: {ranking or 'no choice'}; predicted: {predicted}{behind}"
    )
