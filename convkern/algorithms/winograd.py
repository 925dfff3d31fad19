"""Winograd's minimal filtering: which layers its forms fit, and what they cost.

The tiles are those of csrc/algo/winograd_form.h, which has the equations; the forms those of csrc/isa/instantiate.h.
"""

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, lane_use, moved, shared, shuffled, unit

MOST_SPAN = 1024  # pixels along an axis that a Winograd patch may span
MOST_PHASES = 16  # of an input gradient's stride
FEWEST_LINE_CHANNELS = 64  # of a phase along one axis only

Axis = tuple[int, int, int, int]  # outputs, taps, stride and dilation of a problem along one axis


def phase_count(spec: Spec) -> int:
    """Problems that an input gradient falls into."""
    if spec.direction != "grad_input":
        return 1
    axes = zip(spec.kernel, spec.stride, spec.dilation, strict=True)
    return math.prod(min(k, s // math.gcd(s, d)) for k, s, d in axes)


def rest_cost(spec: Spec, machine: Machine, phase: tuple[Axis, ...], threads: int) -> float:
    """Seconds of a phase that `direct` does for want of a form."""
    columns = spec.ci // spec.groups
    flops = 2 * spec.n * spec.co * columns * math.prod(size * taps for size, taps, _, _ in phase)
    speed = (
        machine.peak(spec.dtype) * 0.9 * machine.efficiency * max(lane_use(columns, machine.vector(spec.dtype)), 1e-3)
    )
    return shared(flops / speed, machine, threads)


@dataclass(frozen=True, slots=True)
class TileAxis:
    """One axis cut into Winograd tiles; csrc/algo/winograd_form.h has the equations."""

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


def tile_axis(taps: int, stride: int, dilation: int, size: int, outputs: int) -> TileAxis | None:
    """The axis in tiles of ``outputs``, None where a stride and a dilation or only strides remain, or far too wide."""
    if taps == 1:
        return TileAxis(1, 1, 1, 1, size)
    if (stride > 1 and dilation > 1) or stride > taps:
        return None
    if (outputs - 1 + -(-taps // stride) - 1) * stride * dilation >= MOST_SPAN:
        return None
    per_phase = -(-size // dilation)
    return TileAxis(taps, outputs, -(-taps // stride), stride, dilation * -(-per_phase // outputs))


TileAxes = tuple[int, TileAxis, TileAxis, bool]  # taps along z, y, x, whether y and x changed places


class Winograd(Algorithm):
    """Winograd's F(m x m, r x r) and F(m, r): fewer multiplications, paid for by transforms.

    Strides and dilations fall into phases, taps along z are summed like channels. Lavin & Gray, "Fast Algorithms for
    Convolutional Neural Networks", 2016.
    """

    windowed = False
    # (m, r) in two dimensions and in one, as in csrc/isa/instantiate.h, and how much a form's transforms magnify errors
    # by its number of points.
    forms = (frozenset({(2, 3), (4, 3), (4, 2), (2, 5)}), frozenset({(4, 3), (4, 2), (2, 5)}))
    growth: ClassVar = {4: 1.0, 5: 3.0, 6: 3.0}

    def __init__(self, m: int) -> None:
        self.name = f"winograd{m}"
        self.m = m

    @staticmethod
    def phases(spec: Spec) -> list[tuple[Axis, ...]]:
        """What csrc/core/lower.cpp makes of a spec: one problem, or one a phase of an input gradient's stride."""
        if spec.direction != "grad_input":
            return [tuple(zip(spec.output, spec.kernel, spec.stride, spec.dilation, strict=True))]
        along = []
        axes = zip(spec.input, spec.kernel, spec.stride, spec.dilation, spec.padding, strict=True)
        for size, taps, stride, dilation, (low, _) in axes:
            step = stride // math.gcd(stride, dilation)
            residues = [(first * dilation - low) % stride for first in range(min(taps, step))]
            along.append(
                [
                    (max(0, -(-(size - residue) // stride)), -(-(taps - first) // step), 1, dilation * step // stride)
                    for first, residue in enumerate(residues)
                ]
            )
        return list(itertools.product(*along))

    def forms_of(self, spec: Spec) -> list[tuple[tuple[Axis, ...], TileAxes | None]]:
        """Each phase and its tiles, None for one that `direct` does."""
        phases = self.phases(spec)
        few = min(spec.ci, spec.co) // spec.groups < FEWEST_LINE_CHANNELS and len(phases) > 1
        found = [(phase, self.axes(phase)) for phase in phases]
        return [(phase, None if axes and few and axes[1].points == 1 else axes) for phase, axes in found]

    def axes(self, phase: tuple[Axis, ...]) -> TileAxes | None:
        """(taps along z, y, x, whether y and x changed places), None where no form fits."""
        rank = len(phase)
        found = []
        for a, (size, taps, stride, dilation) in enumerate(phase):
            if rank - a == 3:
                if taps > 1 and (stride, dilation) != (1, 1):
                    return None
                continue
            axis = tile_axis(taps, stride, dilation, size, self.m)
            if axis is None:
                return None
            found.append(axis)
        slices = phase[0][1] if rank == 3 else 1
        y, x = found if len(found) == 2 else (tile_axis(1, 1, 1, 1, 1), found[0])
        assert y is not None
        exchanged = y.taps > 1 and x.taps == 1
        if exchanged:
            y, x = x, y
        square = y.taps > 1
        if (x.outputs, x.phase_taps) not in self.forms[0 if square else 1]:
            return None
        if square and (y.outputs, y.phase_taps) != (x.outputs, x.phase_taps):
            return None
        return slices, y, x, exchanged

    def supports(self, spec: Spec) -> str | None:
        if spec.direction == "grad_weight":
            return self.weight_gradient(spec)
        if phase_count(spec) > MOST_PHASES:
            return "the stride has too many phases"
        if all(axes is None for _, axes in self.forms_of(spec)):
            return f"no tile of {self.m} outputs for this kernel, stride and dilation"
        return None

    def weight_gradient(self, spec: Spec) -> str | None:
        """The gradient's 4x4 tiles act as kernels, with three outputs along each axis: the taps."""
        if self.m != 4:
            return "not for the weight gradient"
        if spec.kernel != (3, 3) or max(*spec.stride, *spec.dilation) > 1:
            return "a weight gradient only of 3x3 kernels of stride 1 and dilation 1"
        columns = -(-spec.co // spec.groups // 64) * 64
        if 36 * spec.ci // spec.groups * columns * DTYPES[spec.dtype] > 24 << 20:
            return "a weight gradient's sums would take more than 24 MB"
        return None

    def error(self, spec: Spec) -> float:
        found = self.forms_of(spec) if spec.direction != "grad_weight" and phase_count(spec) <= MOST_PHASES else []
        growth = max((self.growth[axes[2].points] for _, axes in found if axes), default=self.growth[6])
        return unit(spec) * growth * (8 + 2 * math.sqrt(spec.terms))

    def weight_cost(self, spec: Spec, machine: Machine, threads: int) -> float:
        """Seconds of a weight gradient: transforms of image and gradient, products over slices of tiles, dw back."""
        groups, lanes, clock, size = spec.groups, machine.vector(spec.dtype), machine.clock(), DTYPES[spec.dtype]
        channels, columns = spec.ci // groups, spec.co // groups
        tiles = spec.n * math.prod(-(-n // 4) for n in spec.output)
        vectors = -(-channels // lanes) + -(-columns // lanes)
        tile_bytes = max(1, 36 * vectors * lanes * size)
        depth = max(1, min(tiles, max(56, (4 << 20) // tile_bytes)))
        efficiency = machine.efficiency * lane_use(columns, lanes) * depth / (depth + 12)
        seconds = 2 * 36 * tiles * groups * channels * columns / (machine.peak(spec.dtype) * max(efficiency, 1e-3))
        seconds += machine.transform_cycles * 36 * groups * (tiles * vectors + channels * -(-columns // lanes)) / clock
        seconds += 9 * spec.co * channels * machine.shuffle_cycles / clock
        staged = tiles * (36 * spec.ci + 16 * spec.co)
        seconds += shuffled(spec, machine, 2 * staged) if not spec.channels_last else 0.0
        # Transforms go through the shared cache, and so do the sums once a slice.
        moves = 2 * groups * (tiles * tile_bytes + -(-tiles // depth) * 36 * channels * columns * size)
        seconds += moves / machine.l3_rate
        return shared(max(seconds, moved(spec, machine)), machine, threads) + machine.call + 2 * machine.fork

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.direction == "grad_weight":
            return self.weight_cost(spec, machine, threads)
        if self.supports(spec) is not None:
            return math.inf
        found = [(phase, self.axes(phase)) for phase in self.phases(spec)]
        seconds = sum(
            self.tiles_cost(spec, machine, phase, axes, planned, threads)
            if axes
            else rest_cost(spec, machine, phase, threads)
            for phase, axes in found
        )
        return max(seconds, shared(moved(spec, machine), machine, threads)) + machine.call

    def tiles_cost(
        self,
        spec: Spec,
        machine: Machine,
        phase: tuple[Axis, ...],
        axes: TileAxes,
        planned: bool,
        threads: int,
    ) -> float:
        """Seconds of one phase by tiles."""
        slices, y, x, exchanged = axes
        read, written = (spec.ci, spec.co) if spec.direction == "forward" else (spec.co, spec.ci)
        target = [size for size, _, _, _ in phase]
        channels, columns, groups = read // spec.groups, written // spec.groups, spec.groups
        lanes, clock = machine.vector(spec.dtype), machine.clock()
        points, phases = y.points * x.points, y.summed * x.summed
        tiles = spec.n * (target[0] if len(target) == 3 else 1) * y.tiles * x.tiles
        depth = slices * phases * channels

        efficiency = machine.efficiency * lane_use(columns, lanes) * depth / (depth + 12)
        flops = 2 * y.products * x.products * slices * tiles * groups * channels * columns
        # Planes of taps along z share their transforms but for those at a block's ends.
        vectors = groups * (-(-channels // lanes) * phases * (1.5 if slices > 1 else 1) + -(-columns // lanes))
        transforms = machine.transform_cycles * points * tiles * vectors / clock
        seconds = flops / (machine.peak(spec.dtype) * max(efficiency, 1e-3)) + transforms
        padded = groups * lanes * -(-channels // lanes)
        if not spec.channels_last or padded != read:  # patches are staged, exchanged axes element by element
            staged = tiles * padded * points * phases * (8 if exchanged and not spec.channels_last else 1)
            seconds += staged * machine.shuffle_cycles / clock
        # Phases of a dilation lie apart along a line of NCHW, and are stored element by element.
        scattered = 8 if phase[-1][3] > 1 or (spec.direction == "grad_input" and spec.stride[-1] > 1) else 1
        seconds += scattered * shuffled(spec, machine, tiles * written * y.outputs * x.outputs)
        # A transformed kernel beyond L2 streams past every block of some fifty tiles; three quarters of that hide
        # behind the products if there are enough of them.
        kernel = points * groups * depth * columns * DTYPES[spec.dtype]
        if kernel > machine.l2 / 2:
            stream = max(1.0, tiles / 56) * kernel / machine.rate(2 * kernel)
            seconds = max(seconds + 0.25 * stream, stream)
        seconds = shared(seconds, machine, threads)
        if not planned:  # each thread transforms what it uses: a share where tiles are few, everything where many
            transform = machine.transform_cycles * points * groups * depth * -(-columns // lanes) / clock
            seconds += (transform + 0.5 * kernel / machine.rate(kernel)) / (threads if tiles <= 100 else 1)
        return seconds
