"""Padding and cropping of arrays, and its gradient.

    y[p] = x[source(p)],  or `value` where the mode is "constant" and p lies outside

Borders are copied axis by axis, so that corners follow from edges. Any number of axes; knows no convolution.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import FloatArray, as_array, can_write, check_out
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


def strips(mode: str, size: int, low: int, high: int) -> list[tuple[slice, slice]]:
    """(border, where it is read) of a padded axis whose inside is [low, low + size)."""
    end = low + size

    def part(start: int, count: int, *, back: bool = False) -> slice:
        if not back:
            return slice(start, start + count)
        return slice(start + count - 1, start - 1 if start else None, -1)

    before, after = part(0, low), part(end, high)
    if mode == "reflect":
        pairs = [(before, part(low + 1, low, back=True)), (after, part(end - 1 - high, high, back=True))]
    elif mode == "symmetric":
        pairs = [(before, part(low, low, back=True)), (after, part(end - high, high, back=True))]
    elif mode == "circular":
        pairs = [(before, part(end - low, low)), (after, part(low, high))]
    else:
        pairs = [(before, part(low, 1)), (after, part(end - 1, 1))]
    return [pair for pair, width in zip(pairs, (low, high), strict=True) if width]


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
    dtype = array.dtype.newbyteorder("=")
    result = np.empty(shape, dtype) if out is None else check_out(out, shape, dtype)
    if out is not None and not can_write(out, dtype, array):
        result = np.empty(shape, dtype)
    inside, source = [], []
    for size, (low, high) in zip(array.shape, widths, strict=True):
        inside.append(slice(max(low, 0), max(low, 0) + size + min(low, 0) + min(high, 0)))
        source.append(slice(max(-low, 0), size - max(-high, 0)))
    result[tuple(inside)] = array[tuple(source)]
    done = list(inside)
    for axis, (low, high) in enumerate(widths):
        line = np.moveaxis(result[(*done[:axis], slice(None), *done[axis + 1 :])], axis, 0)
        low, high = max(low, 0), max(high, 0)
        size = len(line) - low - high
        if mode == "constant":
            line[:low] = line[low + size :] = 0 if value is None else value
        else:
            for border, read in strips(mode, size, low, high):
                line[border] = line[read]
        done[axis] = slice(None)
    if out is None or result is out:
        return result
    out[...] = result
    return out


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
    dtype = array.dtype.newbyteorder("=")
    folded = array.astype(dtype)
    for axis, (low, high) in reversed(list(enumerate(widths))):
        line = np.moveaxis(folded, axis, 0)
        low, high = max(low, 0), max(high, 0)
        size = len(line) - low - high
        if mode == "replicate":
            if low:
                line[low] += line[:low].sum(axis=0)
            if high:
                line[low + size - 1] += line[low + size :].sum(axis=0)
        elif mode != "constant":
            for border, read in strips(mode, size, low, high):
                line[read] += line[border]
        folded = np.moveaxis(line[low : low + size], 0, axis)
    result = np.zeros(shape, dtype) if out is None else check_out(out, shape, dtype)
    inside = tuple(slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(shape, widths, strict=True))
    if out is not None:
        result[...] = 0
    result[inside] = folded
    return result
