"""goals.toml read, and a verdict: what was reached where something was wanted.

Knows names and numbers; how a number comes about is the business of results.py, quality.py and functions.py.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

FILE = Path(__file__).with_name("goals.toml")
MB = 1 << 20


@cache
def read() -> dict[str, dict[str, Any]]:
    """Return the whole table, section by section."""
    return tomllib.loads(FILE.read_text())


def layer(group: str, shape: str) -> dict[str, float]:
    """Return the goals of a row of a class: each, mean, frameworks, as far as there are any."""
    found = dict(read()["layers"].get(group, {}))
    rows = found.pop("rows", {})
    return {**found, **({"each": rows[shape]} if shape in rows else {})}


@dataclass(frozen=True)
class Verdict:
    """One goal: `reached` has to be at least `wanted`, or at most where `limit` is set; nan was not measured."""

    what: str
    reached: float
    wanted: float
    limit: bool = False

    @property
    def met(self) -> bool:
        return self.reached <= self.wanted if self.limit else self.reached >= self.wanted

    @property
    def measured(self) -> bool:
        return not math.isnan(self.reached)

    def __str__(self) -> str:
        sign = "at most" if self.limit else "at least"
        return f"{self.what}: {self.reached:.4g}, goal {sign} {self.wanted:g}"


def show(console: Console, verdicts: list[Verdict]) -> int:
    """Print every measured goal that was missed; return how many."""
    judged = [v for v in verdicts if v.measured]
    missed = [v for v in judged if not v.met]
    if not judged:
        return 0
    if not missed:
        console.print(f"[green]all {len(judged)} goals reached[/]", highlight=False)
        return 0
    console.print(f"[bold red]goals missed: {len(missed)} of {len(judged)}[/]", highlight=False)
    for verdict in missed:
        console.print(f"[red]  goal missed: {escape(str(verdict))}[/]", highlight=False)
    return len(missed)
