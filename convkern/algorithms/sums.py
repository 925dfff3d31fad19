"""The algorithms that add up the definition's own products: direct, plane, depthwise, im2col and the reference."""

import math

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, lane_use, line, moved, packing, products, shared, shuffled, unit


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
        source, target = (spec.output, spec.input) if backward else (spec.input, spec.output)
        written, lanes = spec.ci if backward else spec.co, machine.vector(spec.dtype)
        vectors = -(-spec.groups // lanes) * (written // spec.groups)
        pixels, lines = spec.n * math.prod(target), spec.n * math.prod(target[:-1])
        # Taps an output; each phase of a stride has its share of them, and begins with pixels of its own.
        taps = math.prod(spec.kernel) * math.prod(spec.output) / max(1, math.prod(target))
        single = written == spec.groups and spec.padding_mode == "zeros"
        strided = 2 if backward else spec.stride[-1]
        if spec.direction == "grad_weight":
            if spec.channels_last and single and spec.groups >= lanes:  # lines in place, for each line of taps
                cycles = vectors * math.prod(spec.kernel[:-1]) * lines * (100 + 3.5 * target[-1] * spec.kernel[-1])
            else:  # copied, again for taps along z and for each part of the taps
                cycles = 1.5 * (2 * machine.tap_cycles * taps * pixels + machine.line_cycles * lines) * vectors
                cycles *= 2.0 if len(spec.kernel) == 3 else 1.0
                cycles += self.copied(spec, machine)
            return shared(max(cycles / machine.clock(), moved(spec, machine)), machine, threads) + machine.call
        if spec.channels_last and single and spec.groups >= lanes and spec.kernel[-1] <= 7 and strided <= 2:
            cycles = machine.tap_cycles * (taps + 2) * pixels * vectors
        elif not spec.channels_last and single and not (backward and spec.stride[-1] > 1) and len(spec.kernel) < 3:
            # Planes, pixels on the lanes, from copies of their lines.
            along = -(-target[-1] // lanes)
            alone = 1 if len(spec.kernel) == 2 and spec.kernel[0] in (3, 5, 7) else 2  # taps that no lines share
            cycles = machine.tap_cycles * (taps + 2) * spec.groups * lines * along * alone
            cycles += spec.groups * spec.n * math.prod(source[:-1]) * (8 + 2 * -(-source[-1] // lanes))
        else:
            cycles = (2 * machine.tap_cycles * taps * pixels + machine.line_cycles * lines) * vectors
            cycles += self.copied(spec, machine)
            if spec.channels_last and written > spec.groups:  # several outputs a channel lie between each other's
                cycles += 8 * written * pixels * machine.shuffle_cycles
        seconds = cycles / machine.clock() + moved(spec, machine)
        if not planned:
            seconds += packing(spec, machine)
        return shared(seconds, machine, threads) + machine.call

    @staticmethod
    def copied(spec: Spec, machine: Machine) -> float:
        """Cycles to bring vectors of channels together: whole ones by register transposes, else by elements."""
        if spec.channels_last:
            return 0.0
        elements = spec.n * (spec.ci * math.prod(spec.input) + spec.co * math.prod(spec.output))
        return (1.5 if spec.groups % machine.vector(spec.dtype) else 0.4) * elements * machine.shuffle_cycles


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
