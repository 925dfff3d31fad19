"""Windows copied slice by slice into a bounded buffer, then one product of SciPy's BLAS for each slice.

seconds = windows copied + product at BLAS's share of the peak + a call of BLAS for each slice
"""

import math

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, lane_use, moved, unit
from .lowered import Problem, lower

# Prices in units of machine.shuffle_cycles, for each element copied: along a line, along a strided line, and with its
# channels; and in cycles for each line and each pixel.
ALONG, STRIDED, CHANNELS = 0.92, 2.9, 1.3
LINE, PIXEL = 51.9, 9.6
SINGLE = 0.21  # of the image, for a single output: a product with a vector
SINGLE_PIXEL = 0.3  # cycles, a pixel of it
NARROW = 8.4  # cycles, a channels-last pixel of few outputs
PACK, REORDER = 1.0, 11.1  # weights packed or brought to another order in every call, an element
SHORT = 0.71  # steps of a sum in which BLAS would have done as much as it loses at its ends
WAITING = 1.3  # BLAS's threads keep cores busy for a while after a product: a price that the next call pays
ALONE = 1 << 18  # multiply-adds up to which BLAS takes one thread
PLANNED = 0.01  # share of a call's price for finding BLAS that a plan's call pays: it will be called again


class Im2col(Algorithm):
    """Windows copied slice by slice into a bounded buffer, then SciPy's own BLAS."""

    name = "im2col"
    foreign_threads = True

    def error(self, spec: Spec) -> float:
        return unit(spec) * (8 + 2 * math.sqrt(spec.terms))

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        if spec.empty:
            return machine.call
        problems = lower(spec)
        seconds = sum(problem_seconds(problem, spec, machine, threads) for problem in problems)
        if len(problems) > 1 and not planned:  # weights of a phase lie apart
            seconds += spec.co * spec.depth * REORDER * machine.shuffle_cycles / machine.clock()
        lookup = machine.blas_lookup * (PLANNED if planned else 1.0)
        return seconds + moved(spec, machine) / threads + machine.call + lookup


def problem_seconds(problem: Problem, spec: Spec, machine: Machine, threads: int) -> float:
    x, images, pixels, depth = problem.axes[2], problem.images, problem.pixels, problem.depth
    gradient, channels_last = spec.direction == "grad_weight", spec.channels_last and spec.direction != "grad_weight"
    if gradient:  # slices span its batch, which is the channels
        images, pixels = problem.groups, pixels * problem.batch
    elements, multiplies = pixels * depth, pixels * depth * problem.outputs
    in_place = all(axis.taps == axis.stride == 1 and not axis.padded for axis in problem.axes)
    cycles = 0.0
    if not in_place or gradient:
        if channels_last and problem.channels > 1:
            copied = elements * CHANNELS * machine.shuffle_cycles + elements / problem.channels * PIXEL
        else:
            along = x.stride == 1 and not spec.channels_last
            copied = elements * (ALONG if along else STRIDED) * machine.shuffle_cycles
            copied += elements / max(1, x.out) * LINE
        cycles += copied / (threads if elements > 16384 else 1)
    size = elements * DTYPES[spec.dtype]
    slices = max(1, -(-size // max(1, 32 << 20)))
    # BLAS pads the smaller matrix dimensions to its own tiles, about eight wide.
    use = lane_use(problem.outputs, 8) * lane_use(pixels, 8) * depth / (depth + SHORT)
    product = 2 * multiplies / (machine.peak(spec.dtype) * machine.blas_efficiency * max(use, 1e-3))
    if problem.outputs == 1 and not channels_last:
        product = (elements * SINGLE * machine.shuffle_cycles + pixels * SINGLE_PIXEL) / machine.clock()
    elif channels_last and problem.outputs < 8:
        product += pixels * NARROW / machine.clock()
    product += slices * machine.blas_call
    if multiplies > ALONE:
        product = WAITING * product / threads + machine.fork
    if channels_last and depth > problem.channels:  # weights change places, tap by tap
        cycles += REORDER * machine.shuffle_cycles * depth * problem.outputs * slices
    if problem.step > 1 or gradient:
        cycles += (PACK * depth + pixels) * problem.outputs * machine.shuffle_cycles
    return images * (product + cycles / machine.clock())
