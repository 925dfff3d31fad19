"""What the one loop nest costs: cycles of tiles of rows against panels of vectors, as csrc/core/gemm.h counts them.

A tile of m rows and v vectors takes max(m v / 2, loads / 3, latency) cycles for each step of its sums, a fixed number
to begin and end, and some for each vector it stores. Panels are as wide as the tile, the last one as narrow as the
shapes allow.
"""

import math
from dataclasses import dataclass

from ..machine import Machine

# (rows, vectors) of the tiles, from narrow to wide, as in csrc/isa.
SHAPES = {
    "avx512": ((14, 1), (14, 2), (9, 3), (6, 4)),
    "neon": ((14, 1), (12, 2), (8, 3), (6, 4)),
    "odd": ((3, 1), (5, 2), (2, 3)),
}
SHAPES["amx"] = SHAPES["avx512"]  # whose tables it shares
WITHOUT_32_REGISTERS = ((12, 1), (6, 2), (4, 3))

STORE = 0.87  # cycles a vector
LOADS, LATENCY = 3.9, 4.1  # a cycle; cycles that a sum waits for itself

Shape = tuple[int, int]


def shapes(machine: Machine) -> tuple[Shape, ...]:
    return SHAPES.get(machine.isa, WITHOUT_32_REGISTERS)


def step_cycles(
    rows: float, vectors: int, vector_loads: float, loads: float = LOADS, latency: float = LATENCY
) -> float:
    """Cycles of one step of a tile: multiply-adds at two a cycle, loads, or the latency of few chains."""
    return max(rows * vectors / 2, (2 * rows + vector_loads + 1) / loads, latency)


def panels(machine: Machine, shape: Shape, lanes: int, positions: int) -> list[tuple[Shape, int]]:
    """How ``positions`` on the vector side are cut: (shape, how many panels) of the main ones and of the last."""
    width = shape[1] * lanes
    count = -(-positions // width)
    if count == 0:
        return []
    rest = -(-(positions - (count - 1) * width) // lanes)
    last = next((s for s in shapes(machine) if s[1] >= rest), shapes(machine)[-1])
    return [(shape, count - 1), (last, 1)]


@dataclass(frozen=True, slots=True)
class Product:
    """Counts of a product: cycles of its steps, tiles begun, vectors stored."""

    steps: float
    tiles: float
    stores: float

    def times(self, count: float) -> "Product":
        return Product(count * self.steps, count * self.tiles, count * self.stores)

    def cycles(self, machine: Machine, share: float = 1.0) -> float:
        """Cycles on one core; ``share`` of the steps is really taken."""
        return share * self.steps / machine.efficiency + machine.tile_cycles * self.tiles + STORE * self.stores


def product(
    machine: Machine,
    shape: Shape,
    lanes: int,
    positions: int,
    rows: float,
    depth: float,
    *,
    split_loads: bool = False,
    prices: tuple[float, float] = (LOADS, LATENCY),
) -> Product:
    """Counts of ``rows`` rows against the panels of ``positions``; split loads cross cache lines."""
    steps = tiles = stores = 0.0
    for (height, vectors), count in panels(machine, shape, lanes, positions):
        cut = max(1, math.ceil(rows / height))
        vector_loads = vectors * (1.5 if split_loads else 1.0)
        steps += count * cut * depth * step_cycles(rows / cut, vectors, vector_loads, *prices)
        tiles += count * cut
        stores += count * rows * vectors
    return Product(steps, tiles, stores)
