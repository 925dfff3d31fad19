"""Max, min and average pooling, and the one path that all pooling takes.

y[n, c, o] = op over k of x[n, c, o*stride + k*dilation - padding]

arrays -> prepared windows (windows.py) -> _core.Pool
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from .arrays import FloatArray, as_array, can_write, check_out, readable
from .call import IntOrTuple
from .config import current
from .problem import Shape, dtype_name
from .windows import Prepared, prepared


def usable(x: FloatArray, channels_last: bool) -> FloatArray:
    """A batch itself where vectors can run along its channels or its last spatial axis, else a copy."""
    x = x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    along = (x.strides[-1], x.strides[-2 if channels_last else 1])
    return x if readable(x) and x.itemsize in along else np.ascontiguousarray(x)


def apply(prepared_pool: Prepared, x: FloatArray, result: Shape, indices: bool, out: FloatArray | None) -> Any:
    """Pools a checked array; ``result`` is the shape the caller sees."""
    pooling, pool = prepared_pool
    isa = current().isa or _core.get_isa()
    dtype = x.dtype.newbyteorder("=")
    batch = usable(x if pooling.batched else x[None], pooling.channels_last)
    if out is not None:
        check_out(out, result, dtype)
        if not indices and can_write(out, dtype, x):
            try:
                pool.run(batch, out if pooling.batched else out[None], None, isa)
                return out
            except ValueError:
                pass  # its memory order is not x's: through a copy
    if not indices:
        y = pool.run(batch, None, None, isa)
        found = None
    else:
        if len(pooling.axes) and dtype.itemsize == 4 and np.prod([a.size for a in pooling.axes], dtype=object) >= 2**31:
            raise ValueError("return_indices: needs planes of fewer than 2**31 elements in float32")
        y = pool.allocate(batch)
        found = np.empty_like(y, np.int64)
        pool.run(batch, y, found, isa)
        found = found if pooling.batched else found[0]
    y = y if pooling.batched else y[0]
    if out is not None:
        out[...] = y
        y = out
    return y if found is None else (y, found)


def extreme(
    op: str,
    rank: int,
    x: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
    layout: str | None,
    out: FloatArray | None,
) -> Any:
    array = as_array(x, "x")
    plan = prepared(
        op, dtype_name(array.dtype, "x"), 1.0, False, "regular",
        rank, array.shape, kernel_size, stride, padding, dilation, bool(ceil_mode), True, layout,
    )  # fmt: skip
    return apply(plan, array, plan[0].result, return_indices, out)


def read_divisor(divisor_override: Any) -> float:
    """The divisor of every sum, 0 for that of its window."""
    if divisor_override is None:
        return 0.0
    if divisor_override == 0:
        raise ValueError("divisor_override: got 0, needs another number")
    return float(divisor_override)


def average(
    rank: int,
    x: npt.ArrayLike,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: Any,
    layout: str | None,
    out: FloatArray | None,
) -> FloatArray:
    array = as_array(x, "x")
    plan = prepared(
        "add", dtype_name(array.dtype, "x"), read_divisor(divisor_override), False, "regular",
        rank, array.shape, kernel_size, stride, padding, 1, bool(ceil_mode), bool(count_include_pad), layout,
    )  # fmt: skip
    result: FloatArray = apply(plan, array, plan[0].result, False, out)
    return result


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


def avg_pool1d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Mean of each window, over one spatial axis.

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
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    count_include_pad : bool
        Whether padding counts among the elements that a sum is divided by. Default True.
    layout : {"NCW", "NWC"}, optional
        Where x and the result have their channels. Default "NCW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, W_out), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.avg_pool1d(np.arange(4.0).reshape(1, 1, 4), 2).ravel()
    array([0.5, 2.5])
    """
    return average(1, x, kernel_size, stride, padding, ceil_mode, count_include_pad, None, layout, out)


def avg_pool2d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Mean of each window, over two spatial axes.

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
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    count_include_pad : bool
        Whether padding counts among the elements that a sum is divided by. Default True.
    divisor_override : int, optional
        What sums are divided by instead, not 0.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, H_out, W_out), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).ravel()
    array([ 2.5,  4.5, 10.5, 12.5])
    """
    return average(2, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, out)


def avg_pool3d(
    x: npt.ArrayLike,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    padding: IntOrTuple = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Mean of each window, over three spatial axes.

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
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
    count_include_pad : bool
        Whether padding counts among the elements that a sum is divided by. Default True.
    divisor_override : int, optional
        What sums are divided by instead, not 0.
    layout : {"NCDHW", "NDHWC"}, optional
        Where x and the result have their channels. Default "NCDHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, D_out, H_out, W_out), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.avg_pool3d(np.arange(64.0).reshape(1, 1, 4, 4, 4), 2).ravel()
    array([10.5, 12.5, 18.5, 20.5, 42.5, 44.5, 50.5, 52.5])
    """
    return average(3, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, layout, out)
