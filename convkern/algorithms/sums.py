"""The algorithms that add up the definition's own products: direct, plane, depthwise, im2col and the reference."""

import math

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, inside, lane_use, line, moved, packing, products, shared, shuffled, unit


class Direct(Algorithm):
    """Products read straight from the image through row and tap tables; no im2col buffer."""

    name = "direct"

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def weight_cost(self, spec: Spec, machine: Machine, threads: int) -> float:
        """Seconds of a weight gradient: outer products over the pixels of each tap that lie in the image."""
        lanes, groups = machine.vector(spec.dtype), spec.groups
        channels, outputs = spec.ci // groups, spec.co // groups
        taps, pixels = math.prod(spec.kernel), spec.n * math.prod(spec.output)
        by_tap = channels >= 6 or taps == 1
        vectors = -(-outputs // lanes)
        products = float(channels * vectors)
        if taps == 1 and not any(map(any, spec.padding)):  # either operand may take the lanes
            products = min(products, float(outputs * -(-channels // lanes)))
        rows = channels if by_tap else channels * taps
        products *= max(1.0, 6 / max(1, rows))  # too few sums under way to hide the latency of adding
        reached = inside(spec) if by_tap else 1.0
        cycles = taps * pixels * reached * products / 2 / machine.efficiency
        # Every tile loads and stores its sums once a chunk; the gradient is packed, steps are listed, dw is transposed.
        cycles += taps * products * (4 + -(-pixels // 384) * 4)
        cycles += pixels * vectors * lanes * (0.25 if spec.channels_last else 0.5)
        cycles += 3 * taps * pixels * reached if by_tap and taps > 1 else 0.0
        cycles += 0.0 if taps == 1 else 0.5 * taps * channels * outputs
        if not by_tap:
            cycles += 0.5 * spec.n * channels * math.prod(spec.input)
        seconds = groups * cycles / machine.clock() + (machine.group * groups if groups > 1 else 0.0)
        return shared(max(seconds, moved(spec, machine)), machine, threads) + machine.call

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.direction == "grad_weight":
            return self.weight_cost(spec, machine, threads)
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
        if not planned:
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
        target, written = (spec.input, spec.ci) if backward else (spec.output, spec.co)
        vectors = -(-spec.groups // machine.vector(spec.dtype)) * (written // spec.groups)
        lines = spec.n * math.prod(target[:-1]) * vectors
        taps = math.prod(spec.kernel) * spec.n * math.prod(spec.output) * vectors
        seconds = (machine.tap_cycles * taps + machine.line_cycles * lines) / machine.clock()
        elements = spec.n * (spec.ci * math.prod(spec.input) + spec.co * math.prod(spec.output))
        # Whole vectors of channels go through register transposes, others element by element.
        share = 1.5 if spec.groups % machine.vector(spec.dtype) else 0.4
        seconds = max(seconds, moved(spec, machine)) + share * shuffled(spec, machine, elements)
        if spec.channels_last and written > spec.groups:  # several outputs a channel lie between each other's
            seconds += 8 * spec.n * written * math.prod(target) * machine.shuffle_cycles / machine.clock()
        if spec.direction == "grad_weight":  # lines are staged again for taps along z, and for each part of the taps
            seconds *= 3.0 if len(spec.kernel) == 3 else 1.5
        elif not planned:
            seconds += packing(spec, machine)
        return shared(seconds, machine, threads) + machine.call


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
