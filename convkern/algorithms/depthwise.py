"""One summed channel a group, four ways as csrc/algo/depthwise.cpp takes them, and the weight gradient.

sweep    channels lie side by side: vectors of channels walk along the image's own lines
planes   pixels lie side by side: vectors of pixels over planes, in place or in padded copies, taps broadcast
folded   few channels lie side by side: vectors of whatever a padded copy of a line holds
ring     everything else: lines of channel vectors copied into a ring

cycles = vectors x (taps x tap + result) + lines, tiles and planes begun + elements copied
"""

import math

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, moved, packing, unit
from .direct import image_lies_along_x, written_along_x
from .lowered import Axis, Problem, lower

# Taps in units of machine.tap_cycles, where several lines of outputs share a load (square windows of 3, 5 and 7), where
# none do, and of the ring; in cycles, a vector of results of each way.
SHARED_TAP, SINGLE_TAP, RING_TAP = 0.83, 2.3, 1.2
SWEPT, PLANE_VECTOR, RING_VECTOR = 3.2, 1.3, 3.0
SWEEP_LINE, TILE_LINE, PLANE, TASK = 80.0, 11.8, 49.1, 277.0  # cycles: to begin a line, a tile's line, a plane, a task
# Prices in units of machine.shuffle_cycles, for each element: copied with a plane's line, from a strided line, brought
# together from NCHW by whole vectors or one by one, stored apart where a channel has several outputs.
COPY, TAKE, TURN, GATHER, APART = 0.13, 0.37, 1.2, 1.9, 4.0
TAKE_FAR = 6.0  # from a line of a longer stride
COPIED_LINE, PARTIAL = 2.6, 7.9  # cycles: a plane's line; a pixel whose channels fill no vector
FOLDED_LINE, FOLDED_TAP, SPLIT = 100.0, 15.0, 5.0  # cycles: a line, for each vector until its channels repeat, and for
# each tap; a pixel of a stride
FOLDED_WEIGHT = 5.0  # cycles: a weight of the pattern that they repeat in
RING_STAGED = 200.0  # cycles: a line of a vector of channels brought into the ring
# The weight gradient: cycles a line of taps, a pixel and tap, in place and from the ring; in units of
# machine.shuffle_cycles, a vector of channels staged for the ring: from channels-last pixels, turned, a part of one,
# and of that an element.
WEIGHT_LINE, WEIGHT_TAP, RING_LINE, RING_WEIGHT_TAP = 100.0, 1.5, 35.0, 0.8
STAGED, STAGED_TURNED, STAGED_PART, STAGED_ELEMENT = 47.0, 23.0, 25.0, 2.3
SQUARE = (3, 5, 7)
ALONE = 20000.0  # cycles up to which a call stays on its thread
EXPOSED = 0.4  # of the shorter of computing and moving


class Depthwise(Algorithm):
    """One summed channel a group: vectors of channels or of pixels, one weight a tap."""

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
        if spec.empty:
            return machine.call
        clock, seconds = machine.clock(), 0.0
        for problem in lower(spec):
            if spec.direction == "grad_weight":
                cycles, most = weight_cycles(problem, spec, machine, threads)
            else:
                cycles, most = forward_cycles(problem, spec, machine), threads
            parallel = threads > 1 and cycles > ALONE
            seconds += cycles / clock / (most if parallel else 1) + (machine.fork if parallel else 0.0)
        moves = moved(spec, machine) / (threads if threads > 1 and seconds * clock > ALONE / 2 else 1)
        seconds = max(seconds, moves) + EXPOSED * min(seconds, moves)
        if not planned and spec.direction != "grad_weight":
            seconds += packing(spec, machine) + folding_cycles(spec, machine) / clock
        return seconds + machine.call


def way(problem: Problem, spec: Spec, lanes: int) -> str:
    """Which of the four serves a problem."""
    z, y, x = problem.axes
    inside = spec.padding_mode == "zeros" or spec.direction == "grad_input" or not x.padded
    if problem.outputs != 1:
        return "ring"
    if spec.channels_last and problem.groups >= lanes and inside:
        kernels = x.taps <= 7 and x.stride <= 2 and 1 in (x.stride, x.dilation)
        if kernels and z.taps * y.taps <= 64:
            return "sweep"
    if image_lies_along_x(spec) and written_along_x(spec) and z.taps == 1 and x.out >= (2 if problem.step == 1 else 8):
        high = y.taps * y.dilation + 8 * y.stride <= 256 and x.out <= 16384
        fits = x.taps * x.dilation <= 4096 if one_line(y) else high
        if fits and x.taps <= 64 and max(x.stride, problem.step) <= 4:
            return "planes"
    if spec.channels_last and 1 < problem.groups < lanes and problem.step == 1 and x.out > 1:
        columns = (min(64, x.out) - 1) * x.stride + (x.taps - 1) * x.dilation + 1
        ring = z.taps * ((y.taps - 1) * y.dilation + 1) * (columns * problem.groups + lanes * x.stride)
        if max(ring, problem.groups * problem.depth * lanes) <= 1 << 17:
            return "folded"
    return "ring"


def one_line(y: Axis) -> bool:
    """Whether a line of outputs is the only one of its plane: it is wrapped into several."""
    return y.out == y.taps == 1


def in_place(problem: Problem, spec: Spec, machine: Machine) -> bool:
    """Whether planes are read where they are, as far as sizes tell."""
    _, y, x = problem.axes
    inside = spec.padding_mode == "zeros" or spec.direction == "grad_input" or not x.padded
    size = DTYPES[spec.dtype]
    fits = x.in_ > 0 and x.in_ * size % 2048 != 0 and y.in_ * x.in_ * size <= machine.l2
    if one_line(y) or x.stride > 1 or not inside or not fits:
        return False
    # What is read beyond a line on its right, about: a vector and the taps; such lines at a plane's end are copied.
    lanes = machine.vector(spec.dtype)
    beyond = -(-x.out // lanes) * lanes + (x.taps - 1) * x.dilation - x.in_
    return 2 * max(0, -(-beyond // x.in_)) <= y.in_


def shares_loads(y: Axis, x: Axis) -> bool:
    return y.taps == x.taps and y.taps in SQUARE and y.stride == x.stride <= 2 and y.dilation == x.dilation == 1


def forward_cycles(problem: Problem, spec: Spec, machine: Machine) -> float:
    lanes, element = machine.vector(spec.dtype), machine.shuffle_cycles
    z, y, x = problem.axes
    taps, planes = problem.depth, problem.images * z.out
    chosen = way(problem, spec, lanes)
    if chosen == "sweep":
        vectors = -(-problem.groups // lanes)
        price = SHARED_TAP if shares_loads(y, x) and z.taps == 1 else SINGLE_TAP
        cycles = problem.batch * problem.pixels * vectors * (price * taps * machine.tap_cycles + SWEPT)
        height = 4 if shares_loads(y, x) else 1
        lines = problem.batch * z.out * -(-y.out // height) * min(x.dilation, x.out)
        return cycles + lines * -(-vectors // 16) * SWEEP_LINE + TASK
    if chosen == "planes":
        along, shared = -(-x.out // lanes), y.taps in SQUARE and y.stride <= 2 and y.dilation == 1
        price = SHARED_TAP if shared else SINGLE_TAP
        cycles = planes * y.out * along * (price * taps * machine.tap_cycles + PLANE_VECTOR)
        tiles = -(-along // 4) if one_line(y) else -(-y.out // 4) * along
        cycles += planes * (PLANE + tiles * TILE_LINE)
        if problem.step > 1:
            cycles += planes * y.out * (COPIED_LINE + x.out * (TAKE if problem.step == 2 else TAKE_FAR) * element)
        if in_place(problem, spec, machine):
            return cycles + TASK
        copy = COPY if x.stride == 1 else TAKE if x.stride == 2 else TAKE_FAR
        return cycles + planes * y.reads * (COPIED_LINE * x.stride + x.in_ * copy * element) + TASK
    if chosen == "folded":
        numbers = problem.batch * problem.pixels * problem.groups
        cycles = numbers / lanes * (SINGLE_TAP * taps * machine.tap_cycles + RING_VECTOR)
        repeat = problem.groups // math.gcd(problem.groups, lanes)
        cycles += problem.batch * z.out * y.out * (repeat * FOLDED_LINE + taps * FOLDED_TAP)
        pixels = problem.batch * z.reads * y.reads * x.in_
        return cycles + pixels * (problem.groups * COPY * element if x.stride == 1 else SPLIT) + TASK
    vectors = -(-problem.groups // lanes) * problem.outputs
    cycles = problem.batch * problem.pixels * vectors * (RING_TAP * taps * machine.tap_cycles + RING_VECTOR)
    cycles += problem.batch * z.out * y.out * vectors * machine.line_cycles
    cycles += problem.batch * z.out * z.taps * y.reads * -(-problem.groups // lanes) * RING_STAGED
    written = problem.images * problem.pixels * problem.outputs
    read = problem.images * z.reads * y.reads * x.in_
    if not spec.channels_last:
        cycles += (read + written) * (GATHER if problem.groups % lanes else TURN) * element
        return cycles
    if problem.groups % lanes:  # a part of a vector is copied and stored for every pixel
        cycles += (read / problem.groups + problem.batch * problem.pixels * problem.outputs) * PARTIAL
    if problem.outputs > 1:  # several outputs a channel lie between each other's
        cycles += written * APART * element
    return cycles


def folding_cycles(spec: Spec, machine: Machine) -> float:
    """Cycles to repeat the weights of a call until vectors of them do."""
    lanes, cycles = machine.vector(spec.dtype), 0.0
    for problem in lower(spec):
        if way(problem, spec, lanes) == "folded":
            cycles += problem.depth * problem.groups // math.gcd(problem.groups, lanes) * lanes * FOLDED_WEIGHT
    return cycles


def weight_cycles(problem: Problem, spec: Spec, machine: Machine, threads: int) -> tuple[float, float]:
    """Cycles of one core, and among how many they are shared out: vectors of channels and lines of taps are the parts.

    Roles have changed: the axes' outputs are taps, their taps the pixels of the gradient.
    """
    lanes, element = machine.vector(spec.dtype), machine.shuffle_cycles
    z, y, x = problem.axes
    vectors, lines = -(-problem.groups // lanes), problem.channels * z.taps * y.taps
    parts = min(y.out, -(-2 * threads // vectors))
    shares = vectors * parts / -(-vectors * parts // threads)
    if spec.channels_last and problem.outputs == 1 and problem.batch == 1 and problem.groups >= lanes:
        return vectors * z.out * y.out * lines * (WEIGHT_LINE + WEIGHT_TAP * x.taps * x.out) + TASK, shares
    cycles = vectors * lines * z.out * y.out * (RING_LINE + RING_WEIGHT_TAP * x.taps * x.out)
    # Every part stages all of the gradient and of the image's planes.
    staged = parts * (lines * x.taps + problem.channels * z.out * z.taps * y.reads * x.in_)
    partial = problem.groups % lanes
    price = (vectors - (partial > 0)) * (STAGED if spec.channels_last else STAGED_TURNED)
    price += STAGED_PART * (partial > 0) + (0.0 if spec.channels_last else STAGED_ELEMENT * partial)
    return problem.outputs * (cycles + staged * price * element) + TASK, shares
