"""The algorithms as the dispatcher sees them: what they support, their error, cost and workspace.

An algorithm is one class here, one line in csrc/algo/list.inc and one file beside it. Costs are analytic, in seconds:

    cost = max(FMA time, bytes / bandwidth) / threads + fork + call + what has to be packed first

It knows a Spec and a Machine; it reads no arrays and measures nothing.
"""

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

from . import _core
from .config import DEFAULT_WORKSPACE, DEFAULTS, Settings
from .machine import Machine
from .spec import DTYPES, Spec


class Algorithm:
    """One way to compute a convolution.

    ``windowed``: every output depends on its own window alone (accuracy="strict" admits only these).
    ``oracle``: slow on purpose, chosen by name or when nothing else will do.
    ``foreign_threads``: other threads than our pool's compute, and may keep cores busy for a while after a call.
    """

    name: str
    windowed = True
    oracle = False
    foreign_threads = False

    def supports(self, spec: Spec) -> str | None:
        """None, or the reason why this algorithm cannot compute ``spec``."""
        return None

    def error(self, spec: Spec) -> float:
        """Largest expected error relative to max(abs(result)), for sums without systematic cancellation."""
        raise NotImplementedError

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        """Predicted seconds of one call; ``planned`` says that the weights are packed already."""
        raise NotImplementedError

    def workspace(self, spec: Spec, settings: Settings = DEFAULTS) -> int:
        """Bytes used besides the arguments and packed weights."""
        return 0 if spec.empty else self.prepare(spec, settings).workspace_bytes + spec.border_bytes

    def prepare(self, spec: Spec, settings: Settings = DEFAULTS) -> _core.Plan:
        """The compiled plan, without weights.

        Raises
        ------
        ValueError
            With the reason, if the algorithm does not support ``spec`` within the settings' workspace.
        """
        spec = spec.unbordered()
        limit = DEFAULT_WORKSPACE if settings.max_workspace is None else settings.max_workspace
        return _core.Plan(
            self.name,
            spec.direction,
            spec.dtype,
            spec.n,
            spec.groups,
            spec.ci,
            spec.co,
            spec.input,
            spec.output,
            spec.kernel,
            spec.stride,
            spec.dilation,
            tuple(low for low, _ in spec.padding),
            spec.padding_mode,
            spec.channels_last,
            spec.clamp,
            limit,
            settings.isa,
        )


def unit(spec: Spec) -> float:
    """Half the distance from 1 to the next number of the dtype."""
    return 2.0**-24 if spec.dtype == "float32" else 2.0**-53


def products(spec: Spec) -> tuple[int, int, int]:
    """(rows, columns, depth) of the matrix products of one group; columns are on the vector side."""
    pixels, ci, co = spec.n * math.prod(spec.output), spec.ci // spec.groups, spec.co // spec.groups
    if spec.direction == "forward":
        return pixels, co, spec.depth
    if spec.direction == "grad_input":
        return spec.n * math.prod(spec.input), ci, spec.terms
    return ci * math.prod(spec.kernel), co, pixels


def line(spec: Spec) -> int:
    """Rows of the products that lie side by side in memory: a line of pixels, all of them where windows are pixels."""
    if spec.direction == "grad_weight":
        return spec.kernel[-1]
    target = spec.output if spec.direction == "forward" else spec.input
    single = max(*spec.kernel, *spec.stride) == 1 and not any(map(any, spec.padding))
    return math.prod(target) if single else target[-1]


def lane_use(size: int, width: int) -> float:
    """Share of the vector lanes that hold wanted elements when ``size`` is cut into vectors of ``width``."""
    return size / (-(-size // width) * width) if size else 1.0


def shared(seconds: float, machine: Machine, threads: int) -> float:
    """Time of work spread over the pool, which leaves little work alone."""
    return seconds if seconds < machine.serial or threads == 1 else seconds / threads + machine.fork


def moved(spec: Spec, machine: Machine) -> float:
    """Seconds one core needs to read and write the arrays once; the largest decides where they come from."""
    return spec.bytes / machine.rate(spec.bytes)


def packing(spec: Spec, machine: Machine) -> float:
    """Seconds to read the weights once and write them in the order the kernels read."""
    return 2 * spec.weight_bytes / machine.rate(2 * spec.weight_bytes)


def shuffled(spec: Spec, machine: Machine, elements: float) -> float:
    """Seconds one core needs to move elements between NCHW and the kernels' order, in which channels lie together."""
    return 0.0 if spec.channels_last else elements * machine.shuffle_cycles / machine.clock()


class Direct(Algorithm):
    """Products read straight from the image through row and tap tables; no im2col buffer."""

    name = "direct"

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        rows, columns, depth = products(spec)
        lanes = machine.vector(spec.dtype)
        # Every tile stores once per sum: about as long as eight of its multiply-add steps.
        full = spec.flops / (machine.peak(spec.dtype) * machine.efficiency * depth) * (depth + 8) if depth else 0.0
        by_channels = full / max(lane_use(columns, lanes), 1e-3)
        by_channels += shuffled(spec, machine, spec.groups * rows * columns)
        # Pixels on the vector side pay only where channels leave most lanes idle: lines are gathered from
        # channels-last images and split by strides. With fewer than three rows of channels a tile has too few sums
        # under way to hide the latency of adding.
        by_pixels = full / max(0.15 * min(4, 1 + columns) * lane_use(line(spec), lanes), 1e-3)
        read, source = (spec.co, spec.output) if spec.direction == "grad_input" else (spec.ci, spec.input)
        moves = 6.0 if spec.channels_last and read > 1 else float(spec.stride[-1] > 1)
        by_pixels += moves * spec.n * read * math.prod(source) * machine.shuffle_cycles / machine.clock()
        arithmetic = min(by_channels, by_pixels)
        arithmetic += machine.group * spec.groups * spec.n if spec.groups > 1 else 0.0
        seconds = shared(max(arithmetic, moved(spec, machine)), machine, threads)
        if not planned and spec.direction != "grad_weight":
            seconds += packing(spec, machine)
        return seconds + machine.call


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
    forms = (frozenset({(2, 3), (4, 3), (4, 2), (2, 5)}), frozenset({(4, 3), (4, 2), (2, 5)}))
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

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.direction == "grad_weight":
            return self.weight_cost(spec, machine, threads)
        axes = self.axes(spec)
        if axes is None:
            return math.inf
        slices, y, x, exchanged = axes
        forward = spec.direction == "forward"
        read, written = (spec.ci, spec.co) if forward else (spec.co, spec.ci)
        target = spec.output if forward else spec.input
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
        seconds += shuffled(spec, machine, tiles * written * y.outputs * x.outputs)
        # A transformed kernel beyond L2 streams past every block of some fifty tiles; three quarters of that hide
        # behind the products if there are enough of them.
        kernel = points * groups * depth * columns * DTYPES[spec.dtype]
        if kernel > machine.l2 / 2:
            stream = max(1.0, tiles / 56) * kernel / machine.rate(2 * kernel)
            seconds = max(seconds + 0.25 * stream, stream)
        seconds = shared(max(seconds, moved(spec, machine)), machine, threads)
        if not planned:  # each thread transforms what it uses: a share where tiles are few, everything where many
            transform = machine.transform_cycles * points * groups * depth * -(-columns // lanes) / clock
            seconds += (transform + 0.5 * kernel / machine.rate(kernel)) / (threads if tiles <= 100 else 1)
        return seconds + machine.call


class Plane(Algorithm):
    """One output channel a group, such as an image filter: output lines are the rows of a tile, pixels its lanes."""

    name = "plane"

    @staticmethod
    def lines(spec: Spec) -> int:
        """Lines of the kernel."""
        return max(1, spec.kernel[-2]) if len(spec.kernel) > 1 else 1

    def supports(self, spec: Spec) -> str | None:
        if spec.direction == "grad_weight":
            return "not for the weight gradient"
        if (spec.co if spec.direction == "forward" else spec.ci) != spec.groups:
            return "for one output channel a group only"
        if len(spec.kernel) > 1:
            taps, stride, dilation = spec.kernel[-2], spec.stride[-2], spec.dilation[-2]
            if spec.direction == "grad_input":  # each phase of the stride is a problem of stride 1
                common = math.gcd(stride, dilation)
                taps, stride, dilation = -(-taps * common // stride), 1, dilation // common
            if (taps > 1 and (stride, dilation) != (1, 1)) or (stride != 1 and spec.output[-2] > 1):
                return "for stride 1 and dilation 1 along y only"
        lines = self.lines(spec)
        if spec.terms == 0 or spec.terms // lines * (lines + 14) > 65536:
            return "for at most 65536 terms a sum"
        return None

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        target = spec.output if spec.direction == "forward" else spec.input
        # Three or four lines share the loads; taps that only others of them have are zeros, multiplied all the same.
        taps = (self.lines(spec) + 3) / self.lines(spec) if len(spec.kernel) > 1 else 3.0
        speed = machine.peak(spec.dtype) * machine.efficiency * lane_use(target[-1], machine.vector(spec.dtype))
        elements = spec.n * (spec.ci * math.prod(spec.input) + spec.co * math.prod(spec.output))
        scattered = 4.0 if spec.channels_last and spec.ci > 1 else 0.4
        seconds = spec.flops * taps / speed + elements * scattered * machine.shuffle_cycles / machine.clock()
        seconds += machine.group * spec.groups * spec.n if spec.groups > 1 else 0.0
        return shared(max(seconds, moved(spec, machine)), machine, threads) + machine.call


class Depthwise(Algorithm):
    """One summed channel a group: vectors along channels through the tap kernel, one weight vector a tap."""

    name = "depthwise"

    def supports(self, spec: Spec) -> str | None:
        if (spec.co if spec.direction == "grad_input" else spec.ci) != spec.groups:
            return "for one summed channel a group only"
        if math.prod((k - 1) * d + 1 for k, d in zip(spec.kernel, spec.dilation, strict=True)) > 1 << 30:
            return "for windows that span at most 2**30 pixels"
        return None

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        backward = spec.direction == "grad_input"
        target, written = (spec.input, spec.ci) if backward else (spec.output, spec.co)
        vectors = -(-spec.groups // machine.vector(spec.dtype)) * (written // spec.groups)
        lines = spec.n * math.prod(target[:-1]) * vectors
        taps = math.prod(spec.kernel) * spec.n * math.prod(spec.output) * vectors
        seconds = (machine.tap_cycles * taps + machine.line_cycles * lines) / machine.clock()
        elements = spec.n * (spec.ci * math.prod(spec.input) + spec.co * math.prod(spec.output))
        # Whole vectors of channels go through register transposes, others element by element.
        share = 1.5 if spec.groups % machine.vector(spec.dtype) else 0.4
        seconds = max(seconds, moved(spec, machine)) + share * shuffled(spec, machine, elements)
        if not planned and spec.direction != "grad_weight":
            seconds += packing(spec, machine)
        return shared(seconds, machine, threads) + machine.call


class Fft(Algorithm):
    """Transforms of overlapping tiles, multiplied frequency by frequency; the larger the kernel, the more it saves.

    Stockham, "High-speed convolution and correlation", 1966 (overlap-save tiles); Bernstein, "Multidigit
    multiplication for mathematicians", 2001 (transforms as residues of polynomials).
    """

    name = "fft"
    windowed = False

    # Lengths of complex transforms, as in csrc/algo/fft_tiles.h.
    SIZES = (16, 32, 48, 64, 80, 96, 128, 144, 160, 192, 240, 256, 288, 320, 384, 400, 480, 512, 576, 640, 720, 768,
             800, 960, 1024, 1152, 1280, 1536, 1600, 1920, 2048)  # fmt: skip

    def supports(self, spec: Spec) -> str | None:
        if math.prod(spec.kernel) <= 1:
            return "not for 1x1 kernels"
        axes = zip(spec.kernel, spec.stride, spec.dilation, strict=True)
        if spec.direction == "grad_input" and math.prod(min(k, s // math.gcd(s, d)) for k, s, d in axes) > 256:
            return "the stride has too many phases"
        if max(*spec.stride, *spec.dilation) > 1 << 30:
            return "for strides and dilations of at most 2**30"
        gradient, volume = spec.direction == "grad_weight", len(spec.kernel) == 3
        depth = spec.output[0] if volume and gradient else 1
        planes = depth * spec.stride[0] if gradient else spec.kernel[0] * spec.dilation[0]
        if volume and planes > 2048:
            return "for sums over at most 2048 planes of a volume"
        if (spec.ci if spec.direction == "grad_input" else spec.co) // spec.groups * depth > 2048:
            return "for at most 2048 outputs a group, times planes in a weight gradient"
        if spec.direction != "grad_weight":
            numbers = spec.co * (spec.ci // spec.groups) * (spec.kernel[0] if volume else 1)
            flat = list(zip(spec.kernel, spec.stride, spec.dilation, strict=True))[-2:]
            one_line = len(flat) == 1 or flat[0][0] == 1
            # The least that tiles take, twice as wide as their part of the kernel: lines of 512 numbers, or 32 x 16.
            for (k, s, d), size in zip(flat[::-1], (512, 1) if one_line else (16, 32), strict=False):
                if size > 1:
                    residues = max(1, min(k, s // math.gcd(s, d)))
                    taps = math.ceil(k / residues)
                    numbers *= residues * size * math.ceil(taps / (size // 2))
            if numbers > 1 << 27:
                return "the kernel's spectra would take more than 2**27 numbers"
        return None

    def error(self, spec: Spec) -> float:
        return unit(spec) * (12 + 2 * math.sqrt(spec.terms))

    @classmethod
    def ways(cls, outs: int, taps: int, stride: int, dilation: int, scale: int) -> list[tuple[int, int, int]]:
        """(size, tiles, parts of the kernel) worth considering along one axis: what a smaller tile does is left out."""
        common = math.gcd(stride, dilation)
        phases, residues = min(outs, dilation // common), min(taps, stride // common)
        outs, taps = -(-outs // phases), -(-taps // residues)
        found: list[tuple[int, int, int]] = []
        for size in (scale * n for n in cls.SIZES):
            part = taps if 2 * taps <= size or taps + outs <= size + 1 else max(1, size - outs + 1, size // 2)
            way = size, phases * -(-outs // (size - part + 1)), residues * -(-taps // part)
            if all(tiles > way[1] or parts > way[2] for _, tiles, parts in found):
                found.append(way)
        return found

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        samples, read, written, repeats = spec.n, spec.ci, spec.co, 1
        axes = list(zip(spec.output, spec.kernel, spec.stride, spec.dilation, strict=True))
        if spec.direction == "grad_input":  # one problem a phase of the stride
            read, written = written, read
            steps = [s // math.gcd(s, d) for s, d in zip(spec.stride, spec.dilation, strict=True)]
            repeats = math.prod(min(k, step) for k, step in zip(spec.kernel, steps, strict=True))
            axes = [
                (-(-size // s), -(-k // step), 1, d * step // s)
                for size, k, s, d, step in zip(spec.input, spec.kernel, spec.stride, spec.dilation, steps, strict=True)
            ]
        images, outputs = read // spec.groups, written // spec.groups
        if spec.direction == "grad_weight":
            samples, images, planned = images, samples, False
            axes = [(k, size, d, s) for size, k, s, d in axes]
        axes = [(1, 1, 1, 1)] * (3 - len(axes)) + axes
        if spec.empty or spec.flops == 0:
            return machine.call
        one_line = axes[1][1] == 1
        flat, planes = (axes[2:], axes[:2]) if one_line else (axes[1:], axes[:1])
        sums, repeats = math.prod(taps for _, taps, _, _ in planes), repeats * math.prod(out for out, _, _, _ in planes)
        scales = (16,) if one_line else (2, 1)  # a long line is cut into rows and columns
        along = [self.ways(*axis, scale) for axis, scale in zip(flat, scales, strict=True)]
        lanes, best = machine.vector(spec.dtype), math.inf
        for combined in itertools.product(*along):
            numbers, tiles, parts = (math.prod(column) for column in zip(*combined, strict=True))
            transform = machine.fft_cycles + machine.fft_pass_cycles * math.log2(numbers)
            pairs = images * parts * outputs * sums
            tile, size = numbers * DTYPES[spec.dtype], spec.groups * pairs * numbers * DTYPES[spec.dtype]
            if tile > 0.75 * machine.l2 or size > spec.groups * machine.l2:  # through L3
                transform += 6
            transform += lanes if flat[-1][2] != 1 or flat[-1][3] != 1 else 0  # pixels that do not lie together
            kernel = pairs * (transform + 20)
            work = samples * tiles * repeats * ((images * parts + outputs) * transform + 2 * pairs)
            seconds = numbers / lanes * (work + (0.0 if planned else kernel)) / machine.clock()
            if size > machine.l2:
                seconds += (1 if planned else 2) * size / spec.groups / machine.rate(size)
            best = min(best, seconds)
        seconds = spec.groups * (best + machine.group)
        if spec.channels_last and spec.ci + spec.co > 2:  # channels side by side come apart in registers, groups do not
            elements = spec.n * (spec.ci * math.prod(spec.input) + spec.co * math.prod(spec.output))
            seconds += (
                elements * (4.0 if spec.ci == spec.groups > 1 else 0.5) * machine.shuffle_cycles / machine.clock()
            )
        return shared(max(seconds, moved(spec, machine)), machine, threads) + machine.call + 2e-6


class Im2col(Algorithm):
    """Windows copied slice by slice into a bounded buffer, then SciPy's own BLAS."""

    name = "im2col"
    foreign_threads = True

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        rows, columns, depth = products(spec)
        size = spec.groups * rows * depth * DTYPES[spec.dtype]
        slices = max(1, spec.groups * -(-size // (spec.groups * machine.l2)))
        # BLAS pads the smaller matrix dimensions to its own tiles, about eight wide.
        lanes = lane_use(columns, 8) * lane_use(rows, 8) * depth / (depth + 16)
        arithmetic = spec.flops / (machine.peak(spec.dtype) * machine.blas_efficiency * max(lanes, 1e-3))
        buffer = 2 * size / machine.rate(min(size, 2 * machine.l2))
        # BLAS packs the weights in every call, planned or not.
        seconds = shared(arithmetic + buffer + moved(spec, machine), machine, threads) + packing(spec, machine)
        return seconds + machine.call + machine.blas_lookup + slices * machine.blas_call / threads


class Reference(Algorithm):
    """The definition in plain loops, summed in float64: what everything else is compared with."""

    name = "reference"
    oracle = True

    def error(self, spec: Spec) -> float:
        return unit(spec) * 2 + 2.0**-53 * math.sqrt(spec.terms)

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        return shared(spec.flops / machine.reference_flops, machine, threads) + machine.call


# In the order they are tried and shown; the reference is last.
ALGORITHMS: tuple[Algorithm, ...] = tuple(
    algorithm
    for algorithm in (
        Winograd(4),
        Winograd(2),
        Fft(),
        Plane(),
        Depthwise(),
        Direct(),
        Im2col(),
        Reference(),
    )
    if algorithm.name in _core.algorithms()
)
BY_NAME = {algorithm.name: algorithm for algorithm in ALGORITHMS}
