"""Power-mean (Lp) pooling:  y = (sum over the window of x^p)^(1/p),  dx = grad y^(1-p) x^(p-1).

PyTorch's definition, which is that of its mean: a window cut at the end counts as a full one. Sums run through the
compiled pooling, powers through the compiled functions of elements; where p is 1 there are none.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from . import elementwise
from .arrays import FloatArray, as_array, as_arrays, check_out
from .call import IntOrTuple
from .padding import axis_values
from .pool_call import average, extreme
from .pool_gradients import average_gradient


def read_power(norm_type: Any) -> float:
    power = float(norm_type)
    if power == 0 or math.isnan(power):
        raise ValueError(f"norm_type: got {norm_type!r}, needs a number other than 0")
    return power


def sums(
    rank: int, x: FloatArray, power: float, kernel_size: Any, stride: Any, ceil_mode: bool, layout: str | None
) -> FloatArray:
    """The sums of x^p over the windows, as if all had as many elements as a whole one."""
    powers = x if power == 1 else elementwise.power(x, power)
    divisor = None if ceil_mode else 1
    y = average(rank, powers, kernel_size, stride, 0, ceil_mode, True, divisor, layout, None)
    if ceil_mode:
        y *= y.dtype.type(math.prod(axis_values(kernel_size, "kernel_size", rank, 1)))
    return y


def power_mean(
    rank: int,
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: Any,
    stride: Any,
    ceil_mode: bool,
    layout: str | None,
    out: FloatArray | None,
) -> FloatArray:
    array, power = as_array(x, "x"), read_power(norm_type)
    if math.isinf(power):
        op = "max" if power > 0 else "min"
        largest: FloatArray = extreme(op, rank, np.abs(array), kernel_size, stride, 0, 1, ceil_mode, False, layout, out)
        return largest
    y = sums(rank, array, power, kernel_size, stride, ceil_mode, layout)
    if power != 1:
        elementwise.power(y, 1 / power, y)
    if out is None:
        return y
    check_out(out, y.shape, y.dtype)[...] = y
    return out


def power_mean_gradient(
    rank: int,
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: Any,
    stride: Any,
    ceil_mode: bool,
    layout: str | None,
    out: FloatArray | None,
) -> FloatArray:
    gradient, array = as_arrays((grad, "grad"), (x, "x"))
    gradient, array = as_array(gradient, "grad"), as_array(array, "x")
    power = read_power(norm_type)
    if math.isinf(power):
        raise ValueError("norm_type: got an infinite one, whose gradient is that of max_pool of the absolute values")
    total = sums(rank, array, power, kernel_size, stride, ceil_mode, layout)
    if gradient.shape != total.shape:
        raise ValueError(f"grad: got shape {gradient.shape}, needs {total.shape}")
    with np.errstate(invalid="ignore", over="ignore"):
        outer = gradient if power == 1 else np.where(total == 0, 0, gradient * elementwise.power(total, 1 / power - 1))
        arguments = (kernel_size, stride, 0, 1, ceil_mode, True)
        divisor = None if ceil_mode else 1
        spread = average_gradient(
            rank, outer.astype(array.dtype), array.shape, "regular", arguments, divisor, layout, None
        )
        if ceil_mode:
            spread *= spread.dtype.type(math.prod(axis_values(kernel_size, "kernel_size", rank, 1)))
        if power != 1:
            inner = array if power == 2 else elementwise.power(array, power - 1)
            spread = np.where(spread == 0, 0, spread * inner).astype(array.dtype)
    if out is None:
        return spread
    check_out(out, spread.shape, spread.dtype)[...] = spread
    return out


def lp_pool1d(
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Power mean of each window over one spatial axis: the p-th root of the sum of the elements to the power p.

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    norm_type : float
        The power p, not 0; odd powers keep signs, and the root of a negative sum is NaN, as in PyTorch. inf takes the
        largest, -inf the smallest absolute value.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
        Windows cut at the end count as full ones with the mean of the elements they have.
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
    >>> convkern.lp_pool1d(np.ones((1, 1, 4)), 1, 2).ravel()[0]
    np.float64(2.0)
    """
    return power_mean(1, x, norm_type, kernel_size, stride, ceil_mode, layout, out)


def lp_pool1d_grad(
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`lp_pool1d` in x; 0 where a window's sum is 0.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    x : array_like
        The pooling's input.
    norm_type, kernel_size, stride, ceil_mode, layout
        As the pooling had them; norm_type finite.
    out : ndarray, optional
        Array for the gradient, of x's shape.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.lp_pool1d_grad(np.ones((1, 1, 2)), np.ones((1, 1, 4)), 1, 2).ravel()[0]
    np.float64(1.0)
    """
    return power_mean_gradient(1, grad, x, norm_type, kernel_size, stride, ceil_mode, layout, out)


def lp_pool2d(
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Power mean of each window over two spatial axes: the p-th root of the sum of the elements to the power p.

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    norm_type : float
        The power p, not 0; odd powers keep signs, and the root of a negative sum is NaN, as in PyTorch. inf takes the
        largest, -inf the smallest absolute value.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
        Windows cut at the end count as full ones with the mean of the elements they have.
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
    >>> convkern.lp_pool2d(np.ones((1, 1, 4, 4)), 1, 2).ravel()[0]
    np.float64(4.0)
    """
    return power_mean(2, x, norm_type, kernel_size, stride, ceil_mode, layout, out)


def lp_pool2d_grad(
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`lp_pool2d` in x; 0 where a window's sum is 0.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    x : array_like
        The pooling's input.
    norm_type, kernel_size, stride, ceil_mode, layout
        As the pooling had them; norm_type finite.
    out : ndarray, optional
        Array for the gradient, of x's shape.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.lp_pool2d_grad(np.ones((1, 1, 2, 2)), np.ones((1, 1, 4, 4)), 1, 2).ravel()[0]
    np.float64(1.0)
    """
    return power_mean_gradient(2, grad, x, norm_type, kernel_size, stride, ceil_mode, layout, out)


def lp_pool3d(
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Power mean of each window over three spatial axes: the p-th root of the sum of the elements to the power p.

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    norm_type : float
        The power p, not 0; odd powers keep signs, and the root of a negative sum is NaN, as in PyTorch. inf takes the
        largest, -inf the smallest absolute value.
    kernel_size : int or tuple of int
        Size of the window, for all axes or for each.
    stride : int or tuple of int, optional
        Steps between windows, in elements. Default: kernel_size.
    ceil_mode : bool
        Whether a last window that reaches beyond the padding counts, if it begins inside. Default False.
        Windows cut at the end count as full ones with the mean of the elements they have.
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
    >>> convkern.lp_pool3d(np.ones((1, 1, 4, 4, 4)), 1, 2).ravel()[0]
    np.float64(8.0)
    """
    return power_mean(3, x, norm_type, kernel_size, stride, ceil_mode, layout, out)


def lp_pool3d_grad(
    grad: npt.ArrayLike,
    x: npt.ArrayLike,
    norm_type: float,
    kernel_size: IntOrTuple,
    stride: IntOrTuple | None = None,
    ceil_mode: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> FloatArray:
    """Gradient of :func:`lp_pool3d` in x; 0 where a window's sum is 0.

    Parameters
    ----------
    grad : array_like
        Gradient of the result, of its shape.
    x : array_like
        The pooling's input.
    norm_type, kernel_size, stride, ceil_mode, layout
        As the pooling had them; norm_type finite.
    out : ndarray, optional
        Array for the gradient, of x's shape.

    Returns
    -------
    ndarray
        Of x's shape and dtype.

    Raises
    ------
    ValueError, TypeError
        As the pooling; also if grad does not have the result's shape.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.lp_pool3d_grad(np.ones((1, 1, 2, 2, 2)), np.ones((1, 1, 4, 4, 4)), 1, 2).ravel()[0]
    np.float64(1.0)
    """
    return power_mean_gradient(3, grad, x, norm_type, kernel_size, stride, ceil_mode, layout, out)
