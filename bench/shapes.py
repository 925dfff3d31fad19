"""bench/shapes.txt read into Shapes: a descriptor, the class it belongs to and the goal set for it.

Knows the file's grammar only; what a descriptor means is convkern.spec's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from convkern.spec import Spec

DEFAULT = Path(__file__).with_name("shapes.txt")

BY_CALL = ", by call"

# Goals of the gradients, for each shape (against PyTorch's backward).
GRADIENTS = {"grad_input": 1.5, "grad_weight": 1.3}

# What --smoke runs: one layer of each kind of code path, small enough for a busy CI machine.
SMOKE = ("1,16,14x14->32 3x3 p1", "1,32,14x14->16 1x1", "2,8,9x9->8 3x3 s2 p1 g8")


@dataclass(frozen=True)
class Shape:
    """One line of a shapes file."""

    text: str
    group: str = ""
    each: float | None = None  # goal: ratio to the best peer
    mean: float | None = None  # goal: geometric mean of its class

    @property
    def by_call(self) -> bool:
        """Whether its class is judged by one-shot calls instead of plans."""
        return self.group.endswith(BY_CALL)

    def towards(self, direction: str) -> Shape:
        """Return the shape with the goals of a direction: those of the file are for the forward one."""
        if direction == "forward":
            return self
        goal = self.each and GRADIENTS[direction]
        return replace(self, each=goal, mean=None, group=f"{self.group.removesuffix(BY_CALL)}, {direction}")

    def spec(self, direction: str = "forward", dtype: str = "float32") -> Spec:
        return replace(Spec.parse(self.text), direction=direction, dtype=dtype)


def _goal(remark: str, word: str) -> float | None:
    found = re.search(rf"{word}\s*>=\s*([\d.]+)", remark)
    return float(found.group(1)) if found else None


def read(path: str | Path = DEFAULT) -> list[Shape]:
    """Return the shapes of a file, in its order; raise ValueError naming the line that cannot be read."""
    shapes: list[Shape] = []
    head = Shape("")
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        body, _, remark = line.partition("#")
        body = body.strip()
        if not body:
            continue
        if body.startswith("["):
            head = Shape("", body.strip("[]"), _goal(remark, "each"), _goal(remark, "mean"))
            continue
        own = _goal(remark, "")
        shape = replace(head, text=body, each=head.each if own is None else own)
        try:
            shape.spec()
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        shapes.append(shape)
    return shapes


def select(shapes: list[Shape], only: str | None = None, group: str | None = None) -> list[Shape]:
    """Keep the shapes whose descriptor contains `only` and whose class name contains `group`."""
    kept = [s for s in shapes if (only or "") in s.text and (group or "") in s.group]
    if not kept:
        groups = "; ".join(dict.fromkeys(s.group for s in shapes))
        raise ValueError(f"no shape matches only={only!r}, class={group!r}; the classes are: {groups}")
    return kept
