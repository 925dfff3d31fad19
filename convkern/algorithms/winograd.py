"""Winograd's minimal filtering: which layers its forms fit, and what they cost.

The tiles are those of csrc/algo/winograd_form.h, which has the equations; the forms those of csrc/isa/instantiate.h.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, lane_use, moved, shared, shuffled, unit

MOST_SPAN = 1024  # pixels along an axis that a Winograd patch may span


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
    if outputs == 4 and -(-taps // stride) == 4:
        outputs = 3  # six points here, too
    if (outputs - 1 + -(-taps // stride) - 1) * stride * dilation >= MOST_SPAN:
        return None
    per_phase = -(-size // dilation)
    return TileAxis(taps, outputs, -(-taps // stride), stride, dilation * -(-per_phase // outputs))


class Winograd(Algorithm):
    """Winograd's F(m x m, r x r) and F(m, r): fewer multiplications, paid for by transforms.

    Strides and dilations fall into phases, taps along z are summed like channels. Lavin & Gray, "Fast Algorithms for
    Convolutional Neural Networks", 2016.
    """

    windowed = False
    # (m, r) in two dimensions and in one, as in csrc/isa/instantiate.h, and how much a form's transforms magnify errors
    # by its number of points.
    forms = (frozenset({(2, 3), (4, 3), (4, 2), (2, 5), (3, 4)}), frozenset({(4, 3), (4, 2), (2, 5)}))
    growth: ClassVar = {4: 1.0, 5: 3.0, 6: 3.0}

    def __init__(self, m: int) -> None:
        self.name = f"winograd{m}"
        self.m = m

    def axes(self, spec: Spec) -> tuple[int, TileAxis, TileAxis, bool] | None:
        """(taps along z, y, x, whether y and x changed places), None where no form fits."""
        rank = len(spec.kernel)
        found = []
        for a in range(rank):
            taps, stride, dilation = spec.kernel[a], spec.stride[a], spec.dilation[a]
            if spec.direction == "grad_input":  # each phase of the stride is a problem of its own
                common = math.gcd(stride, dilation)
                if min(taps, stride // common) > 1:
                    return None
                stride, dilation = 1, dilation // common
            size = (spec.input if spec.direction == "grad_input" else spec.output)[a]
            if rank - a == 3:
                if taps > 1 and (stride, dilation) != (1, 1):
                    return None
                continue
            axis = tile_axis(taps, stride, dilation, size, self.m)
            if axis is None:
                return None
            found.append(axis)
        slices = spec.kernel[0] if rank == 3 else 1
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
        if self.axes(spec) is None:
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
        axes = self.axes(spec) if spec.direction != "grad_weight" else None
        growth = self.growth[axes[2].points if axes else 6]
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

    def few(self, spec: Spec, x: TileAxis, slices: int, channels: int, lanes: int) -> bool:
        """Whether sums are short, so that they stay in registers: csrc/algo/winograd_few.h."""
        square = len(spec.kernel) > 1 and min(spec.kernel[-2:]) > 1
        fits = square and slices == 1 and max(spec.dilation[-2:]) == 1 and channels < lanes
        return fits and (x.outputs, x.phase_taps) in {(4, 3), (3, 4)} and x.summed**2 * channels <= 48

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.direction == "grad_weight":
            return self.weight_cost(spec, machine, threads)
        axes = self.axes(spec)
        if axes is None:
            return math.inf
        slices, y, x, exchanged = axes
        forward = spec.direction == "forward"
        read, written = (spec.ci, spec.co) if forward else (spec.co, spec.ci)
        source, target = (spec.input, spec.output) if forward else (spec.output, spec.input)
        channels, columns, groups = read // spec.groups, written // spec.groups, spec.groups
        lanes, clock = machine.vector(spec.dtype), machine.clock()
        points, phases = y.points * x.points, y.summed * x.summed
        tiles = spec.n * (target[0] if len(target) == 3 else 1) * y.tiles * x.tiles
        depth = slices * phases * channels

        kernel = points * groups * depth * columns * DTYPES[spec.dtype]
        efficiency = machine.efficiency * lane_use(columns, lanes) * depth / (depth + 12)
        # Where few channels are summed, sums stay in registers and the input's transform has tiles in its lanes.
        few = self.few(spec, x, slices, channels, lanes)
        if few:
            share = 0.8 if kernel <= machine.l1 else 0.67 if kernel <= machine.l2 / 2 else 0.5
            efficiency = share * lane_use(columns, lanes)
        flops = 2 * y.products * x.products * slices * tiles * groups * channels * columns
        # Planes of taps along z share their transforms but for those at a block's ends.
        inputs = channels / lanes if few else -(-channels // lanes)
        vectors = groups * (inputs * phases * (1.5 if slices > 1 else 1) + -(-columns // lanes))
        transforms = machine.transform_cycles * points * tiles * vectors / clock
        seconds = flops / (machine.peak(spec.dtype) * max(efficiency, 1e-3)) + transforms
        padded = groups * lanes * -(-channels // lanes)
        if few:
            seconds += 5 * spec.n * read * math.prod(source) * machine.shuffle_cycles / clock
        elif not spec.channels_last or padded != read:  # patches are staged, exchanged axes element by element
            staged = tiles * padded * points * phases * (8 if exchanged and not spec.channels_last else 1)
            seconds += staged * machine.shuffle_cycles / clock
        # Phases of a dilation lie apart along a line of NCHW, and are stored element by element.
        scattered = 8 if spec.dilation[-1] > 1 else 2 if few else 1
        seconds += scattered * shuffled(spec, machine, tiles * written * y.outputs * x.outputs)
        # A transformed kernel beyond L2 streams past every block of some fifty tiles; three quarters of that hide
        # behind the products if there are enough of them.
        if kernel > machine.l2 / 2 and not few:
            stream = max(1.0, tiles / 56) * kernel / machine.rate(2 * kernel)
            seconds = max(seconds + 0.25 * stream, stream)
        seconds = shared(max(seconds, moved(spec, machine)), machine, threads)
        if not planned:  # each thread transforms what it uses: a share where tiles are few, everything where many
            transform = machine.transform_cycles * points * groups * depth * -(-columns // lanes) / clock
            seconds += (transform + 0.5 * kernel / machine.rate(kernel)) / (threads if tiles <= 100 else 1)
        return seconds + machine.call
