"""The view-GEMM: products read straight from the image, counted as csrc/algo/direct_blocking.cpp cuts them.

    cycles = steps of the tiles + tiles + rows listed + blocks begun + elements moved, each at its price

Which operand lies on the vector side is chosen here as there, by the same counts.
"""

import math
from dataclasses import dataclass

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, inside, shared, streamed, unit
from .lowered import Problem, lower
from .tiles import Product, Shape, product, shapes

# How csrc/algo/direct_blocking.cpp counts when it chooses: cycles an element, a tile, a vector with lanes to spare,
# and a row of a tile at which a line of results is left.
GATHERED, SPLIT, TRANSPOSED, BEGUN, PARTIAL, CUT = 4.0, 0.7, 0.3, 40.0, 5.0, 10.0
PANEL, FAR = 0.4, 2.0  # an element gathered for a panel; a step of a tile whose channels lie in lines of their own
LOADS, LOADS_64, LATENCY = 2.5, 2.1, 4.0  # loads a cycle, those of vectors of 64 bytes; cycles of latency

# Prices in units of machine.shuffle_cycles: an element gathered from channels-last pixels, taken from lines of stride 2
# and of more, copied with a padded line, stored by itself, through transposes, from a vector that it does not fill.
GATHER, TAKE, TAKE_FAR, COPY, SCATTER, TRANSPOSE, SCALAR = 4.0, 2.6, 5.0, 0.97, 3.0, 0.65, 0.62
GROUP_READ, GROUP_WRITTEN = 0.7, 1.8  # an element of one of several groups that fill no vector, channels last
TURN = 0.84  # an element turned between pixels and lines: times what the choice counts
FEW, FEW_OUTPUTS = 2.0, 2  # what an element costs more to turn for that many outputs or fewer
SINGLE_GROUP = 1500.0  # cycles: a group of one turned output, for each image
PACK, PACK_APART, PACK_SCALAR = 0.87, 2.4, 6.5  # a weight, packed in the call: vectors of outputs, apart, others
PACKED_BY_ALL = 65536  # weights, from which all threads pack
# Prices in cycles, elements aside: a line that is copied, or read in place from beyond L2; a channels-last pixel that
# is copied; one whose results go through a store of their own; a product of one block or line with one panel.
LINE, FAR_LINE, PIXEL, STORED_PIXEL, CALL = 28.2, 60.4, 2.3, 2.9, 75.7
# The weight gradient, in units of a step, then in cycles: a vector of sums for a chunk, an element of the gradient
# packed, a step listed, an element of the image staged, a group begun.
WEIGHT_STEP, WEIGHT_TILE, WEIGHT_PACK, WEIGHT_LIST, WEIGHT_STAGE, WEIGHT_TASK = 1.0, 3.0, 0.57, 3.0, 0.57, 1646.0
WEIGHT_PART = 10.0  # cycles: a pixel whose outputs fill no vector
GROUP = 200.0  # cycles: one of several groups whose channels lie between others', for each image
L1_WAY, L1_WAYS = 4096, 8  # bytes of a way of L1, and how many at least


@dataclass(frozen=True, slots=True)
class Way:
    """A problem with pixels or outputs in the lanes, and the cycles that the choice counts."""

    on_pixels: bool
    width: int  # vectors
    product: Product
    counted: float


class Direct(Algorithm):
    """Products read straight from the image through row and tap tables; no im2col buffer."""

    name = "direct"

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.empty:
            return machine.call
        if spec.direction == "grad_weight":
            seconds = shared(weight_cycles(spec, machine) / machine.clock(), machine, threads)
            return streamed(seconds, spec, machine, threads) + machine.call
        problems = lower(spec)
        seconds = sum(problem_seconds(problem, spec, machine, threads) for problem in problems)
        if not planned:
            seconds += packing_cycles(problems, spec, machine, threads) / machine.clock()
        return streamed(seconds, spec, machine, threads) + machine.call


def problem_seconds(problem: Problem, spec: Spec, machine: Machine, threads: int) -> float:
    """Seconds of one problem, its weights packed and its arrays in cache."""
    way = cheapest(problem, spec, machine)
    seconds = problem_cycles(problem, way, spec, machine) / machine.clock()
    if threads > 1 and way.counted > machine.serial * machine.clock():
        seconds = seconds / threads + machine.fork
    return seconds


def packing_cycles(problems: list[Problem], spec: Spec, machine: Machine, threads: int) -> float:
    """Cycles to bring the weights of a call into the order that the kernels read, panel by panel."""
    cycles, lanes = 0.0, machine.vector(spec.dtype)
    for problem in problems:
        weights = problem.depth * problem.outputs
        # Taps come first where channels are read side by side: weights then lie apart, as do those of a phase.
        large = weights * DTYPES[spec.dtype] > machine.l2 * 2 / 5
        apart = len(problems) > 1 or (lies_along_channels(spec) and 1 < problem.channels < problem.depth and not large)
        price = PACK_SCALAR if problem.outputs < lanes else PACK_APART if apart else PACK
        panels = problem.groups * -(-problem.outputs // (2 * lanes))
        shared = min(threads, panels) if problem.groups * weights > PACKED_BY_ALL else 1
        cycles += problem.groups * weights * price * machine.shuffle_cycles / shared
    return cycles


def cheapest(problem: Problem, spec: Spec, machine: Machine) -> Way:
    """The way that csrc/algo/direct_blocking.cpp takes."""
    outputs, pixels = ways(problem, spec, machine)
    margin = 1.0 if gathers_pixels(problem) else 0.95
    return pixels if pixels is not None and pixels.counted < margin * outputs.counted else outputs


def ways(problem: Problem, spec: Spec, machine: Machine) -> tuple[Way, Way | None]:
    """The best tile with outputs in the lanes, and that with pixels there; no weight gradient has the latter."""
    lanes, x = machine.vector(spec.dtype), problem.axes[2]
    results = problem.images * problem.pixels * problem.outputs
    image = problem.images * problem.channels * math.prod(axis.in_ for axis in problem.axes)
    rows, gathers = min(problem.pixels, 512), gathers_pixels(problem)
    length = problem.pixels if gathers and problem.joined else x.out  # of the lines that panels are cut from
    prices = (LOADS_64 if machine.lanes == 16 else LOADS, LATENCY)

    def outputs_in_lanes(shape: Shape) -> Way:
        one = product(machine, shape, lanes, problem.outputs, rows, problem.depth)
        whole = one.times(problem.images * problem.pixels / max(1, rows))
        store = 0.0 if lies_along_channels(spec) else TRANSPOSED * results
        if lies_along_channels(spec) and problem.outputs % lanes:
            store = PARTIAL * problem.images * problem.pixels
        counted = product(machine, shape, lanes, problem.outputs, rows, problem.depth, prices=prices)
        steps = counted.steps * problem.images * problem.pixels / max(1, rows)
        if gathers and not lies_along_channels(spec):
            tiles = problem.images * problem.pixels / shape[0] * -(-problem.outputs // (shape[1] * lanes))
            steps += FAR * tiles * problem.depth
        return Way(False, shape[1], whole, steps + BEGUN * whole.tiles + whole.stores + store)

    def pixels_in_lanes(shape: Shape) -> Way:
        split = not gathers
        one = product(machine, shape, lanes, length, problem.outputs, problem.depth, split_loads=split)
        whole = one.times(problem.images * problem.pixels / max(1, length))
        move = SPLIT if x.stride > 1 else 0.0
        if gathers:
            move = PANEL * problem.pixels / math.prod(axis.in_ for axis in problem.axes)
        elif not image_lies_along_x(spec):
            move = GATHERED if x.stride > 1 else turned(problem.channels, problem.groups, lanes)
        store = 0.0
        if not result_lies_along_x(problem, spec):
            store = turned(problem.outputs, problem.groups, lanes) if spec.channels_last else TRANSPOSED
        store *= results
        counted = product(
            machine, shape, lanes, length, problem.outputs, problem.depth, split_loads=split, prices=prices
        )
        steps = counted.steps * problem.images * problem.pixels / max(1, length)
        return Way(True, shape[1], whole, steps + BEGUN * whole.tiles + whole.stores + move * image + store)

    best = min((outputs_in_lanes(shape) for shape in shapes(machine)[::-1]), key=lambda way: way.counted)
    if spec.direction == "grad_weight":
        return best, None
    cut = CUT * results if result_lies_along_x(problem, spec) else 0.0  # lines of results in pieces of a panel's width
    return best, min(
        (pixels_in_lanes(shape) for shape in shapes(machine)),
        key=lambda way: way.counted + cut * -(-length // (way.width * lanes)) / max(1, length),
    )


def gathers_pixels(problem: Problem) -> bool:
    """Whether pixels on lanes are brought together panel by panel."""
    single = all(axis.taps == 1 and not axis.padded for axis in problem.axes)
    return single and problem.channels >= 16 and problem.outputs >= 32


def turned(count: int, groups: int, lanes: int) -> float:
    """Cycles an element to turn pixels of ``count`` channels into lines or back, in squares or powers of two."""
    if count >= lanes:
        return 0.6
    return 0.4 if groups == 1 and count & (count - 1) == 0 else 1.5


def lies_along_channels(spec: Spec) -> bool:
    """Whether the outputs of a pixel lie side by side."""
    return spec.channels_last and spec.direction != "grad_weight"


def image_lies_along_x(spec: Spec) -> bool:
    return not spec.channels_last or (spec.co if spec.direction == "grad_input" else spec.ci) == 1


def written_along_x(spec: Spec) -> bool:
    """Whether results of a line lie together, or together but for those of other problems."""
    return not spec.channels_last or (spec.ci if spec.direction == "grad_input" else spec.co) == 1


def result_lies_along_x(problem: Problem, spec: Spec) -> bool:
    return problem.step == 1 and written_along_x(spec)


def problem_cycles(problem: Problem, way: Way, spec: Spec, machine: Machine) -> float:
    """Cycles of one core for one problem."""
    lanes, element = machine.vector(spec.dtype), machine.shuffle_cycles
    z, y, x = problem.axes
    results, padded = problem.images * problem.pixels * problem.outputs, any(axis.padded for axis in problem.axes)
    lines = problem.read / max(1, x.reads)
    cycles = way.product.cycles(machine)
    if spec.channels_last and problem.groups > 1:
        cycles += problem.images * GROUP
        cycles += problem.read * GROUP_READ * element if problem.channels < lanes else 0.0
        cycles += results * GROUP_WRITTEN * element if problem.outputs < lanes else 0.0
    if problem.step > 1 and not lies_along_channels(spec):  # results lie apart
        cycles += results * SCATTER * element
    if way.on_pixels:
        gathered = not image_lies_along_x(spec)
        length = problem.pixels if gathers_pixels(problem) and problem.joined else x.out
        cycles += problem.images * problem.pixels / max(1, length) * -(-length // (4 * lanes)) * CALL
        if gathers_pixels(problem):
            price = (COPY if x.stride == 1 else TAKE if x.stride == 2 else TAKE_FAR) * element
            if gathered:
                price = TURN * turned(problem.channels, problem.groups, lanes)
            cycles += problem.images * problem.channels * problem.pixels * price
        elif gathered or padded or x.stride > 1 or x.out % lanes:
            price = (COPY if x.stride == 1 else TAKE if x.stride == 2 else TAKE_FAR) * element
            if gathered:
                price = GATHER * element if x.stride > 1 else TURN * turned(problem.channels, problem.groups, lanes)
            cycles += problem.read * price + lines * LINE
            if gathered and problem.outputs <= FEW_OUTPUTS:
                cycles += problem.read * FEW * element
                cycles += problem.images * SINGLE_GROUP if problem.groups > 1 and problem.outputs == 1 else 0.0
        elif spec.bytes > machine.l2:
            cycles += lines * FAR_LINE
        if problem.step == 1 and not result_lies_along_x(problem, spec):
            turn = spec.channels_last and problem.step == 1
            price = TURN * turned(problem.outputs, problem.groups, lanes) if turn else SCATTER * element
            cycles += results * price
        return cycles
    last, single = lies_along_channels(spec), problem.channels == 1
    # Borders on the axes with zero padding are blocks of their own.
    apart = problem.axes if last and not single else (z, y) if last or problem.batch == 1 else ()
    regions = 1 + 2 * sum(a.taps > 1 and a.padded and a.out >= 4 for a in apart)
    blocks = problem.images * (regions - 1 + max(1.0, problem.pixels / 1024))
    cycles += blocks * (machine.task_cycles + CALL * -(-problem.outputs // (2 * lanes)))
    cycles += problem.images * problem.pixels * machine.row_cycles
    if last:
        copied = padded or collides(problem, spec)
        cycles += problem.read / max(1, problem.channels) * PIXEL if copied else 0.0
        if problem.outputs % lanes:
            cycles += problem.images * problem.pixels * STORED_PIXEL
            cycles += results * SCALAR * element if problem.outputs < lanes else 0.0
    else:
        cycles += FAR * way.product.tiles * problem.depth if gathers_pixels(problem) else 0.0
        cycles += lines * LINE + problem.read * 0.2 * element if padded else 0.0
        cycles += results * TRANSPOSE * element if problem.step == 1 else 0.0
    return cycles


def collides(problem: Problem, spec: Spec) -> bool:
    """Whether pixels read in place would all lie in one set of L1."""
    pitch = problem.groups * problem.channels * problem.axes[2].stride * DTYPES[spec.dtype]
    return problem.channels > 1 and pitch % L1_WAY == 0 and problem.pixels > L1_WAYS


def weight_cycles(spec: Spec, machine: Machine) -> float:
    """Cycles of a weight gradient: outer products over the pixels of each tap that lie in the image."""
    lanes, groups = machine.vector(spec.dtype), spec.groups
    channels, outputs = spec.ci // groups, spec.co // groups
    taps, pixels = math.prod(spec.kernel), spec.n * math.prod(spec.output)
    by_tap, vectors = channels >= 6 or taps == 1, -(-outputs // lanes)
    reached = inside(spec) if by_tap else 1.0
    rows, times, steps = (channels, taps, pixels * reached) if by_tap else (channels * taps, 1, pixels)
    ways = [(outputs, rows)]
    if taps == 1 and not any(map(any, spec.padding)):  # either operand may take the lanes
        ways.append((channels, outputs))
    products = [product(machine, shape, lanes, *way, steps) for way in ways for shape in shapes(machine)]
    best = min(products, key=lambda counts: counts.steps)
    cycles = times * best.steps * WEIGHT_STEP / machine.efficiency
    # Every tile loads and stores its sums once a chunk; the gradient is packed, steps are listed, dw is transposed.
    size = DTYPES[spec.dtype]
    chunk = max(32, machine.l2 // 4 // (2 * lanes * size))
    if spec.channels_last and pixels * channels * size > machine.l2 // 2:
        chunk = min(chunk, max(32, machine.l2 // 8 // (channels * size)))
    cycles += times * best.stores * (1 + -(-pixels // chunk)) * WEIGHT_TILE
    cycles += pixels * vectors * lanes * (0.5 if spec.channels_last else 1.0) * WEIGHT_PACK
    cycles += pixels * WEIGHT_PART if outputs % lanes else 0.0
    cycles += WEIGHT_LIST * taps * pixels * reached if by_tap and taps > 1 else 0.0
    cycles += 0.0 if taps == 1 else 0.5 * taps * channels * outputs
    if not by_tap:
        cycles += WEIGHT_STAGE * spec.n * channels * math.prod(spec.input)
    return groups * (cycles + WEIGHT_TASK)
