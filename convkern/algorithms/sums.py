"""Two algorithms that add up the definition's own products: the depthwise tap kernel, and the reference."""

import math

from ..machine import Machine
from ..spec import Spec
from .base import Algorithm, packing, shared, shuffled, streamed, unit


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
