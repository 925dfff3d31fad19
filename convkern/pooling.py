"""Max and min pooling:  y[n, c, o] = max or min over k of x[n, c, o*stride + k*dilation - padding]."""

from typing import Any

import numpy.typing as npt

from .arrays import FloatArray
from .call import IntOrTuple
from .pool_call import extreme


def max_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Largest value of each window, over one spatial axis.

    Padding counts as -inf; a NaN is the maximum of every window that holds it.

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    padding : int or tuple of int
        Elements added on both sides of an axis, at most half of the window. Default 0.
    dilation : int or tuple of int
        Distance between the taps of a window. Default 1.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCW", "NWC"}, optional
        Where x and the result have their channels. Default "NCW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(4.0).reshape(1, 1, 4)
    >>> convkern.max_pool1d(x, 2).ravel()
    array([1., 3.])
    """
    return extreme("max", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out)


def max_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Largest value of each window, over two spatial axes.

    Padding counts as -inf; a NaN is the maximum of every window that holds it.

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    padding : int or tuple of int
        Elements added on both sides of an axis, at most half of the window. Default 0.
    dilation : int or tuple of int
        Distance between the taps of a window. Default 1.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, H_out, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> convkern.max_pool2d(x, 2).ravel()
    array([ 5.,  7., 13., 15.])
    """
    return extreme("max", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out)


def max_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Largest value of each window, over three spatial axes.

    Padding counts as -inf; a NaN is the maximum of every window that holds it.

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    padding : int or tuple of int
        Elements added on both sides of an axis, at most half of the window. Default 0.
    dilation : int or tuple of int
        Distance between the taps of a window. Default 1.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCDHW", "NDHWC"}, optional
        Where x and the result have their channels. Default "NCDHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, D_out, H_out, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(64.0).reshape(1, 1, 4, 4, 4)
    >>> convkern.max_pool3d(x, 2).ravel()
    array([21., 23., 29., 31., 53., 55., 61., 63.])
    """
    return extreme("max", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out)


def min_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Smallest value of each window, over one spatial axis.

    Padding counts as inf; a NaN is the minimum of every window that holds it.

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    padding : int or tuple of int
        Elements added on both sides of an axis, at most half of the window. Default 0.
    dilation : int or tuple of int
        Distance between the taps of a window. Default 1.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCW", "NWC"}, optional
        Where x and the result have their channels. Default "NCW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(4.0).reshape(1, 1, 4)
    >>> convkern.min_pool1d(x, 2).ravel()
    array([0., 2.])
    """
    return extreme("min", 1, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out)


def min_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Smallest value of each window, over two spatial axes.

    Padding counts as inf; a NaN is the minimum of every window that holds it.

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    padding : int or tuple of int
        Elements added on both sides of an axis, at most half of the window. Default 0.
    dilation : int or tuple of int
        Distance between the taps of a window. Default 1.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, H_out, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(16.0).reshape(1, 1, 4, 4)
    >>> convkern.min_pool2d(x, 2).ravel()
    array([ 0.,  2.,  8., 10.])
    """
    return extreme("min", 2, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out)


def min_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    dilation: IntOrTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Smallest value of each window, over three spatial axes.

    Padding counts as inf; a NaN is the minimum of every window that holds it.

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    padding : int or tuple of int
        Elements added on both sides of an axis, at most half of the window. Default 0.
    dilation : int or tuple of int
        Distance between the taps of a window. Default 1.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCDHW", "NDHWC"}, optional
        Where x and the result have their channels. Default "NCDHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, D_out, H_out, W_out), or as the layout and x have it.
    indices : ndarray of int64
        With return_indices: of the result's shape, flat positions in a channel's plane; the first of equal values, the
        last NaN; -1 for a window that sees only padding.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> x = np.arange(64.0).reshape(1, 1, 4, 4, 4)
    >>> convkern.min_pool3d(x, 2).ravel()
    array([ 0.,  2.,  8., 10., 32., 34., 40., 42.])
    """
    return extreme("min", 3, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, layout, out)
