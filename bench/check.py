"""Numbers instead of times: every algorithm in every layout and direction against the oracle, over all shapes.

The oracle is the `reference` algorithm in float64 (plain loops).  Nothing is shrunk; what is left out is counted and
named: combinations an algorithm refuses, and the reference algorithm in other layouts and dtypes above a number of
multiply-adds, where plain loops take seconds.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.markup import escape

from convkern.algorithms import ALGORITHMS
from convkern.spec import Spec

from .case import Array, Case, SkipError
from .ours import LAYOUTS, plan
from .shapes import Shape

ORACLE = "reference"
ORACLE_LIMIT = 50e6  # multiply-adds above which the oracle does not check itself
# Error allowed relative to max|y| where the algorithm promises less; sums over whole images add to a gradient's.
FLOOR = {"float32": 2e-5, "float64": 1e-12}


def oracle(spec: Spec) -> Array:
    """Compute the result in float64, of the numbers that spec's dtype holds."""
    given, exact = Case(spec), Case(replace(spec, dtype="float64"))
    exact.x, exact.weight, exact.grad = (a.astype(np.float64) for a in (given.x, given.weight, given.grad))
    if given.bias is not None:
        exact.bias = given.bias.astype(np.float64)
    return plan(exact, False, ORACLE).result()


def error(result: Array, truth: Array) -> float:
    """Return the largest difference over max|truth|; infinite for a wrong shape or a NaN."""
    if result.shape != truth.shape:
        return float("inf")
    worst = np.abs(result - truth).max(initial=0.0) / (np.abs(truth).max(initial=0.0) or 1.0)
    return float(worst) if np.isfinite(worst) else float("inf")


def check(
    console: Console,
    shapes: list[Shape],
    dtype: str,
    tick: Callable[[str], None] = lambda text: None,
) -> int:
    """Compare; print a line for each algorithm and direction and for each mismatch; return the number of mismatches."""
    worst: dict[tuple[str, str], float] = collections.defaultdict(float)
    counted: collections.Counter[tuple[str, str]] = collections.Counter()
    left_out: collections.Counter[tuple[str, str]] = collections.Counter()
    wrong = 0
    start = time.perf_counter()
    for shape in shapes:
        direction = shape.direction
        tick(f"{direction} {shape.text}")
        spec = shape.spec(dtype)
        truth = oracle(spec)
        for algorithm in ALGORITHMS:
            if algorithm.name == ORACLE and spec.flops / 2 > ORACLE_LIMIT:
                left_out[ORACLE, f"over {ORACLE_LIMIT:.0e} multiply-adds, is the oracle itself"] += len(LAYOUTS)
                continue
            for channels_last, layout in LAYOUTS.items():
                try:
                    contestant = plan(Case(spec), channels_last, algorithm.name)
                except SkipError as reason:
                    left_out[algorithm.name, str(reason).rpartition(": ")[2]] += 1  # less the problem it names
                    continue
                off = error(contestant.result(), truth)
                allowed = max(FLOOR[dtype], algorithm.error(spec))
                key = (algorithm.name, direction)
                counted[key] += 1
                worst[key] = max(worst[key], off)
                if off > allowed:
                    wrong += 1
                    who = f"{algorithm.name} {layout} {direction} {dtype} {shape.text}"
                    console.print(f"[red]{who}: differs by {off:.1e} of max|y|, allowed {allowed:.1e}[/]")
    for key, number in counted.items():
        found = f"{number} compared, worst difference {worst[key]:.1e} of max|y|"
        console.print(f"{' '.join(key)}: {found}", highlight=False)
    for (name, why), number in left_out.items():
        console.print(f"[dim]{name}: {number} left out: {escape(why)}[/]", highlight=False)
    verdict = f"[red]{wrong} wrong[/]" if wrong else "[green]all right[/]"
    console.print(f"{sum(counted.values())} comparisons, {verdict}, {time.perf_counter() - start:.0f} s")
    return wrong
