"""The algorithms that add up the definition's own products besides direct: plane, depthwise, im2col and the reference."""

import math

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, lane_use, moved, packing, products, shared, shuffled, streamed, unit


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
        return shared(streamed(seconds, spec, machine), machine, threads) + machine.call


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
        seconds = streamed(seconds, spec, machine) + share * shuffled(spec, machine, elements)
        if spec.channels_last and written > spec.groups:  # several outputs a channel lie between each other's
            seconds += 8 * spec.n * written * math.prod(target) * machine.shuffle_cycles / machine.clock()
        if spec.direction == "grad_weight":  # lines are staged again for taps along z, and for each part of the taps
            seconds *= 3.0 if len(spec.kernel) == 3 else 1.5
        elif not planned:
            seconds += packing(spec, machine)
        return shared(seconds, machine, threads) + machine.call


class Reference(Algorithm):
    """The definition in plain loops, summed in float64: what everything else is compared with."""

    name = "reference"
    oracle = True

    def error(self, spec: Spec) -> float:
        return unit(spec) * 2 + 2.0**-53 * math.sqrt(spec.terms)

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        return shared(spec.flops / machine.reference_flops, machine, threads) + machine.call
