"""How a lowered problem falls into Winograd tiles, as csrc/algo/winograd_form.h has it, with the equations.

Strides and dilations fall into phases: of a stride they are further channels, of a dilation further tiles. Taps along
z are further channels, too. It knows sizes alone.
"""

from dataclasses import dataclass

from .lowered import Axis, Problem

MOST_SPAN = 1024  # pixels along an axis that a patch may span
MOST_SHORT = 48  # terms of a sum that stays in registers from the products to the outputs
# (m, r) in two dimensions and in one, as in csrc/isa/instantiate.h.
SQUARES = frozenset({(2, 3), (4, 3), (4, 2), (2, 5), (3, 4)})
LINES = frozenset({(4, 3), (4, 2), (2, 5)})


@dataclass(frozen=True, slots=True)
class TileAxis:
    """One axis cut into tiles."""

    taps: int
    outputs: int  # of a tile
    phase_taps: int  # r: the most taps of a phase of the stride
    summed: int  # phases of the stride, further channels
    tiles: int

    @property
    def points(self) -> int:
        return self.outputs + self.phase_taps - 1

    @property
    def products(self) -> int:
        """Points summed over the phases; those with a tap less have nothing at infinity."""
        full = sum(-(-(self.taps - j) // self.summed) == self.phase_taps for j in range(self.summed))
        return self.summed * self.points - (self.summed - full)


@dataclass(frozen=True, slots=True)
class Form:
    """The tiles of a problem; taps along one axis only lie along ``x``, which may have changed places with ``y``."""

    slices: int  # taps along z
    y: TileAxis
    x: TileAxis
    exchanged: bool

    @property
    def square(self) -> bool:
        return self.y.taps > 1

    @property
    def points(self) -> int:
        return self.y.points * self.x.points

    @property
    def phases(self) -> int:
        return self.y.summed * self.x.summed

    def short(self, problem: Problem, lanes: int) -> bool:
        """Whether sums are so short that they stay in registers: csrc/algo/winograd_few.h."""
        fits = self.square and self.slices == 1 and max(axis.dilation for axis in problem.axes[1:]) == 1
        six_points = (self.x.outputs, self.x.phase_taps) in {(4, 3), (3, 4)}
        return fits and six_points and problem.channels < lanes and self.phases * problem.channels <= MOST_SHORT


def tile_axis(axis: Axis, outputs: int) -> TileAxis | None:
    """The axis in tiles of ``outputs``; None where a stride meets a dilation or lacks taps, or a patch is too wide."""
    if axis.taps == 1:
        return TileAxis(1, 1, 1, 1, axis.out)
    if (axis.stride > 1 and axis.dilation > 1) or axis.stride > axis.taps:
        return None
    phase_taps = -(-axis.taps // axis.stride)
    if outputs == 4 and phase_taps == 4:
        outputs = 3  # six points here, too
    if (outputs - 1 + phase_taps - 1) * axis.stride * axis.dilation >= MOST_SPAN:
        return None
    per_phase = -(-axis.out // axis.dilation)
    return TileAxis(axis.taps, outputs, phase_taps, axis.stride, axis.dilation * -(-per_phase // outputs))


def form_of(problem: Problem, outputs: int) -> Form | None:
    """The form with tiles of ``outputs`` that serves a problem, or None."""
    z, y, x = problem.axes
    if z.taps > 1 and (z.stride, z.dilation) != (1, 1):
        return None
    exchanged = y.taps > 1 and x.taps == 1
    along_y, along_x = (tile_axis(axis, outputs) for axis in ((x, y) if exchanged else (y, x)))
    if along_y is None or along_x is None:
        return None
    square = along_y.taps > 1
    if (along_x.outputs, along_x.phase_taps) not in (SQUARES if square else LINES):
        return None
    if square and (along_y.outputs, along_y.phase_taps) != (along_x.outputs, along_x.phase_taps):
        return None
    return Form(z.taps, along_y, along_x, exchanged)
