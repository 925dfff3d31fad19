"""Every direction brought to plain forward problems, as csrc/core/lower.cpp has it: what cost models count on.

    forward       as it stands
    grad_input    one problem of stride 1 for each residue of the stride that a tap reaches
    grad_weight   batch and channels, stride and dilation exchange roles

It knows sizes alone: no strides of arrays, no machine.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..spec import Spec


@dataclass(frozen=True, slots=True)
class Axis:
    """``out`` positions q read ``in_[q*stride + t*dilation - pad]`` for each of the taps t."""

    out: int
    in_: int
    taps: int
    stride: int = 1
    dilation: int = 1
    pad: int = 0

    @property
    def padded(self) -> bool:
        """Whether a window reaches beyond the image."""
        return self.pad > 0 or (self.out - 1) * self.stride + (self.taps - 1) * self.dilation - self.pad >= self.in_

    @property
    def reads(self) -> int:
        """Positions of the image that windows read, at most."""
        return min(self.in_, self.out * self.taps)

    @property
    def pointwise(self) -> bool:
        return self.taps == 1 == self.stride and self.pad == 0 and self.out == self.in_


@dataclass(frozen=True, slots=True)
class Problem:
    """groups x batch images of ``channels``, each to ``outputs`` sums of channels x taps terms a pixel."""

    groups: int
    batch: int
    channels: int
    outputs: int
    axes: tuple[Axis, Axis, Axis]  # z, y, x; those of one pixel may have been merged into the next
    step: int = 1  # between neighbouring results along x
    joined: bool = True  # whether results are as far apart from line to line as along x

    @property
    def images(self) -> int:
        return self.groups * self.batch

    @property
    def pixels(self) -> int:
        return math.prod(axis.out for axis in self.axes)

    @property
    def depth(self) -> int:
        return self.channels * math.prod(axis.taps for axis in self.axes)

    @property
    def read(self) -> int:
        """Elements of the images that some window reads."""
        return self.images * self.channels * math.prod(axis.reads for axis in self.axes)


def lower(spec: Spec, *, empty: bool = False) -> list[Problem]:
    """The forward problems of a Spec; those that compute nothing only where they are asked for."""
    groups, ci, co = spec.groups, spec.ci // spec.groups, spec.co // spec.groups
    along = list(zip(spec.kernel, spec.stride, spec.dilation, spec.padding, spec.input, spec.output, strict=True))
    if spec.direction == "forward":
        axes = [Axis(out, size, k, s, d, low) for k, s, d, (low, _), size, out in along]
        return [_merged(Problem(groups, spec.n, ci, co, _three(axes)))]
    if spec.direction == "grad_weight":
        axes = [Axis(k, size, out, d, s, low) for k, s, d, (low, _), size, out in along]
        return [_merged(Problem(groups, ci, spec.n, co, _three(axes)))]
    problems = []
    # Between neighbouring results along each axis.
    pitches = [1] * (3 - len(along)) + [s * math.prod(spec.input[a + 1 :]) for a, s in enumerate(spec.stride)]
    for residues in itertools.product(*(_residues(*axis) for axis in along)):
        problem = _merged(Problem(groups, spec.n, co, ci, _three(list(residues))), pitches)
        problems += [problem] if problem.pixels or empty else []
    return problems


def phase_count(spec: Spec) -> int:
    """Problems that an input gradient falls into."""
    if spec.direction != "grad_input":
        return 1
    axes = zip(spec.kernel, spec.stride, spec.dilation, strict=True)
    return math.prod(min(k, s // math.gcd(s, d)) for k, s, d in axes)


def _residues(k: int, s: int, d: int, padding: tuple[int, int], size: int, out: int) -> list[Axis]:
    """One axis of an input gradient, for each residue of the stride: taps first, first + step, ... reach it."""
    step, low = s // math.gcd(s, d), padding[0]
    found = []
    for first in range(min(k, step)):
        taps, residue = -(-(k - first) // step), (first * d - low) % s
        positions = max(0, -(-(size - residue) // s))
        reach = (taps - 1) * (d * step // s)
        found.append(Axis(positions, out, taps, 1, d * step // s, reach - (residue + low - first * d) // s))
    return found


def _three(axes: list[Axis]) -> tuple[Axis, Axis, Axis]:
    z, y, x = [Axis(1, 1, 1)] * (3 - len(axes)) + axes
    return z, y, x


def _merged(problem: Problem, pitches: Sequence[int] | None = None) -> Problem:
    """Neighbouring axes whose windows are pixels become one, where results lie at one distance: dense if not given."""
    axes = list(problem.axes)
    pitch = list(pitches) if pitches else [axes[1].out * axes[2].out, axes[2].out, 1]
    for a in (0, 1):
        outer, inner = axes[a : a + 2]
        together = inner.in_ == 1 or pitch[a] == pitch[a + 1] * inner.in_
        if outer.pointwise and inner.pointwise and outer.in_ > 1 and together:
            size = outer.in_ * inner.in_
            axes[a : a + 2] = Axis(1, 1, 1), Axis(size, size, 1)
            if inner.in_ == 1:
                pitch[a + 1] = pitch[a]
    joined = True
    run = 1
    for axis, distance in zip(axes[::-1], pitch[::-1], strict=True):
        joined = joined and (axis.out == 1 or distance == pitch[2] * run)
        run *= axis.out
    return replace(problem, axes=(axes[0], axes[1], axes[2]), step=pitch[2], joined=joined)
