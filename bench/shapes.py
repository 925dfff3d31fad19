"""bench/shapes.txt read into Shapes: a descriptor, the class it belongs to and the direction it is run in.

Knows the file's grammar only; what a descriptor means is convkern.spec's business, what it is to reach goals.py's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from convkern.spec import Spec

from . import goals

DEFAULT = Path(__file__).with_name("shapes.txt")
DIRECTIONS = ("forward", "grad_input", "grad_weight")
BY_CALL = ", by call"

# The classes of the gradients, of whatever layer.
GRADIENTS = {"grad_input": "gradients, input", "grad_weight": "gradients, weight"}

# What --smoke runs: one layer of each kind of code path, small enough for a busy CI machine.
SMOKE = ("1,16,14x14->32 3x3 p1", "1,32,14x14->16 1x1", "2,8,9x9->8 3x3 s2 p1 g8")


@dataclass(frozen=True)
class Shape:
    """One line of a shapes file, in one direction."""

    text: str
    group: str = ""  # the file's class
    direction: str = "forward"

    @property
    def label(self) -> str:
        """The class it is judged in."""
        return GRADIENTS.get(self.direction, self.group)

    @property
    def by_call(self) -> bool:
        """Whether its class is judged by one-shot calls instead of plans."""
        return self.label.endswith(BY_CALL)

    @property
    def goals(self) -> dict[str, float]:
        """each, mean and frameworks, as far as goals.toml has them."""
        return goals.layer(self.label, self.text)

    def spec(self, dtype: str = "float32") -> Spec:
        return replace(Spec.parse(self.text), direction=self.direction, dtype=dtype)


def read(path: str | Path = DEFAULT) -> list[Shape]:
    """Return the shapes of a file, in its order; raise ValueError naming the line that cannot be read."""
    shapes: list[Shape] = []
    group = ""
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        body = line.partition("#")[0].strip()
        if not body:
            continue
        if body.startswith("["):
            group = body.strip("[]")
            continue
        shape = Shape(body, group)
        try:
            shape.spec()
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from None
        shapes.append(shape)
    return shapes


def directed(shapes: list[Shape], directions: tuple[str, ...]) -> list[Shape]:
    """Return every shape in every direction, one direction after the other."""
    return [replace(shape, direction=direction) for direction in directions for shape in shapes]


def select(shapes: list[Shape], only: str | None = None, group: str | None = None) -> list[Shape]:
    """Keep the shapes whose descriptor contains `only` and whose class, in the file or as judged, contains `group`."""
    kept = [s for s in shapes if (only or "") in s.text and ((group or "") in s.group or (group or "") in s.label)]
    if not kept:
        groups = "; ".join(dict.fromkeys(s.label for s in shapes))
        raise ValueError(f"no shape matches only={only!r}, class={group!r}; the classes are: {groups}")
    return kept
