"""The definition in plain loops: what everything else is compared with."""

import math

from ..machine import Machine
from ..spec import Spec
from .base import Algorithm, shared, unit


class Reference(Algorithm):
    """The definition in plain loops, summed in float64: what everything else is compared with."""

    name = "reference"
    oracle = True

    def error(self, spec: Spec) -> float:
        return unit(spec) * 2 + 2.0**-53 * math.sqrt(spec.terms)

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        return shared(spec.flops / machine.reference_flops, machine, threads) + machine.call
