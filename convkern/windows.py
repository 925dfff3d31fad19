"""Pooling windows: where each output of an axis reads, as PyTorch defines it, in every form of the arguments.

    regular    first = o*stride - pad, cut to the image;  output = floor or ceil((in + 2 pad - extent) / stride) + 1
    adaptive   floor(o*in/out) ... ceil((o+1)*in/out)

Windows are tables, one entry an output, so the compiled drivers know no modes. It knows no arrays.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .padding import axis_values, extent, frozen
from .problem import Shape, read_layout, read_shape, shape_of, split_shape
from .spec import LAYOUTS

Table = npt.NDArray[np.int64]

MOST_OUTPUTS = 1 << 27  # along an axis: tables grow with them
LARGEST_WINDOW = 1 << 40


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows along one axis: output o reads first[o] + k*dilation, k < count[o], inside [0, size).

    stride, taps and pad are those of regular windows, stride 0 for others. divisors: by what sums are divided.
    """

    size: int
    first: Table
    count: Table
    divisors: Table | None = None
    dilation: int = 1
    stride: int = 0
    taps: int = 1
    pad: int = 0

    @property
    def out(self) -> int:
        return len(self.first)

    def reversed(self) -> "Windows":
        """For each position of the axis the outputs that read it (without dilation): the windows of the gradient.

        Both ends of windows ascend, so these outputs are neighbours.
        """
        position = np.arange(self.size)
        first = np.searchsorted(self.first + self.count, position, side="right")
        count = np.searchsorted(self.first, position, side="right") - first
        return Windows(self.out, np.where(count > 0, first, 0), np.maximum(count, 0))


def pooled_size(size: int, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool) -> int:
    """Output positions along an axis; below 1 where no window fits."""
    room = size + 2 * pad - extent(kernel, dilation)
    out = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and out > 1 and (out - 1) * stride >= size + pad:
        out -= 1  # a window must begin inside the image or its low padding
    return out


def regular(
    size: int, kernel: int, stride: int, pad: int, dilation: int, ceil_mode: bool, include_pad: bool
) -> Windows:
    out = pooled_size(size, kernel, stride, pad, dilation, ceil_mode) if size else 0
    if out > MOST_OUTPUTS:
        raise ValueError(f"x: got an axis of {size} elements, needs windows at no more than {MOST_OUTPUTS} positions")
    if out <= 1:
        stride = 1
    start = np.arange(out) * stride - pad
    low = np.where(start < 0, -(start // dilation), 0)
    high = np.minimum(kernel, np.maximum(0, -((start - size) // dilation)))
    count = np.maximum(0, high - low)
    first = np.where(count > 0, start + low * dilation, 0)
    divisors = np.minimum(start + kernel, size + pad) - start if include_pad else count
    fits = kernel < 1 << 31 and dilation < 1 << 31
    return Windows(size, first, count, np.maximum(1, divisors), dilation, stride if fits else 0, kernel, pad)


def adaptive(size: int, out: int) -> Windows:
    if out and size == 0:
        raise ValueError(f"output_size: got {out} for an empty axis of x, needs 0")
    position = np.arange(out)
    first = position * size // max(1, out)
    count = -(-(position + 1) * size // max(1, out)) - first
    if out > 1 and size % out == 0:
        return Windows(size, first, count, count, 1, size // out, size // out)
    return Windows(size, first, count, count)


@dataclass(frozen=True)
class Pooling:
    """What a pooling call does with arrays of one shape."""

    batched: bool
    n: int
    channels: int
    axes: tuple[Windows, ...]
    channels_last: bool

    @cached_property
    def result(self) -> Shape:
        return shape_of(self.batched, self.n, self.channels, tuple(a.out for a in self.axes), self.channels_last)

    @cached_property
    def divisor(self) -> float:
        """What every sum is divided by; 0 where that differs between windows."""
        uniform = [set(a.divisors.tolist()) if a.divisors is not None else {1} for a in self.axes]
        return float(math.prod(values.pop() for values in uniform)) if all(len(v) == 1 for v in uniform) else 0.0

    @cached_property
    def divisors(self) -> npt.NDArray[np.float64]:
        """What each sum is divided by, of a shape that broadcasts against the result."""
        product = np.ones(())
        for axis in self.axes:
            product = product[..., None] * (np.ones(axis.out) if axis.divisors is None else axis.divisors)
        return product[..., None] if self.channels_last else product

    def core(self, op: str, dtype: str, divisor: float) -> _core.Pool:
        tables = [(a.size, a.dilation, a.stride, a.taps, a.pad, a.first, a.count, a.divisors) for a in self.axes]
        return _core.Pool(op, dtype, self.n, self.channels, self.channels_last, tables, divisor)

    def gradient(self) -> "Pooling":
        """The pooling that adds up, for every position of the input, the outputs that read it."""
        return replace(self, axes=tuple(a.reversed() for a in self.axes))


def regular_pooling(
    rank: int,
    shape: Shape,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    include_pad: bool,
    layout: str | None,
    name: str = "x",
) -> Pooling:
    """Windows of one size at even steps; ValueError or TypeError naming the argument."""
    channels_last = read_layout(layout, rank)
    batched, n, channels, sizes = split_shape(name, shape, rank, channels_last)
    kernel = axis_values(kernel_size, "kernel_size", rank, 1)
    strides = kernel if stride is None or stride == () else axis_values(stride, "stride", rank, 1)
    pads = axis_values(padding, "padding", rank, 0)
    dilations = axis_values(dilation, "dilation", rank, 1)
    for k, p, d in zip(kernel, pads, dilations, strict=True):
        if extent(k, d) > LARGEST_WINDOW:
            raise ValueError(
                f"kernel_size: got {k} with dilation {d}, needs windows that span at most {LARGEST_WINDOW}"
            )
        if p > extent(k, d) // 2:
            raise ValueError(f"padding: got {p}, needs at most half of the window, which spans {extent(k, d)}")
    axes = []
    for size, k, s, p, d in zip(sizes, kernel, strides, pads, dilations, strict=True):
        if size and pooled_size(size, k, s, p, d, ceil_mode) < 1:
            raise ValueError(
                f"kernel_size: got a window of {extent(k, d)} elements on an axis of {size} with padding {p} in "
                f"{name} of shape {shape}, needs one that fits"
            )
        axes.append(regular(size, k, s, p, d if k > 1 else 1, ceil_mode, include_pad))
    return Pooling(batched, n, channels, tuple(axes), channels_last)


def adaptive_pooling(rank: int, shape: Shape, output_size: Any, layout: str | None, name: str = "x") -> Pooling:
    """Windows that share out the input evenly."""
    channels_last = read_layout(layout, rank)
    batched, n, channels, sizes = split_shape(name, shape, rank, channels_last)
    outputs = output_sizes(output_size, sizes)
    axes = tuple(adaptive(size, out) for size, out in zip(sizes, outputs, strict=True))
    return Pooling(batched, n, channels, axes, channels_last)


def output_sizes(output_size: Any, sizes: Shape) -> Shape:
    """One output size per axis; None keeps the axis as it is."""
    rank = len(sizes)
    given: Sequence[Any] = output_size if isinstance(output_size, tuple | list) else (output_size,)
    if len(given) == 1:
        given = tuple(given) * rank
    if len(given) != rank:
        raise ValueError(f"output_size: got {output_size!r}, needs one value or {rank}")
    kept = tuple(size if out is None else out for out, size in zip(given, sizes, strict=True))
    outputs = axis_values(kept, "output_size", rank, 0)
    if max(outputs) > MOST_OUTPUTS:
        raise ValueError(f"output_size: got {output_size!r}, needs at most {MOST_OUTPUTS}")
    return outputs


Prepared = tuple[Pooling, _core.Pool]


class _LongTables(Exception):  # noqa: N818  (no error: a result too large to remember)
    def __init__(self, result: Prepared) -> None:
        self.result = result


@lru_cache(maxsize=256, typed=True)
def _remembered(op: str, dtype: str, divisor: float, backward: bool, kind: str, *arguments: Any) -> Prepared:
    pooling = regular_pooling(*arguments) if kind == "regular" else adaptive_pooling(*arguments)
    if backward:
        result = pooling, pooling.gradient().core(op, dtype, divisor or pooling.divisor or 1.0)
    else:
        result = pooling, pooling.core(op, dtype, divisor)
    if sum(a.out + a.size for a in pooling.axes) > 1 << 16:
        raise _LongTables(result)
    return result


def prepared(op: str, dtype: str, divisor: float, backward: bool, kind: str, *arguments: Any) -> Prepared:
    """The windows of a call and the compiled pool; remembered for calls with the same shapes and arguments."""
    try:
        return _remembered(op, dtype, divisor, backward, kind, *arguments)
    except _LongTables as found:
        return found.result
    except TypeError:  # a list or an array among them, or something that the second try names
        arguments = tuple(map(hashable, arguments))
    try:
        return _remembered(op, dtype, divisor, backward, kind, *arguments)
    except _LongTables as found:
        return found.result


def hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(hashable, value))
    return tuple(value.tolist()) if isinstance(value, np.ndarray) else value


def pooled_shape(
    x_shape: tuple[int, ...],
    kernel_size: int | tuple[int, ...],
    stride: int | tuple[int, ...] | None = None,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    ceil_mode: bool = False,
    *,
    layout: str | None = None,
) -> Shape:
    """Shape of what a pooling of such windows returns; the number of axes is the layout's, or kernel_size's length."""
    ranks = {name: rank for rank, names in LAYOUTS.items() for name in names}
    kernel = frozen(kernel_size, "kernel_size")
    if layout is None and isinstance(kernel, int):
        raise ValueError(f"kernel_size: got {kernel!r}, needs one value for each axis where layout is None")
    rank = ranks.get(layout, 0) if layout is not None else len(kernel)
    if rank not in LAYOUTS:
        raise ValueError(f"layout: got {layout!r}, needs one of {', '.join(ranks)}")
    shape = read_shape(x_shape, "x_shape")
    return regular_pooling(rank, shape, kernel, stride, padding, dilation, ceil_mode, True, layout, "x_shape").result
