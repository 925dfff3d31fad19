"""What Winograd's tiles cost: products point by point, transforms, patches staged, results stored.

    cycles = points x (tiles against panels) + (patches + sums) x transform + elements moved

Blocks of tiles are cut as csrc/algo/winograd_form.h does. Short sums stay in registers (csrc/algo/winograd_few.h).
"""

import math

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import lane_use, shared, shuffled, streamed
from .lowered import Problem
from .tiles import WITHOUT_32_REGISTERS, product, shapes
from .winograd_form import Form

# Prices in units of machine.shuffle_cycles, for each element: of a patch staged, of one staged at the border, of an
# image turned into lines, of a result transposed, of one stored apart from its neighbours or from a part of a vector,
# of weights packed in the call, whole vectors and others.
STAGED, BORDER, TURNED, STORED, APART, PART, PART_SCALAR = 0.87, 0.39, 5.9, 0.81, 8.0, 0.21, 3.5
PACK, PACK_SCALAR = 2.5, 4.0
STAGED_LINE, STORED_LINE, BLOCK = 30.3, 85.9, 330.0  # cycles: a line of a patch, a line of results, a block
STAGED_PIXEL = 20.0  # cycles: one staged whose channels fill no vector
LINE_PASS, SMALL_PASS = 0.86, 0.86  # transforms in one dimension, and those of 4 x 4 points: of those of 6 x 6
OUTPUT_PASS, FILTER_PASS = 0.6, 0.83  # transforms of sums and of weights: of those of patches
SHORT_LINE = 161.0  # cycles: a line of tiles whose sums are short
FEW_REGISTERS = 0.68  # of the rate of their products, where 16 registers hold less of them
SPILL = 1.2  # times L2: a block's patches and sums from which they no longer stay there
READ = 0.94  # times the rate of moving arrays at which a kernel that is only read streams by
# Of the weight gradient's products, transforms and moves: the share of what is counted that they take.
WEIGHT_PRODUCT, WEIGHT_TRANSFORM, WEIGHT_MOVE = 0.76, 1.0, 1.1
TOGETHER = 8 << 20  # bytes of transformed kernel from which threads of a call share the transform


def forward_seconds(problem: Problem, form: Form, spec: Spec, machine: Machine, planned: bool, threads: int) -> float:
    """Seconds of one problem by tiles, arrays in cache."""
    y, x, points, groups = form.y, form.x, form.points, problem.groups
    channels, columns = problem.channels, problem.outputs
    lanes, clock, element = machine.vector(spec.dtype), machine.clock(), machine.shuffle_cycles
    tiles = problem.batch * problem.axes[0].out * y.tiles * x.tiles
    if tiles == 0 or columns == 0:
        return 0.0
    depth, vectors = form.slices * form.phases * channels, -(-columns // lanes)
    padded = -(-channels // lanes) * lanes
    kernel = points * groups * depth * columns * DTYPES[spec.dtype]
    transform = machine.transform_cycles * points * (SMALL_PASS if points == 16 else 1.0)
    transform *= 1.0 if form.square else LINE_PASS
    short = form.short(problem, lanes)
    finite = y.products * x.products / (points * form.phases)  # phases with a tap less have nothing at infinity

    # Blocks of rows, each against all panels, point by point.
    shape = min(shapes(machine)[::-1], key=lambda s: -(-columns // (s[1] * lanes)) * s[1])
    planes = 1.5 if form.slices > 1 else 1.0  # taps along z share their transforms but for those at a block's ends
    tile_bytes = points * (planes * form.phases * padded + shape[1] * lanes) * DTYPES[spec.dtype]
    fewest = 56 if kernel / groups > machine.l2 / 2 else 14
    most = max(fewest, min(112, machine.l2 / 2 / tile_bytes))
    rows = min(tiles / threads, most)
    blocks = tiles / rows
    if short:
        share = 0.8 if kernel <= machine.l1 else 0.67 if kernel <= machine.l2 / 2 else 0.5
        share *= FEW_REGISTERS if shapes(machine) is WITHOUT_32_REGISTERS else 1.0
        cycles = points * tiles * depth * vectors * finite / 2 / (share * machine.efficiency)
        lines = problem.batch * y.tiles  # of tiles, a vector of them at a time
        cycles += lines * -(-x.tiles // lanes) * transform * channels * form.phases + lines * SHORT_LINE
        cycles += TURNED * problem.read / groups * element
    else:
        products = product(machine, shape, lanes, columns, rows, depth).times(blocks * points)
        cycles = products.cycles(machine, finite) + blocks * (points * rows * machine.row_cycles + BLOCK)
        cycles += tiles * transform * padded / lanes * form.phases * planes
        cycles += staging_cycles(problem, form, spec, machine, tiles * planes)
    cycles += tiles * transform * OUTPUT_PASS * vectors

    # Results: lines stored, transposed for NCHW; those of a stride's phases lie apart there.
    results = tiles * columns * y.outputs * x.outputs
    cycles += tiles / max(1, min(x.tiles, rows)) * y.outputs * -(-columns // (shape[1] * lanes)) * STORED_LINE
    if not spec.channels_last:
        cycles += results * STORED * (APART if problem.step > 1 else 1.0) * element
    elif columns % lanes:
        cycles += results * (PART if columns > lanes else PART_SCALAR) * element
    seconds = groups * cycles / clock

    # A transformed kernel beyond L2 streams past every block of some fifty tiles; three quarters of that hide behind
    # the products if there are enough of them.
    if kernel > machine.l2 / 2 and not short:
        stream = max(1.0, tiles / 56) * kernel / (READ * machine.rate(kernel))
        seconds = max(seconds + 0.25 * stream, stream)
    # Patches of a block that L2 does not hold are written to L3 and read from there.
    if rows * tile_bytes > SPILL * machine.l2 and not short:
        spilled = tiles * points * planes * form.phases * padded * DTYPES[spec.dtype]
        seconds += 2 * groups * spilled / machine.l3_rate
    if tiles > 1 and threads > 1:
        seconds = seconds / threads + machine.fork
    if not planned:  # each thread transforms what it uses: a share of large kernels if tiles are few, else all
        split = groups * math.ceil(tiles / most) < threads and kernel / groups > machine.l2
        together = kernel > (2 if split else 1) * TOGETHER  # and written for all, from where they read it
        parts = threads if together or split else 1
        once = FILTER_PASS * transform * groups * depth * vectors
        once += groups * problem.depth * columns * (PACK if columns >= lanes else PACK_SCALAR) * element
        seconds += (once / clock + (1.5 if together else 0.5) * kernel / machine.rate(kernel)) / parts
    return seconds


def staging_cycles(problem: Problem, form: Form, spec: Spec, machine: Machine, patches: float) -> float:
    """Cycles to copy the patches of a group that are not read in place: all of them, or those at the border."""
    y, x, lanes, element = form.y, form.x, machine.vector(spec.dtype), machine.shuffle_cycles
    padded = -(-problem.channels // lanes) * lanes
    if not spec.channels_last or padded != problem.channels:
        fresh = (y.outputs * y.summed + y.points - y.outputs) * (x.outputs * x.summed)
        one_by_one = APART if form.exchanged and not spec.channels_last else 1.0
        cycles = fresh * padded * one_by_one * STAGED * element + y.points * y.summed * STAGED_LINE
        return patches * (cycles + (fresh * STAGED_PIXEL if problem.channels < lanes else 0.0))
    if not any(axis.padded for axis in problem.axes):
        return 0.0
    border = min(1.0, 2 / max(1, y.tiles) + 2 / max(1, x.tiles))
    return border * patches * form.phases * (form.points * padded * BORDER * element + y.points * STAGED_LINE)


def weight_seconds(spec: Spec, machine: Machine, threads: int) -> float:
    """Seconds of a weight gradient: transforms of image and gradient, products over slices of tiles, dw back."""
    groups, lanes, clock, size = spec.groups, machine.vector(spec.dtype), machine.clock(), DTYPES[spec.dtype]
    channels, columns = spec.ci // groups, spec.co // groups
    tiles = spec.n * math.prod(-(-n // 4) for n in spec.output)
    vectors = -(-channels // lanes) + -(-columns // lanes)
    tile_bytes = max(1, 36 * vectors * lanes * size)
    depth = max(1, min(tiles, max(56, (4 << 20) // tile_bytes)))
    efficiency = machine.efficiency * lane_use(columns, lanes) * depth / (depth + 12)
    products = 2 * 36 * tiles * groups * channels * columns / (machine.peak(spec.dtype) * max(efficiency, 1e-3))
    transforms = machine.transform_cycles * 36 * groups * (tiles * vectors + channels * -(-columns // lanes)) / clock
    seconds = WEIGHT_PRODUCT * products + WEIGHT_TRANSFORM * transforms
    seconds += 9 * spec.co * channels * machine.shuffle_cycles / clock
    staged = tiles * (36 * spec.ci + 16 * spec.co)
    seconds += shuffled(spec, machine, 2 * staged) if not spec.channels_last else 0.0
    # Transforms go through the shared cache, and so do the sums once a slice.
    moves = 2 * groups * (tiles * tile_bytes + -(-tiles // depth) * 36 * channels * columns * size)
    seconds += WEIGHT_MOVE * moves / machine.l3_rate
    return shared(streamed(seconds, spec, machine), machine, threads) + 2 * machine.fork
