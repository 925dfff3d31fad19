"""Transforms of tiles: what they serve, and the cost of the cheapest tile, as csrc/algo/fft_tiles.h chooses it."""

import itertools
import math

from ..machine import Machine
from ..spec import DTYPES, Spec
from .base import Algorithm, shared, streamed, unit

PAIR_CYCLES = 1.5  # of a complex product, for each vector of numbers
FAR_CYCLES = 16.6  # what a transform takes longer where it leaves L2
KERNEL_CYCLES = 8.7  # to stage a kernel's taps and to keep its spectra
GROUP_SHARE = 0.2  # of what setting up a group takes in the general kernel
TILE_CYCLES = 485.0  # to begin and end the passes over a tile
# In units of machine.shuffle_cycles, to take a vector of a line out of channels-last pixels or to store one there: for
# up to a vector of channels together and for each of them; for the images of a weight gradient, one by one, from L2 and
# from beyond.
TOGETHER, CHANNEL, ONE_BY_ONE, FAR_ONE_BY_ONE = 140.0, 44.0, 60.0, 175.0


def apart(images: int, outputs: int, spec: Spec, machine: Machine) -> float:
    """Units of machine.shuffle_cycles for a vector of each channel to leave and to join channels-last pixels."""
    if spec.direction == "grad_weight":
        return images * (FAR_ONE_BY_ONE if spec.bytes > machine.l2 else ONE_BY_ONE)
    lanes = machine.vector(spec.dtype)
    if images == outputs == 1:  # groups lie side by side
        return 2 * (TOGETHER / min(lanes, spec.groups) + CHANNEL)
    return TOGETHER * (-(-images // lanes) + -(-outputs // lanes)) + CHANNEL * (images + outputs)


class Fft(Algorithm):
    """Transforms of overlapping tiles, multiplied frequency by frequency; the larger the kernel, the more it saves.

    Stockham, "High-speed convolution and correlation", 1966 (overlap-save tiles); Bernstein, "Multidigit
    multiplication for mathematicians", 2001 (transforms as residues of polynomials).
    """

    name = "fft"
    windowed = False

    # Lengths of complex transforms, as in csrc/algo/fft_tiles.h.
    SIZES = (16, 32, 48, 64, 80, 96, 128, 144, 160, 192, 240, 256, 288, 320, 384, 400, 480, 512, 576, 640, 720, 768,
             800, 960, 1024, 1152, 1280, 1536, 1600, 1920, 2048)  # fmt: skip

    def supports(self, spec: Spec) -> str | None:
        if math.prod(spec.kernel) <= 1:
            return "not for 1x1 kernels"
        axes = zip(spec.kernel, spec.stride, spec.dilation, strict=True)
        if spec.direction == "grad_input" and math.prod(min(k, s // math.gcd(s, d)) for k, s, d in axes) > 256:
            return "the stride has too many phases"
        if max(*spec.stride, *spec.dilation) > 1 << 30:
            return "for strides and dilations of at most 2**30"
        gradient, volume = spec.direction == "grad_weight", len(spec.kernel) == 3
        depth = spec.output[0] if volume and gradient else 1
        planes = depth * spec.stride[0] if gradient else spec.kernel[0] * spec.dilation[0]
        if volume and planes > 2048:
            return "for sums over at most 2048 planes of a volume"
        if (spec.ci if spec.direction == "grad_input" else spec.co) // spec.groups * depth > 2048:
            return "for at most 2048 outputs a group, times planes in a weight gradient"
        if spec.direction != "grad_weight":
            numbers = spec.co * (spec.ci // spec.groups) * (spec.kernel[0] if volume else 1)
            flat = list(zip(spec.kernel, spec.stride, spec.dilation, strict=True))[-2:]
            one_line = len(flat) == 1 or flat[0][0] == 1
            # The least that tiles take, twice as wide as their part of the kernel: lines of 512 numbers, or 32 x 16.
            for (k, s, d), size in zip(flat[::-1], (512, 1) if one_line else (16, 32), strict=False):
                if size > 1:
                    residues = max(1, min(k, s // math.gcd(s, d)))
                    taps = math.ceil(k / residues)
                    numbers *= residues * size * math.ceil(taps / (size // 2))
            if numbers > 1 << 27:
                return "the kernel's spectra would take more than 2**27 numbers"
        return None

    def error(self, spec: Spec) -> float:
        return unit(spec) * (12 + 2 * math.sqrt(spec.terms))

    @classmethod
    def ways(
        cls, outs: int, taps: int, stride: int, dilation: int, scale: int, spare: int
    ) -> list[tuple[int, int, int]]:
        """(size, tiles, parts of the kernel) worth considering along one axis: what a smaller tile does is left out.

        ``spare``: zeros of the padding that may wrap onto zeros.
        """
        common = math.gcd(stride, dilation)
        phases, residues = min(outs, dilation // common), min(taps, stride // common)
        outs, taps = -(-outs // phases), -(-taps // residues)
        found: list[tuple[int, int, int]] = []
        for size in (scale * n for n in cls.SIZES):
            whole = taps + outs - spare <= size + 1 and outs <= size
            part = taps if 2 * taps <= size or whole else max(1, size - outs + 1, size // 2)
            tiles = 1 if whole else -(-outs // (size - part + 1))
            way = size, phases * tiles, residues * -(-taps // part)
            if all(tiles > way[1] or parts > way[2] for _, tiles, parts in found):
                found.append(way)
        return found

    @staticmethod
    def spares(spec: Spec) -> list[int]:
        """Zeros of the padding behind each axis that a single tile may let wrap onto those before it."""
        if spec.padding_mode != "zeros" or spec.direction == "grad_weight" or max(*spec.stride, *spec.dilation, 1) > 1:
            return [0] * len(spec.kernel)
        forward = spec.direction == "forward"
        found = []
        for size, out, k, (low, high) in zip(spec.input, spec.output, spec.kernel, spec.padding, strict=True):
            pads = (low, high) if forward else (k - 1 - low, k - 1 - high)
            found.append(max(0, min(pads) if (size if forward else out) > 0 else 0))
        return found

    def cost(self, spec: Spec, machine: Machine, *, planned: bool, threads: int) -> float:
        samples, read, written, repeats = spec.n, spec.ci, spec.co, 1
        axes = list(zip(spec.output, spec.kernel, spec.stride, spec.dilation, strict=True))
        if spec.direction == "grad_input":  # one problem a phase of the stride
            read, written = written, read
            steps = [s // math.gcd(s, d) for s, d in zip(spec.stride, spec.dilation, strict=True)]
            repeats = math.prod(min(k, step) for k, step in zip(spec.kernel, steps, strict=True))
            axes = [
                (-(-size // s), -(-k // step), 1, d * step // s)
                for size, k, s, d, step in zip(spec.input, spec.kernel, spec.stride, spec.dilation, steps, strict=True)
            ]
        images, outputs = read // spec.groups, written // spec.groups
        if spec.direction == "grad_weight":
            samples, images, planned = images, samples, False
            axes = [(k, size, d, s) for size, k, s, d in axes]
        axes = [(1, 1, 1, 1)] * (3 - len(axes)) + axes
        if spec.empty or spec.flops == 0:
            return machine.call
        one_line = axes[1][1] == 1
        flat, planes = (axes[2:], axes[:2]) if one_line else (axes[1:], axes[:1])
        sums, repeats = math.prod(taps for _, taps, _, _ in planes), repeats * math.prod(out for out, _, _, _ in planes)
        scales = (16,) if one_line else (2, 1)  # a long line is cut into rows and columns
        spares = self.spares(spec)[-len(flat) :]
        along = [self.ways(*axis, *rest) for axis, *rest in zip(flat, scales, spares, strict=True)]
        lanes, best = machine.vector(spec.dtype), math.inf
        for combined in itertools.product(*along):
            numbers, tiles, parts = (math.prod(column) for column in zip(*combined, strict=True))
            transform = machine.fft_cycles + machine.fft_pass_cycles * math.log2(numbers)
            pairs = images * parts * outputs * sums
            tile, size = numbers * DTYPES[spec.dtype], spec.groups * pairs * numbers * DTYPES[spec.dtype]
            if tile > 0.75 * machine.l2 or size > spec.groups * machine.l2:  # through L3
                transform += FAR_CYCLES
            transform += lanes if flat[-1][2] != 1 or flat[-1][3] != 1 else 0  # pixels that do not lie together
            lines = images * parts + outputs
            product = PAIR_CYCLES * pairs if pairs > 1 else 0  # a single one is part of the rows' transforms
            kernel = pairs * (transform + KERNEL_CYCLES)
            if spec.groups * pairs < threads:
                kernel *= threads  # one thread does it
            work = samples * tiles * repeats * (lines * transform + product)
            cycles = numbers / lanes * (work + (0.0 if planned else kernel))
            cycles += TILE_CYCLES * (samples * tiles * repeats * lines + (0 if planned else pairs))
            if spec.channels_last and spec.ci + spec.co > 2:
                turned = numbers / lanes * samples * tiles * repeats * machine.shuffle_cycles
                cycles += turned * apart(images * parts, outputs, spec, machine)
            seconds = cycles / machine.clock()
            if size > machine.l2:
                seconds += (1 if planned else 2) * size / spec.groups / machine.rate(size)
            best = min(best, seconds)
        seconds = spec.groups * (best + GROUP_SHARE * machine.group)
        return shared(streamed(seconds, spec, machine), machine, threads) + machine.call + 2e-6
