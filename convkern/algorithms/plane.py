"""One output channel a group, such as an image filter: output lines are the rows of a tile, pixels its lanes.

    cycles = steps of the tiles + tiles + lines staged, gathered or copied + results checked and stored

Tile and lines are chosen as csrc/algo/plane.cpp does. A tile of l lines shares its loads among them; taps that only
others of them have are zeros, multiplied all the same.
"""

import math

from ..machine import Machine
from ..spec import Spec
from .base import Algorithm, streamed, unit
from .direct import image_lies_along_x, result_lies_along_x
from .lowered import Problem, lower
from .tiles import panels, shapes, step_cycles

# Prices in units of machine.shuffle_cycles, for each element: gathered from channels-last pixels, taken from a strided
# line, copied, looked at for NaN, stored apart from its neighbours, packed in the call.
GATHER, TAKE, COPY, CHECK, SCATTER, PACK = 3.7, 2.4, 1.2, 0.3, 2.8, 3.2
TAKE_FAR = 5.0  # the same of a stride of more than two
APART, APART_FAR = 3.0, 12.0  # the same of one group of several in channels-last pixels, within L2 and beyond
LINE, TILE, TASK = 44.7, 35.4, 200.0  # cycles: a line staged, a tile of lines, a block of an image


class Plane(Algorithm):
    """One output channel a group, such as an image filter: output lines are the rows of a tile, pixels its lanes."""

    name = "plane"

    def supports(self, spec: Spec) -> str | None:
        if spec.direction == "grad_weight":
            return "not for the weight gradient"
        if (spec.co if spec.direction == "forward" else spec.ci) != spec.groups:
            return "for one output channel a group only"
        lines = 1
        if len(spec.kernel) > 1:
            taps, stride, dilation = spec.kernel[-2], spec.stride[-2], spec.dilation[-2]
            lines = max(1, taps)
            if spec.direction == "grad_input":  # each phase of the stride is a problem of stride 1
                common = math.gcd(stride, dilation)
                taps, stride, dilation = -(-taps * common // stride), 1, dilation // common
            if (taps > 1 and (stride, dilation) != (1, 1)) or (stride != 1 and spec.output[-2] > 1):
                return "for stride 1 and dilation 1 along y only"
        if spec.terms == 0 or spec.terms // lines * (lines + 14) > 65536:
            return "for at most 65536 terms a sum"
        return None

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.empty:
            return machine.call
        clock, seconds = machine.clock(), 0.0
        for problem in lower(spec):
            steps, tiles, lines = tile(problem, spec, machine)
            part = problem_cycles(problem, spec, machine, steps, tiles, lines) / clock
            if threads > 1 and steps > machine.serial * clock:
                part = part / threads + machine.fork
            seconds += part
            if not planned:
                stacked = problem.depth // problem.axes[1].taps * (problem.axes[1].taps + lines - 1)
                seconds += problem.groups * lines * stacked * PACK * machine.shuffle_cycles / clock
        return streamed(seconds, spec, machine, threads) + machine.call


def tile(problem: Problem, spec: Spec, machine: Machine) -> tuple[float, float, int]:
    """(cycles of the steps, tiles, lines of a tile) of the tile that takes the least cycles."""
    _, y, x = problem.axes
    best, most_lines = (math.inf, 0.0, 1), 1 if y.taps == 1 else y.out
    rest = problem.images * problem.pixels / max(1, x.out) * problem.depth / y.taps
    for shape in shapes(machine):
        most_lines = min(most_lines, shape[0])
        across = sum(count for _, count in panels(machine, shape, machine.vector(spec.dtype), x.out))
        for lines in range(1, most_lines + 1):
            steps = rest * (y.taps + lines - 1) * across * step_cycles(lines, shape[1], 3 * shape[1]) / lines
            if steps < best[0]:
                tiles = problem.images * problem.pixels / max(1, x.out * y.out) * -(-y.out // lines) * across
                best = (steps, tiles, lines)
    return best


def problem_cycles(problem: Problem, spec: Spec, machine: Machine, steps: float, tiles: float, lines: int) -> float:
    """Cycles of one core for one problem."""
    z, _, x = problem.axes
    lanes, element = machine.vector(spec.dtype), machine.shuffle_cycles
    results = problem.images * problem.pixels
    read = problem.read * z.out * z.taps / max(1, z.reads)  # a block is one output along z
    cycles = steps / machine.efficiency + tiles * TILE + problem.images * z.out * TASK + results * CHECK * element
    gathered = not image_lies_along_x(spec)
    in_place = not gathered and x.stride == 1 and not any(axis.padded for axis in problem.axes)
    if not in_place or x.out % lanes or problem.axes[1].out % lines:
        price = GATHER if gathered else COPY if x.stride == 1 else TAKE if x.stride == 2 else TAKE_FAR
        cycles += read * price * element + read / max(1, x.reads) * LINE
    if gathered and problem.groups > 1:  # each group reads and writes a part of every line of memory
        cycles += (read + results) * (APART_FAR if spec.bytes > machine.l2 else APART) * element
    if not result_lies_along_x(problem, spec):
        cycles += results * SCATTER * element
    return cycles
