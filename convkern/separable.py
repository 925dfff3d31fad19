"""Filters of rank 1, found in a plan and run as two passes: along x, then along y.

    w[i, j] = column[i] * row[j]      so      y = sum_i column[i] * (sum_j row[j] * x[.. + i, .. + j])

kx + ky products an output instead of kx * ky. For planes, and channels that are filtered each on their own, whose
result is as large as the image. Every output still depends on its own window alone. The passes are those of
csrc/algo/lines.h.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _core
from .algorithms.base import moved, shared
from .machine import Machine
from .spec import Spec

Array = npt.NDArray[Any]
MODES = {"replicate": 0, "circular": 1, "symmetric": 2, "reflect": 3, "zeros": 4}  # numbers of csrc/algo/lines.h
EFFICIENCY = 0.25  # share of the multiply-add peak that the passes reach in cache
CALL = 2e-6  # seconds to get there


class Factors(NamedTuple):
    """One kernel as an outer product."""

    column: Array
    row: Array


def factors(kernel: Array) -> Factors | None:
    """The column and row whose product a kernel is, each element to a few roundings of its dtype; else None."""
    exact = kernel.astype(np.float64)
    peak = np.unravel_index(np.argmax(np.abs(exact)), exact.shape)
    if not np.isfinite(exact).all() or exact[peak] == 0:
        return None
    column, row = exact[:, peak[1]].copy(), exact[peak[0]] / exact[peak]
    rounding = 8 * np.finfo(kernel.dtype).eps * np.abs(exact)
    return Factors(column, row) if (np.abs(np.outer(column, row) - exact) <= rounding).all() else None


def separate(spec: Spec, weight: Array) -> list[Factors] | None:
    """The factors of every channel's kernel; None where the passes do not serve the problem or a kernel has none."""
    if (
        spec.direction != "forward"
        or len(spec.kernel) != 2
        or min(spec.kernel) < 2
        or max(*spec.stride, *spec.dilation) > 1
        or spec.input != spec.output
        or not spec.groups == spec.ci == spec.co
        or spec.bias
        or spec.residual
        or spec.clamp is not None
        or spec.empty
    ):
        return None
    found = []
    for kernel in weight[:, 0]:
        one = factors(kernel)
        if one is None:
            return None
        found.append(one)
    same = all(np.array_equal(a, b) for one in found[1:] for a, b in zip(one, found[0], strict=True))
    return found[:1] if same else None if spec.channels_last else found


def cost(spec: Spec, machine: Machine, threads: int) -> float:
    """Predicted seconds of the two passes."""
    flops = 2 * spec.n * spec.co * math.prod(spec.output) * sum(spec.kernel)
    return shared(max(flops / (EFFICIENCY * machine.peak(spec.dtype)), moved(spec, machine)), machine, threads) + CALL


class Passes:
    """Stands in for a compiled plan with packed weights."""

    algorithm = "plane"
    workspace_bytes = 0  # lines of the image, in each thread's cache

    def __init__(self, spec: Spec, found: list[Factors], isa: str) -> None:
        self.spec, self.isa = spec, isa
        self._found = found
        self._shape = (spec.n, *spec.input, spec.ci) if spec.channels_last else (spec.n, spec.ci, *spec.input)
        self._dtype = np.dtype(spec.dtype)
        element = _core.line_type(self._dtype)
        assert element is not None
        self._element = element
        (before_y, _), (before_x, _) = spec.padding
        ky, kx = spec.kernel
        mode = MODES[spec.padding_mode]
        self._filters = [((ky, before_y, mode, f.column), (kx, before_x, mode, f.row)) for f in found]

    @property
    def packed_bytes(self) -> int:
        return sum(f.column.nbytes + f.row.nbytes for f in self._found)

    @property
    def detail(self) -> str:
        ky, kx = self.spec.kernel
        return f"a filter of rank 1: passes of {kx} taps along x and {ky} along y"

    def pack(self, weight: Any, bias: Any = None) -> None:
        """Nothing: the factors are kept already."""

    def run(self, image: Array, weight: Any, bias: Any, residual: Any, out: Array | None) -> Array:
        """The filtered image; raises what makes the caller copy and say what is needed."""
        if type(image) is not np.ndarray or image.shape != self._shape or image.dtype != self._dtype:
            raise ValueError(f"image: needs {self._dtype} of shape {self._shape}")
        if out is not None and (out.shape != self._shape or out.dtype != self._dtype):
            raise ValueError(f"out: needs {self._dtype} of shape {self._shape}")
        if weight is not None or bias is not None:
            raise TypeError("weight, bias: the plan holds its own")
        direct = out is not None and out.flags.c_contiguous and out.flags.aligned
        target = out if direct and out is not None else np.empty(self._shape, self._dtype)
        image = np.ascontiguousarray(image)
        height, width = self.spec.input
        if len(self._filters) == 1:
            inner = self.spec.ci if self.spec.channels_last else 1
            self._pass(image.reshape(-1, height, width, inner), target.reshape(-1, height, width, inner), 0)
        else:
            for sample, to in zip(image, target, strict=True):
                for channel in range(self.spec.ci):
                    self._pass(sample[channel][None, ..., None], to[channel][None, ..., None], channel)
        if residual is not None:
            target += residual
        if out is not None and target is not out:
            out[...] = target
        return target if out is None else out

    def _pass(self, image: Array, target: Array, channel: int) -> None:
        across, along = self._filters[channel]
        _core.filter_lines("sum", image, target, self._element, across, along, True, 0.0, self.isa)
