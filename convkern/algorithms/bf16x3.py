"""float32 products as three of bfloat16, for CPUs that multiply tiles of bfloat16 many times as fast.

    cycles = steps of tiles + tiles stored + elements split + the weights where they stream past the blocks

It counts whole images where csrc/algo/bf16x3_layout.h cuts them into blocks.
"""

import math

from ..machine import Machine
from ..spec import Spec
from .base import Algorithm, shared, streamed
from .lowered import Axis, Problem, lower, phase_count

ROWS, COLUMNS, DEPTH = 16, 16, 32  # of a tile of rows, of columns, and the terms of a step
MOST_PHASES = 64
MOST_WINDOW = 16 << 20  # bytes staged for a line of outputs
ROUNDOFF = 2.0**-17  # of splitting both factors and leaving a product out, 3 * 2^-18 of sum |a b| at the very most

# Prices in cycles: a tile of sums begun and stored; its chains where it is alone; a row of a tile that is stored across
# lines; a number that is gathered from planes before it is split; a block begun.
TILE, ALONE, TURNED, GATHERED, BLOCK = 520.0, 0.9, 8.0, 0.7, 600.0
PACKED, PACKED_SINGLE = 1.5, 4.5  # the same: a weight packed, and one of a single tap before it is used
STREAMED = 0.5  # of the time that weights take to come from L3


class Bf16x3(Algorithm):
    """Pairs of bfloat16 for every number, three of their four products, sums in float32.

    Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
    Computations", 2019.
    """

    name = "bf16x3"
    windowed = False  # its outputs depend on their windows alone, but sixteen bits are not what "strict" asks for

    def supports(self, spec: Spec) -> str | None:
        if spec.dtype != "float32":
            return "float32 only"
        if spec.direction == "grad_weight":
            return "not for the weight gradient"
        if phase_count(spec) > MOST_PHASES:
            return "the stride has too many phases"
        if any(window_bytes(problem) > MOST_WINDOW for problem in problems(spec, empty=True)):
            return "a window takes more than 16 MB"
        return None

    def error(self, spec: Spec) -> float:
        return ROUNDOFF + 2.0**-24 * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.empty:
            return machine.call
        if self.supports(spec) is not None:
            return math.inf
        seconds = 0.0
        for problem in problems(spec):
            seconds += shared(cycles(problem, spec, machine, threads) / machine.clock(), machine, threads)
            if not planned:
                weights = problem.groups * problem.depth * problem.outputs
                single = problem.depth == problem.channels and kernel_bytes(problem) <= machine.l2 / 2
                packed = weights * (PACKED_SINGLE if single else PACKED) / machine.clock()
                seconds += packed / threads + machine.fork if weights > 65536 else packed
        return streamed(seconds, spec, machine, threads) + machine.call


def problems(spec: Spec, *, empty: bool = False) -> list[Problem]:
    """The forward problems; axes of one tap read an image of the pixels that they meet."""
    found = []
    for problem in lower(spec, empty=empty):
        z, y, x = (without_gaps(axis) for axis in problem.axes)
        found.append(Problem(problem.groups, problem.batch, problem.channels, problem.outputs, (z, y, x), problem.step))
    return found


def without_gaps(axis: Axis) -> Axis:
    if axis.taps != 1 or axis.stride == 1 or axis.pad or not axis.out or (axis.out - 1) * axis.stride >= axis.in_:
        return axis
    return Axis(axis.out, axis.out, 1)


def window_bytes(problem: Problem) -> float:
    """Bytes staged for one line of outputs, or as much of it as two tiles have."""
    z, y, x = problem.axes
    lines = (y.taps - 1) * y.dilation + y.stride
    pixels = (x.taps - 1) * x.dilation + (min(x.out, 2 * ROWS) + ROWS) * x.stride
    return 4.0 * problem.channels * z.taps * lines * pixels


def steps_of(problem: Problem) -> int:
    """Steps of 32 terms of a sum: runs of channels, or of channels and taps along x."""
    z, y, x = problem.axes
    apart = x.taps * -(-problem.channels // DEPTH)
    together = -(-x.taps * problem.channels // DEPTH) if x.dilation == 1 else apart
    return z.taps * y.taps * min(apart, together)


def kernel_bytes(problem: Problem) -> float:
    """Bytes of a group's packed weights."""
    return 4.0 * DEPTH * steps_of(problem) * COLUMNS * 2 * -(-problem.outputs // (2 * COLUMNS))


def line_pixels(problem: Problem, zeros: bool) -> int:
    """Pixels from a staged line to the next one: zeros between two lines serve both."""
    x = problem.axes[2]
    reach = (x.out - 1) * x.stride + (x.taps - 1) * x.dilation + 1
    line = max(min(reach, x.in_ + x.pad), reach - x.pad, (x.out - 1) * x.stride + 1) if zeros and x.pad >= 0 else reach
    return -(-line // x.stride) * x.stride


def cycles(problem: Problem, spec: Spec, machine: Machine, threads: int) -> float:
    """Cycles of one core for one problem, its weights packed."""
    z, y, x = problem.axes
    if not problem.pixels:
        return 0.0
    steps, zeros = steps_of(problem), spec.padding_mode == "zeros" or spec.direction == "grad_input"
    line = line_pixels(problem, zeros)
    lines = y.taps * y.dilation + (y.out - 1) * y.stride
    staged = problem.images * problem.channels * z.out * z.taps * lines * line
    kernel = kernel_bytes(problem)
    blocks = max(1.0, 4 * staged / problem.images / z.out / (machine.l2 * 3 / 8))
    large = kernel > machine.l2 / 2
    parts = problem.groups * max(blocks, 1.0 if large else min(threads, y.out))
    rows = (y.out - 1) * (line // x.stride) + x.out
    high = problem.images * z.out * blocks * math.ceil(rows / blocks / ROWS)
    wide = -(-problem.outputs // COLUMNS)
    alone = ALONE if wide == 1 or rows <= ROWS else 1.0
    store = TILE + (0.0 if spec.channels_last else ROWS * TURNED)
    total = high * wide * (steps * machine.bf16_cycles * alone + store)
    gathered = 0.0 if spec.channels_last and (line == x.out or problem.channels >= ROWS) else GATHERED
    total += staged * (machine.split_cycles + gathered) + parts * BLOCK * problem.batch
    if large:  # each block streams the weights from L3, half of it behind the products
        total += STREAMED * problem.images * z.out * blocks * kernel / machine.l3_rate * machine.clock()
    return total
