"""One-dimensional passes over the axes of an array, two neighbouring axes at a time where that saves a trip to memory.

    work = pass_n(... pass_1(array)),   each rounded to the dtype of work, as SciPy does
Knows shapes and dtypes; neither arguments nor SciPy's defaults.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from ..config import current
from .support import CONSTANT, FLOAT32, FLOAT64, Array, line_type, native

MOST_ROW = 1 << 15  # elements of a row that two filters share
MOST_BAND = 1 << 22  # elements of a window's rows
WIDE = 64  # from this many contiguous elements on, a filter runs over rows rather than along them
EXACT = 1 << 24  # whole numbers below it are exact in float32


class Pass(NamedTuple):
    """A window of `size` along `axis`, `before` of it before the output; weights for sums alone."""

    axis: int
    size: int
    before: int
    mode: int
    weights: Array | None = None


def element_type(
    source: np.dtype[Any], target: np.dtype[Any], passes: Sequence[Pass], cval: float, single: bool = True
) -> int:
    """Float32 where the arrays are of it, or where all that can occur are whole numbers exact in it; else float64."""
    if single and source == target == np.float32:
        return FLOAT32
    if source.kind == "f" or source.itemsize > 2:
        return FLOAT64
    largest = float(extent(source))
    for step in passes:
        assert step.weights is not None
        if step.mode == CONSTANT:
            if not float(cval).is_integer():
                return FLOAT64
            largest = max(largest, abs(cval))
        largest *= float(np.abs(step.weights).sum())
        if not largest < EXACT or (np.rint(step.weights) != step.weights).any():
            return FLOAT64
        if target.kind in "bui" and target.itemsize <= 2:
            largest = float(extent(target))
        elif target.kind == "u" and len(passes) > 1:  # what is negative wraps around to a large number
            return FLOAT64
    return FLOAT32


def extent(dtype: np.dtype[Any]) -> int:
    """The largest magnitude of a small integer type; a bool's byte may hold anything."""
    return 255 if dtype.kind == "b" else 1 << (8 * dtype.itemsize - (dtype.kind == "i"))


def groups(passes: Sequence[Pass], shape: tuple[int, ...], fuse: bool) -> list[tuple[Pass, ...]]:
    """Passes to be done together, in order."""
    found: list[tuple[Pass, ...]] = []
    for step in passes:
        if fuse and found and len(found[-1]) == 1:
            (last,) = found[-1]
            outer = min(last.axis, step.axis)
            row = math.prod(shape[outer + 1 :])
            size = max(last.size, step.size)
            if abs(last.axis - step.axis) == 1 and row <= MOST_ROW and row * size <= MOST_BAND:
                found[-1] = (last, step)
                continue
        found.append((step,))
    return found


def run(kind: str, array: Array, passes: Sequence[Pass], work: Array, cval: float) -> bool:
    """Filter `array` into `work`, contiguous and apart from it; False where an extreme met a NaN."""
    if not array.size:
        return True
    todo = groups(passes, array.shape, kind != "mean")
    single = array.dtype.newbyteorder("=") == np.float32
    spare = np.empty_like(work) if len(todo) > 1 else work
    for left, group in zip(range(len(todo) - 1, -1, -1), todo, strict=True):
        target = spare if left % 2 else work
        if not run_group(kind, native(array), group, target, cval, single):
            return False
        array = target
    return True


def run_group(kind: str, array: Array, group: tuple[Pass, ...], target: Array, cval: float, single: bool) -> bool:
    """One trip over the array, with one pass or two over neighbouring axes; `single`: it was float32 from the start."""
    shape = array.shape
    first, last = min(step.axis for step in group), max(step.axis for step in group)
    before, inner = math.prod(shape[:first]), math.prod(shape[last + 1 :])
    across = along = None
    if len(group) == 2:
        blocks = (before, shape[first], shape[last], inner)
        across, along = (step[1:] for step in sorted(group))
    elif inner >= WIDE:
        blocks = (before, shape[first], 1, inner)
        across = group[0][1:]
    else:
        blocks = (1, before, shape[first], inner)
        along = group[0][1:]
    if kind == "sum":
        element = element_type(array.dtype, target.dtype, group, cval, single)
    else:
        element = FLOAT64 if kind == "mean" else line_type(array.dtype)
    view = array.reshape(blocks)
    if view.size and not lines_contiguous(view):
        view = np.ascontiguousarray(view)
    along_first = group[0].axis == last
    return _core.filter_lines(
        kind, view, target.reshape(blocks), element, across, along, along_first, cval, current().isa
    )


def lines_contiguous(view: Array) -> bool:
    """Whether the last two of four axes are one contiguous run."""
    inner = view.shape[3]
    return (inner == 1 or view.strides[3] == view.itemsize) and (
        view.shape[2] == 1 or view.strides[2] == view.itemsize * inner
    )


def convert(array: Array, work: Array) -> None:
    """Cast to the dtype of `work` by way of float64, as SciPy's filters do."""
    if array.dtype == work.dtype:
        work[...] = array
    else:
        run("sum", array, [Pass(array.ndim - 1, 1, 0, 0, np.ones(1))], work, 0.0)
