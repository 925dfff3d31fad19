"""Windows as columns and back, channels as pixels and back. Each function is the gradient of its inverse.

unfold   y[n, (c, k), l] = x[n, c, l*stride + k*dilation - padding]        fold: the sum of all y that read x
shuffle  y[c, i*r + a, j*r + b] = x[(c, a, b), i, j]
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, can_write, check_out
from .call import IntOrTuple
from .config import check_integer
from .padding import axis_values, frozen
from .problem import Shape, read_layout
from .spec import LAYOUTS
from .windows import pooled_size


def delivered(result: FloatArray, out: FloatArray | None) -> FloatArray:
    if out is None:
        return result
    check_out(out, result.shape, result.dtype)[...] = result
    return out


def geometry(
    sizes: tuple[int, ...], kernel_size: Any, dilation: Any, padding: Any, stride: Any, name: str
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """(kernel, dilation, padding, stride, positions), one value an axis."""
    rank = len(sizes)
    kernel = axis_values(kernel_size, "kernel_size", rank, 1)
    dilations = axis_values(dilation, "dilation", rank, 1)
    pads = axis_values(padding, "padding", rank, 0)
    strides = axis_values(stride, "stride", rank, 1)
    positions = tuple(
        pooled_size(i, k, s, p, d, False) for i, k, s, p, d in zip(sizes, kernel, strides, pads, dilations, strict=True)
    )
    if min(positions) < 1:
        raise ValueError(
            f"kernel_size: got {kernel} with padding {pads}, needs windows that fit {name} of size {sizes}"
        )
    return kernel, dilations, pads, strides, positions


def rank_of(kernel_size: Any) -> int:
    """Spatial axes: as many as kernel_size has entries, two for a single number."""
    kernel = frozen(kernel_size, "kernel_size")
    rank = 2 if isinstance(kernel, int) else len(kernel)
    if rank not in LAYOUTS:
        raise ValueError(f"kernel_size: got {kernel_size!r}, needs an integer or 1 to 3 of them")
    return rank


def fitted(out: FloatArray | None, shape: Shape, dtype: np.dtype[Any], operand: FloatArray) -> FloatArray:
    """Where the core writes: ``out`` where it is contiguous and shares no memory, else memory for a copy."""
    if out is not None and can_write(check_out(out, shape, dtype), dtype, operand) and out.flags.c_contiguous:
        return out
    return np.empty(shape, dtype)


def unfold(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    dilation: IntOrTuple = 1,
    padding: IntOrTuple = 0,
    stride: IntOrTuple = 1,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """The windows of an image as columns (im2col); the gradient of :func:`fold`.

    Parameters
    ----------
    x : array_like
        (N, C, ...), or (C, ...).
    kernel_size : int or tuple of int
        Size of the windows; its length says how many spatial axes there are, one number means two.
    dilation, padding, stride : int or tuple of int
        Distance between taps (default 1), zeros around the image (0) and steps between windows (1).
    out : ndarray, optional
        Array for the result.

    Returns
    -------
    ndarray
        (N, C*prod(kernel_size), windows), or without N.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.unfold(np.arange(9.0).reshape(1, 1, 3, 3), 2)[0, :, 0]
    array([0., 1., 3., 4.])
    """
    array, rank = as_array(x, "x"), rank_of(kernel_size)
    if array.ndim not in (rank + 1, rank + 2):
        raise ValueError(f"x: got shape {array.shape}, needs (N, C) or (C,) and {rank} spatial axes")
    batch = array if array.ndim == rank + 2 else array[None]
    n, c, *sizes = batch.shape
    kernel, dilations, pads, strides, positions = geometry(tuple(sizes), kernel_size, dilation, padding, stride, "x")
    dtype = array.dtype.newbyteorder("=")
    batch = np.require(batch, dtype, ["C", "A"])
    shape: Shape = (n, c * math.prod(kernel), math.prod(positions))
    columns = fitted(out, shape if array.ndim == rank + 2 else shape[1:], dtype, array)
    _core.columns(batch, columns, False, n * c, sizes, positions, kernel, strides, dilations, pads)
    return columns if columns is out else delivered(columns, out)


def fold(
    x: npt.ArrayLike,
    output_size: tuple[int, ...],
    kernel_size: IntOrTuple,
    dilation: IntOrTuple = 1,
    padding: IntOrTuple = 0,
    stride: IntOrTuple = 1,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """Adds up windows to the image they are of (col2im); the gradient of :func:`unfold`.

    Parameters
    ----------
    x : array_like
        (N, C*prod(kernel_size), windows), or without N.
    output_size : tuple of int
        Spatial sizes of the image.
    kernel_size, dilation, padding, stride : int or tuple of int
        As for :func:`unfold`.
    out : ndarray, optional
        Array for the result.

    Returns
    -------
    ndarray
        (N, C, ...) of these sizes, or without N.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.fold(np.ones((1, 4, 4)), (3, 3), 2)[0, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    array = as_array(x, "x")
    given = frozen(output_size, "output_size")
    rank = len(given) if isinstance(given, tuple) else rank_of(kernel_size)
    if rank not in LAYOUTS:
        raise ValueError(f"output_size: got {output_size!r}, needs 1 to 3 integers")
    sizes = axis_values(given, "output_size", rank, 0)
    kernel, dilations, pads, strides, positions = geometry(sizes, kernel_size, dilation, padding, stride, "output_size")
    if array.ndim not in (2, 3):
        raise ValueError(f"x: got shape {array.shape}, needs (N, C*prod(kernel_size), windows) or without N")
    batch = array if array.ndim == 3 else array[None]
    volume = math.prod(kernel)
    if batch.shape[1] % volume or batch.shape[2] != math.prod(positions):
        raise ValueError(
            f"x: got shape {array.shape}, needs a multiple of {volume} rows and {math.prod(positions)} windows for "
            f"output_size {sizes}"
        )
    c, dtype = batch.shape[1] // volume, array.dtype.newbyteorder("=")
    batch = np.require(batch, dtype, ["C", "A"])
    image = fitted(out, (*array.shape[:-2], c, *sizes), dtype, array)
    _core.columns(image, batch, True, len(batch) * c, sizes, positions, kernel, strides, dilations, pads)
    return image if image is out else delivered(image, out)


def shuffled(
    x: npt.ArrayLike, factor: int, name: str, layout: str | None, out: FloatArray | None, *, inverse: bool
) -> FloatArray:
    array = as_array(x, "x")
    r = check_integer(name, factor, 1, 1 << 31)
    last = read_layout(layout, 2)
    if array.ndim < 3:
        raise ValueError(f"x: got shape {array.shape}, needs at least 3 axes")
    *lead, a, b, d = array.shape
    c, h, w = (d, a, b) if last else (a, b, d)
    if inverse and (h % r or w % r):
        raise ValueError(f"{name}: got {r}, needs a divisor of the {h} x {w} pixels of x")
    if not inverse and c % (r * r):
        raise ValueError(f"{name}: got {r}, whose square {r * r} needs to divide the {c} channels of x")
    n = len(lead)
    if inverse:
        h, w = h // r, w // r
        split = (h, r, w, r, c) if last else (c, h, r, w, r)
        order = (0, 2, 4, 1, 3)
        shape = (*lead, h, w, c * r * r) if last else (*lead, c * r * r, h, w)
    else:
        c //= r * r
        split = (h, w, c, r, r) if last else (c, r, r, h, w)
        order = (0, 3, 1, 4, 2)
        shape = (*lead, h * r, w * r, c) if last else (*lead, c, h * r, w * r)
    view = array.reshape(*lead, *split).transpose(*range(n), *(n + axis for axis in order))
    dtype = array.dtype.newbyteorder("=")
    if out is not None and can_write(check_out(out, shape, dtype), dtype, array) and out.flags.c_contiguous:
        out.reshape(view.shape)[...] = view
        return out
    return delivered(view.astype(dtype, order="C").reshape(shape), out)


def pixel_shuffle(
    x: npt.ArrayLike, upscale_factor: int, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Turns channels into pixels: r*r times fewer channels, r times more rows and columns [1]_.

    It is the gradient of :func:`pixel_unshuffle`.

    Parameters
    ----------
    x : array_like
        (..., C*r*r, H, W), or with layout "NHWC" (..., H, W, C*r*r).
    upscale_factor : int
        r.
    layout : {"NCHW", "NHWC"}, optional
        Where x has its channels. Default "NCHW".
    out : ndarray, optional
        Array for the result.

    Returns
    -------
    ndarray
        (..., C, H*r, W*r), or (..., H*r, W*r, C).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    References
    ----------
    .. [1] W. Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
       Convolutional Neural Network", 2016, https://arxiv.org/abs/1609.05158

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.pixel_shuffle(np.arange(4.0).reshape(4, 1, 1), 2)
    array([[[0., 1.],
            [2., 3.]]])
    """
    return shuffled(x, upscale_factor, "upscale_factor", layout, out, inverse=False)


def pixel_unshuffle(
    x: npt.ArrayLike, downscale_factor: int, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Turns pixels into channels: the inverse and the gradient of :func:`pixel_shuffle`.

    Parameters
    ----------
    x : array_like
        (..., C, H*r, W*r), or with layout "NHWC" (..., H*r, W*r, C).
    downscale_factor : int
        r.
    layout : {"NCHW", "NHWC"}, optional
        Where x has its channels. Default "NCHW".
    out : ndarray, optional
        Array for the result.

    Returns
    -------
    ndarray
        (..., C*r*r, H, W), or (..., H, W, C*r*r).

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.pixel_unshuffle(np.arange(4.0).reshape(1, 2, 2), 2).shape
    (4, 1, 1)
    """
    return shuffled(x, downscale_factor, "downscale_factor", layout, out, inverse=True)
