"""Max unpooling, which puts pooled values back where they were found, and its gradient."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, check_out
from .call import IntOrTuple
from .padding import axis_values, frozen
from .problem import read_layout, shape_of, split_shape
from .scattering import dense, finished, read_indices, scatter


def gather(
    rank: int, grad: npt.ArrayLike, indices: npt.ArrayLike, layout: str | None, out: FloatArray | None
) -> FloatArray:
    values, index, last = dense(grad, "grad"), read_indices(indices), read_layout(layout, rank)
    batched, n, channels, sizes = split_shape("grad", values.shape, rank, last)
    inner = split_shape("indices", index.shape, rank, last)
    if inner[:3] != (batched, n, channels):
        raise ValueError(f"indices: got shape {index.shape}, needs the batch and channels of grad {values.shape}")
    result = np.empty(index.shape, values.dtype)
    if out is not None:
        check_out(out, index.shape, values.dtype)
    size = math.prod(sizes)
    if not _core.scatter("get", last, n, channels, size, math.prod(inner[3]), values, result, index):
        raise ValueError(f"indices: got one outside 0 to {size - 1}, the positions of a plane of grad {values.shape}")
    return finished(result, out)


def unpool(
    rank: int,
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    output_size: Any,
    layout: str | None,
    out: FloatArray | None,
) -> FloatArray:
    array, last = as_array(x, "x"), read_layout(layout, rank)
    batched, n, channels, sizes = split_shape("x", array.shape, rank, last)
    kernel = axis_values(kernel_size, "kernel_size", rank, 1)
    strides = kernel if stride is None else axis_values(stride, "stride", rank, 1)
    pads = axis_values(padding, "padding", rank, 0)
    usual = tuple((i - 1) * s - 2 * p + k for i, s, p, k in zip(sizes, strides, pads, kernel, strict=True))
    if output_size is None:
        wanted = usual
    else:
        given = frozen(output_size, "output_size")
        given = (given,) if isinstance(given, int) else given
        if len(given) == array.ndim:
            given = split_shape("output_size", given, rank, last)[3]
        wanted = axis_values(given, "output_size", rank, 0)
        for w, u, s in zip(wanted, usual, strides, strict=True):
            if not u - s < w < u + s:
                raise ValueError(f"output_size: got {w} along an axis, needs {u - s + 1} to {u + s - 1}")
    if min(wanted) < 0:
        raise ValueError(f"padding: got {padding!r}, needs less for an output of size >= 0")
    shape = shape_of(batched, n, channels, wanted, last)
    return scatter("put", rank, array, "x", indices, shape, "output_size", layout, out)


def max_unpool1d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    output_size: tuple[int, ...] | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Puts pooled values over one spatial axis back where they were found, and zeros elsewhere.

    Parameters
    ----------
    x : array_like
        What a max pooling returned.
    indices : array_like of int
        The indices it returned; of equal ones the last value stays.
    kernel_size, stride, padding : int or tuple of int
        As the pooling had them.
    output_size : tuple of int, optional
        Spatial sizes, or shape, of the result. Default (in - 1)*stride - 2*padding + kernel_size.
    layout : {"NCW", "NWC"}, optional
        As the pooling had it.
    out : ndarray, optional
        Array for the result.

    Returns
    -------
    ndarray
        (N, C, W), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> y, indices = convkern.max_pool1d(np.arange(4.0).reshape(1, 1, 4), 2, return_indices=True)
    >>> convkern.max_unpool1d(y, indices, 2).shape
    (1, 1, 4)
    """
    return unpool(1, x, indices, kernel_size, stride, padding, output_size, layout, out)


def max_unpool1d_grad(
    grad: npt.ArrayLike, indices: npt.ArrayLike, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`max_unpool1d` in x: the values of grad at the indices.

    Parameters
    ----------
    grad : array_like
        Gradient of the unpooled array, of its shape.
    indices : array_like of int
        As the unpooling had them.
    layout : {"NCW", "NWC"}, optional
        As the unpooling had it.
    out : ndarray, optional
        Array for the gradient, of indices' shape.

    Returns
    -------
    ndarray
        Of indices' shape and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(4.0).reshape(1, 1, 4)
    >>> y, indices = convkern.max_pool1d(x, 2, return_indices=True)
    >>> bool((convkern.max_unpool1d_grad(x, indices) == y).all())
    True
    """
    return gather(1, grad, indices, layout, out)


def max_unpool2d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    output_size: tuple[int, ...] | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Puts pooled values over two spatial axes back where they were found, and zeros elsewhere.

    Parameters
    ----------
    x : array_like
        What a max pooling returned.
    indices : array_like of int
        The indices it returned; of equal ones the last value stays.
    kernel_size, stride, padding : int or tuple of int
        As the pooling had them.
    output_size : tuple of int, optional
        Spatial sizes, or shape, of the result. Default (in - 1)*stride - 2*padding + kernel_size.
    layout : {"NCHW", "NHWC"}, optional
        As the pooling had it.
    out : ndarray, optional
        Array for the result.

    Returns
    -------
    ndarray
        (N, C, H, W), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> y, indices = convkern.max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2, return_indices=True)
    >>> convkern.max_unpool2d(y, indices, 2).shape
    (1, 1, 4, 4)
    """
    return unpool(2, x, indices, kernel_size, stride, padding, output_size, layout, out)


def max_unpool2d_grad(
    grad: npt.ArrayLike, indices: npt.ArrayLike, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`max_unpool2d` in x: the values of grad at the indices.

    Parameters
    ----------
    grad : array_like
        Gradient of the unpooled array, of its shape.
    indices : array_like of int
        As the unpooling had them.
    layout : {"NCHW", "NHWC"}, optional
        As the unpooling had it.
    out : ndarray, optional
        Array for the gradient, of indices' shape.

    Returns
    -------
    ndarray
        Of indices' shape and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> y, indices = convkern.max_pool2d(x, 2, return_indices=True)
    >>> bool((convkern.max_unpool2d_grad(x, indices) == y).all())
    True
    """
    return gather(2, grad, indices, layout, out)


def max_unpool3d(
    x: npt.ArrayLike,
    indices: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    output_size: tuple[int, ...] | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Puts pooled values over three spatial axes back where they were found, and zeros elsewhere.

    Parameters
    ----------
    x : array_like
        What a max pooling returned.
    indices : array_like of int
        The indices it returned; of equal ones the last value stays.
    kernel_size, stride, padding : int or tuple of int
        As the pooling had them.
    output_size : tuple of int, optional
        Spatial sizes, or shape, of the result. Default (in - 1)*stride - 2*padding + kernel_size.
    layout : {"NCDHW", "NDHWC"}, optional
        As the pooling had it.
    out : ndarray, optional
        Array for the result.

    Returns
    -------
    ndarray
        (N, C, D, H, W), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> y, indices = convkern.max_pool3d(np.arange(64.0).reshape(1, 1, 4, 4, 4), 2, return_indices=True)
    >>> convkern.max_unpool3d(y, indices, 2).shape
    (1, 1, 4, 4, 4)
    """
    return unpool(3, x, indices, kernel_size, stride, padding, output_size, layout, out)


def max_unpool3d_grad(
    grad: npt.ArrayLike, indices: npt.ArrayLike, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Gradient of :func:`max_unpool3d` in x: the values of grad at the indices.

    Parameters
    ----------
    grad : array_like
        Gradient of the unpooled array, of its shape.
    indices : array_like of int
        As the unpooling had them.
    layout : {"NCDHW", "NDHWC"}, optional
        As the unpooling had it.
    out : ndarray, optional
        Array for the gradient, of indices' shape.

    Returns
    -------
    ndarray
        Of indices' shape and grad's dtype.

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit each other, or an index lies outside the plane.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(64.0).reshape(1, 1, 4, 4, 4)
    >>> y, indices = convkern.max_pool3d(x, 2, return_indices=True)
    >>> bool((convkern.max_unpool3d_grad(x, indices) == y).all())
    True
    """
    return gather(3, grad, indices, layout, out)
