"""Two algorithms that add up the definition's own products: the depthwise tap kernel, and the reference."""

import math

from ..machine import Machine
from ..spec import Spec
from .base import Algorithm, moved, packing, shared, unit


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


class Reference(Algorithm):
    """The definition in plain loops, summed in float64: what everything else is compared with."""

    name = "reference"
    oracle = True

    def error(self, spec: Spec) -> float:
        return unit(spec) * 2 + 2.0**-53 * math.sqrt(spec.terms)

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        return shared(spec.flops / machine.reference_flops, machine, threads) + machine.call
