"""The suite of layers: every convolution of shapes.txt, ours by plan and by call and each peer that can do it."""

from __future__ import annotations

from collections.abc import Callable

from convkern.spec import Spec

from . import ours, peers
from .case import Case, Contestant
from .rounds import TOLERANCE, Task
from .shapes import Shape


def contestants(peer: str, row: str, threads: int, algorithms: bool) -> dict[str, Callable[[], Contestant]]:
    """Return the contestants of one worker for a descriptor; `algorithms` adds each of ours by name."""
    case = Case(Spec.parse(row))
    return ours.contestants(case, algorithms) if peer == "ours" else peers.contestants(peer, case, threads)


def task(shape: Shape, dtype: str, algorithms: bool) -> Task:
    spec, goals = shape.spec(dtype), shape.goals
    facts = {
        "shape": shape.text, "group": shape.label or "-", "each": goals.get("each"), "mean": goals.get("mean"),
        "frameworks": goals.get("frameworks"), "by_call": shape.by_call, "direction": shape.direction, "dtype": dtype,
        "flops": spec.flops, "bytes": spec.bytes,
    }  # fmt: skip
    return Task("layers", str(spec), facts, TOLERANCE[dtype], {"algorithms": algorithms}, spec.bytes)
