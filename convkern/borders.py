"""Padding and cropping of arrays, and its gradient.

    y[p] = x[source(p)],  or `value` where the mode is "constant" and p lies outside

source() is a table an axis, so that corners follow from edges; the core copies lines by it. Any number of axes; knows
no convolution.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, can_write, check_out, readable
from .config import check_choice
from .padding import Pair, frozen
from .problem import read_layout
from .spec import LAYOUTS, LIMIT

MODES = ("constant", "reflect", "replicate", "circular", "symmetric")
PadWidths = int | tuple[int, ...]


def read_widths(pad: Any, ndim: int, layout: str | None, name: str) -> list[Pair]:
    """(low, high) for every axis of the array, from PyTorch's flat tuple."""
    flat = frozen(pad, "pad")
    flat = (flat,) if isinstance(flat, int) else flat
    if not isinstance(flat, tuple) or len(flat) % 2 or not all(isinstance(width, int) for width in flat):
        raise ValueError(f"pad: got {pad!r}, needs two integers for each axis, the last axis first")
    ranks = {names: rank for rank, both in LAYOUTS.items() for names in both}
    if layout is not None and layout not in ranks:
        raise ValueError(f"layout: got {layout!r}, needs one of {', '.join(ranks)}")
    channels_last = layout is not None and read_layout(layout, ranks[layout])
    room = ndim - channels_last
    if len(flat) // 2 > room:
        raise ValueError(f"pad: got {len(flat) // 2} pairs, needs at most {room} for {name} of {ndim} axes")
    widths = [(0, 0)] * ndim
    for i in range(len(flat) // 2):
        widths[room - 1 - i] = (flat[2 * i], flat[2 * i + 1])
    return widths


def check_fit(mode: str, shape: tuple[int, ...], widths: list[Pair]) -> tuple[int, ...]:
    """The padded shape; ValueError where a border would reach beyond the other side."""
    result = []
    for size, (low, high) in zip(shape, widths, strict=True):
        if size + low + high < 0 or -low > size or -high > size:
            raise ValueError(f"pad: got {(low, high)} on an axis of size {size}, needs to leave at least 0 elements")
        inner, widest = size + min(low, 0) + min(high, 0), max(low, high)
        limit = {"reflect": inner - 1, "circular": inner, "symmetric": inner, "replicate": LIMIT if inner else 0}
        if widest > max(0, limit.get(mode, LIMIT)):
            most = max(0, limit[mode])
            raise ValueError(
                f"pad: got {widest} on an axis of {inner} elements, needs at most {most} with mode {mode!r}"
            )
        result.append(size + low + high)
    return tuple(result)


def sources(mode: str, size: int, low: int, high: int) -> npt.NDArray[np.int64]:
    """Where each position of a padded axis is read; -1: nowhere."""
    first, inner = max(-low, 0), size + min(low, 0) + min(high, 0)
    at = np.arange(-max(low, 0), inner + max(high, 0))
    inside = (at >= 0) & (at < inner)
    if inner and mode != "constant":
        if mode == "reflect":
            at = np.where(at < 0, -at, np.where(at >= inner, 2 * inner - 2 - at, at))
        elif mode == "symmetric":
            at = np.where(at < 0, -1 - at, np.where(at >= inner, 2 * inner - 1 - at, at))
        else:
            at = at % inner if mode == "circular" else np.clip(at, 0, inner - 1)
        inside = np.ones_like(inside)
    return np.where(inside, first + at, -1)


def merged(
    shape: tuple[int, ...], strides: tuple[int, ...], tables: list[npt.NDArray[np.int64]], dense: tuple[bool, ...]
) -> tuple[list[int], list[npt.NDArray[np.int64]], int]:
    """(strides, tables, block): axes without a border are taken together, the innermost as a block of elements.

    ``shape`` and ``strides``, in elements, are those of the array that is addressed; ``dense`` says which axes are
    copied as they are.
    """
    axes = [(stride, table, plain, len(table)) for stride, table, plain in zip(strides, tables, dense, strict=True)]
    block = 1
    while axes and axes[-1][2] and axes[-1][0] == block:
        block *= axes.pop()[3]
    kept: list[tuple[int, npt.NDArray[np.int64], bool, int]] = []
    for stride, table, plain, size in axes:
        if kept and plain and kept[-1][2] and kept[-1][0] == stride * size:
            size *= kept.pop()[3]
            table = np.arange(size)
        kept.append((stride, table, plain, size))
    if not kept:
        kept = [(block, np.zeros(1, np.int64), True, 1)]
    return [a[0] for a in kept], [np.ascontiguousarray(a[1], np.int64) for a in kept], block


def addressable(array: FloatArray) -> tuple[FloatArray, tuple[int, ...]]:
    """The array as the core can address it, and its strides in elements."""
    dtype = array.dtype.newbyteorder("=")
    if array.dtype != dtype or not readable(array):
        array = array.astype(dtype)
    return array, tuple(stride // array.itemsize for stride in array.strides)


def pad(
    x: npt.ArrayLike,
    pad: PadWidths,
    mode: str = "constant",
    value: float | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Adds borders to an array, or crops it where a width is negative.

    Parameters
    ----------
    x : array_like
        float32 or float64, any number of axes.
    pad : tuple of int
        Elements before and after along the last axis, then along the one before it, and so on: (left, right, top,
        bottom, ...). Negative widths crop, before borders are added.
    mode : {"constant", "reflect", "replicate", "circular", "symmetric"}
        What borders hold: ``value``, or the array mirrored at its edge without or ("symmetric") with repeating it, its
        edge, or its other side.
    value : float, optional
        For "constant". Default 0.
    layout : str, optional
        With a channels-last layout, as for :func:`conv2d`, the first pair is for the last spatial axis.
    out : ndarray, optional
        Array for the result, of its shape and dtype.

    Returns
    -------
    ndarray
        Of x's dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.pad(np.array([1.0, 2.0, 3.0]), (2, -1), mode="reflect")
    Traceback (most recent call last):
        ...
    ValueError: pad: got 2 on an axis of 2 elements, needs at most 1 with mode 'reflect'
    >>> convkern.pad(np.array([1.0, 2.0, 3.0]), (2, 1), mode="circular")
    array([2., 3., 1., 2., 3., 1.])
    """
    array = as_array(x, "x")
    check_choice("mode", mode, MODES)
    if value is not None and mode != "constant":
        raise ValueError(f"value: got {value!r}, only mode 'constant' takes one")
    widths = read_widths(pad, array.ndim, layout, "x")
    shape = check_fit(mode, array.shape, widths)
    array, strides = addressable(array)
    result = out if out is not None and fit_to_write(out, shape, array) else np.empty(shape, array.dtype)
    if result.size:
        tables = [sources(mode, size, *pair) for size, pair in zip(array.shape, widths, strict=True)]
        dense = tuple(pair == (0, 0) for pair in widths)
        axes, tables, block = merged(array.shape, strides, tables, dense)
        _core.pad(array, result, axes, tables, block, 0.0 if value is None else float(value))
    if out is None or result is out:
        return result
    out[...] = result
    return out


def fit_to_write(out: FloatArray, shape: tuple[int, ...], operand: FloatArray) -> bool:
    return can_write(check_out(out, shape, operand.dtype), operand.dtype, operand) and out.flags.c_contiguous


def pad_grad(
    grad: npt.ArrayLike,
    pad: PadWidths,
    mode: str = "constant",
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`pad` in x: borders are added to where they were read; what was cropped gets 0.

    Parameters
    ----------
    grad : array_like
        Gradient of the padded array, of its shape.
    pad, mode, layout
        As the padding had them.
    out : ndarray, optional
        Array for the gradient, of x's shape.

    Returns
    -------
    ndarray
        Of x's shape and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.pad_grad(np.ones(6), (2, 1), mode="circular")
    array([2., 2., 2.])
    """
    array = as_array(grad, "grad")
    check_choice("mode", mode, MODES)
    widths = read_widths(pad, array.ndim, layout, "grad")
    shape = tuple(size - low - high for size, (low, high) in zip(array.shape, widths, strict=True))
    if min(shape, default=0) < 0:
        raise ValueError(f"grad: got shape {array.shape}, needs at least the borders {pad!r}")
    check_fit(mode, shape, widths)
    array, strides = addressable(array)
    result = out if out is not None and fit_to_write(out, shape, array) else np.empty(shape, array.dtype)
    if result.size:
        readers = [reversed_table(sources(mode, n, *pair), n) for n, pair in zip(shape, widths, strict=True)]
        if not readers:  # an array of no axes
            readers, strides = [reversed_table(np.zeros(1, np.int64), 1)], (1,)
        block = 1
        while len(readers) > 1 and widths[len(readers) - 1] == (0, 0) and strides[len(readers) - 1] == block:
            block *= shape[len(readers) - 1]
            readers.pop()
        starts, positions = zip(*readers, strict=True)
        _core.gather_add(array, result, strides[: len(readers)], starts, positions, block)
    if out is None or result is out:
        return result
    out[...] = result
    return out


def reversed_table(source: npt.NDArray[np.int64], size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(starts, positions): position i was read by positions[starts[i] : starts[i + 1]], in order."""
    order = np.argsort(source, kind="stable")
    starts = np.searchsorted(source[order], np.arange(size + 1))
    return starts.astype(np.int64), order.astype(np.int64)
