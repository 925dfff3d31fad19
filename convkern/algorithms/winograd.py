"""Winograd's minimal filtering: which layers its forms fit, how exact it is, what it costs."""

import math
from typing import ClassVar

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, streamed, unit
from .direct import problem_seconds
from .lowered import Problem, lower, phase_count
from .winograd_cost import forward_seconds, weight_seconds
from .winograd_form import Form, form_of

MOST_PHASES = 16  # of an input gradient's stride
FEWEST_LINE_CHANNELS = 64  # of a phase along one axis only


class Winograd(Algorithm):
    """Winograd's F(m x m, r x r) and F(m, r): fewer multiplications, paid for by transforms.

    Strides and dilations fall into phases, taps along z are summed like channels; phases of an input gradient that
    have no form go through direct. Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", 2016.
    """

    windowed = False
    growth: ClassVar = {4: 1.0, 5: 3.0, 6: 3.0}  # how much a form's transforms magnify errors, by its points

    def __init__(self, m: int) -> None:
        self.name = f"winograd{m}"
        self.m = m

    def forms(self, spec: Spec) -> list[tuple[Problem, Form | None]]:
        """Each lowered problem and its form, None for one that `direct` does."""
        problems = lower(spec, empty=True)
        few = len(problems) > 1 and min(spec.ci, spec.co) // spec.groups < FEWEST_LINE_CHANNELS
        found = [(problem, form_of(problem, self.m)) for problem in problems]
        return [(problem, None if form and few and not form.square else form) for problem, form in found]

    def supports(self, spec: Spec) -> str | None:
        if spec.direction == "grad_weight":
            return self.weight_gradient(spec)
        if phase_count(spec) > MOST_PHASES:
            return "the stride has too many phases"
        if all(form is None for _, form in self.forms(spec)):
            return f"no tile of {self.m} outputs for this kernel, stride and dilation"
        return None

    def weight_gradient(self, spec: Spec) -> str | None:
        """The gradient's 4x4 tiles act as kernels, with three outputs along each axis: the taps."""
        if self.m != 4:
            return "not for the weight gradient"
        if spec.kernel != (3, 3) or max(*spec.stride, *spec.dilation) > 1:
            return "a weight gradient only of 3x3 kernels of stride 1 and dilation 1"
        if math.prod(spec.output) == 1:
            return "a weight gradient only of more than one pixel"
        columns = -(-spec.co // spec.groups // 64) * 64
        if 36 * spec.ci // spec.groups * columns * DTYPES[spec.dtype] > 24 << 20:
            return "a weight gradient's sums would take more than 24 MB"
        return None

    def error(self, spec: Spec) -> float:
        forms = self.forms(spec) if spec.direction != "grad_weight" and phase_count(spec) <= MOST_PHASES else []
        growth = max((self.growth[form.x.points] for _, form in forms if form), default=self.growth[6])
        return unit(spec) * growth * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.empty:
            return machine.call
        if self.supports(spec) is not None:
            return math.inf
        if spec.direction == "grad_weight":
            return weight_seconds(spec, machine, threads) + machine.call
        seconds = sum(
            forward_seconds(problem, form, spec, machine, planned, threads)
            if form
            else problem_seconds(problem, spec, machine, threads)
            for problem, form in self.forms(spec)
        )
        return streamed(seconds, spec, machine, threads) + machine.call
