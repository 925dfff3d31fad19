"""Average pooling:  y[n, c, o] = sum over k of x[n, c, o*stride + k - padding] / elements of the window."""

import numpy.typing as npt

from .arrays import FloatArray
from .call import IntOrTuple
from .pool_call import average


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
