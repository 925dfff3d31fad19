"""A fair race over one shape: every contestant once a round, in a new order each round, never two at once.

Returns raw samples; what they amount to is results.py's business.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .pool import Handle, WorkerDiedError

MOST_ROUNDS = 200
SLOW = 10.0  # times the fastest contestant: such a one runs in a few rounds only
FEW = 3


# Largest |difference| / max|y| at which two libraries are said to compute the same convolution.  Winograd in float32
# stays below 2e-5; bfloat16 or float16 inside a peer does not.
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


@dataclass(frozen=True)
class Task:
    """One row to be raced: what the workers are told, and what is known of it beforehand."""

    suite: str  # the module that builds contestants
    row: str  # and what tells it which
    facts: dict[str, Any]  # of the row as it will stand in the JSON file: shape, group, dtype, direction, ...
    tolerance: float
    options: dict[str, Any] = field(default_factory=dict)  # for the suite's contestants()
    footprint: int | None = None  # bytes a copy touches that is timed beside each round


@dataclass
class Entry:
    """A contestant of the race and its samples, one a round it ran in."""

    name: str
    worker: Handle
    estimate: float  # seconds a call
    note: str
    facts: dict[str, Any]
    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)  # flop/s beside each sample; ours only


def _difference(path: str, truth: np.ndarray) -> float:
    result = np.load(path)
    if result.shape != truth.shape:
        return math.inf
    scale = float(np.abs(truth).max(initial=0.0)) or 1.0
    worst = float(np.abs(result.astype(np.float64) - truth).max(initial=0.0))
    return worst / scale if math.isfinite(worst) else math.inf


def enter(
    handles: dict[str, Handle], task: Task, missing: dict[str, str], alone: bool = False
) -> tuple[list[Entry], dict[str, str]]:
    """Let every worker prepare the row; return who races and why the others do not.

    The first of ours is what results are compared with; without any of ours nobody races, unless `alone` is set.  A
    worker that dies here is moved to `missing`.
    """
    entries: list[Entry] = []
    skipped: dict[str, str] = {}
    truth: np.ndarray | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name, handle in list(handles.items()):
            try:
                reply = handle.ask(
                    "prepare", suite=task.suite, row=task.row, options=task.options, dtype=task.facts["dtype"],
                    folder=folder,
                )  # fmt: skip
            except WorkerDiedError as error:
                if name == "ours":
                    raise
                missing[name] = str(error)
                del handles[name]
                continue
            for contestant, found in reply["contestants"].items():
                if "skip" in found:
                    skipped[contestant] = found["skip"]
                    continue
                if truth is None:
                    truth = np.load(found["result"]).astype(np.float64)
                off = _difference(found["result"], truth)
                if off > task.tolerance:
                    skipped[contestant] = f"computes something else: differs by {off:.1e} of max|y|"
                    continue
                entries.append(Entry(contestant, handle, found["seconds"], found["note"], found["facts"]))
            if name == "ours" and not entries and not alone:
                break
    return entries, skipped


def race(
    entries: list[Entry],
    footprint: int | None,
    seconds: float,
    least: int,
    burst: float,
    tick: Callable[[float], None],
) -> list[float]:
    """Run rounds until `seconds` have passed and `least` rounds are done; return a copy bandwidth for each of them.

    A burst repeats a contestant for at least `burst` seconds.  tick is told the share of the budget that is used.
    """
    if not entries:
        return []
    shuffled = random.Random(0)
    bandwidths: list[float] = []
    meter = next((e.worker for e in entries if e.worker.name == "ours"), None)
    fastest = min(e.estimate for e in entries)
    start = time.perf_counter()
    for done in range(MOST_ROUNDS):
        used = time.perf_counter() - start
        if done >= least and used >= seconds:
            break
        order = [e for e in entries if done < FEW or e.estimate <= SLOW * fastest]
        shuffled.shuffle(order)
        for entry in order:
            calls = max(1, math.ceil(burst / entry.estimate))
            reply = entry.worker.ask("time", name=entry.name, calls=calls)
            entry.seconds.append(reply["seconds"])
            entry.estimate = min(entry.estimate, reply["seconds"])
            if "peak" in reply:
                entry.peaks.append(reply["peak"])
        if meter is not None and footprint:
            bandwidths.append(meter.ask("bandwidth", footprint=footprint)["bandwidth"])
        tick(min(1.0, max((done + 1) / MOST_ROUNDS, min(used / max(seconds, 1e-9), (done + 1) / least))))
    return bandwidths
