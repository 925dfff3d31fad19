"""Global pooling: each channel over its whole plane, which is adaptive pooling to one output."""

from typing import Any

import numpy.typing as npt

from .adaptive import adaptive
from .arrays import FloatArray


def global_max_pool1d(
    x: npt.ArrayLike,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of each channel over one spatial axis, which stay with size 1.

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCW", "NWC"}, optional
        Where x and the result have their channels. Default "NCW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, 1), or as the layout and x have it.
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
    >>> convkern.global_max_pool1d(np.arange(4.0).reshape(1, 1, 4)).item()
    3.0
    """
    return adaptive("max", ("adaptive", 1, 1), x, return_indices, layout, out)


def global_avg_pool1d(x: npt.ArrayLike, *, layout: str | None = None, out: FloatArray | None = None) -> FloatArray:
    """Mean of each channel over one spatial axis, which stay with size 1.

    Its gradient is :func:`adaptive_avg_pool1d_grad`.

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    layout : {"NCW", "NWC"}, optional
        Where x and the result have their channels. Default "NCW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, 1), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.global_avg_pool1d(np.arange(4.0).reshape(1, 1, 4)).item()
    1.5
    """
    result: FloatArray = adaptive("add", ("adaptive", 1, 1), x, False, layout, out)
    return result


def global_max_pool2d(
    x: npt.ArrayLike,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of each channel over two spatial axes, which stay with size 1.

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, 1, 1), or as the layout and x have it.
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
    >>> convkern.global_max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4)).item()
    15.0
    """
    return adaptive("max", ("adaptive", 2, 1), x, return_indices, layout, out)


def global_avg_pool2d(x: npt.ArrayLike, *, layout: str | None = None, out: FloatArray | None = None) -> FloatArray:
    """Mean of each channel over two spatial axes, which stay with size 1.

    Its gradient is :func:`adaptive_avg_pool2d_grad`.

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    layout : {"NCHW", "NHWC"}, optional
        Where x and the result have their channels. Default "NCHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, 1, 1), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.global_avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4)).item()
    7.5
    """
    result: FloatArray = adaptive("add", ("adaptive", 2, 1), x, False, layout, out)
    return result


def global_max_pool3d(
    x: npt.ArrayLike,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of each channel over three spatial axes, which stay with size 1.

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    return_indices : bool
        Whether to return where each value was found, too. Default False.
    layout : {"NCDHW", "NDHWC"}, optional
        Where x and the result have their channels. Default "NCDHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, 1, 1, 1), or as the layout and x have it.
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
    >>> convkern.global_max_pool3d(np.arange(64.0).reshape(1, 1, 4, 4, 4)).item()
    63.0
    """
    return adaptive("max", ("adaptive", 3, 1), x, return_indices, layout, out)


def global_avg_pool3d(x: npt.ArrayLike, *, layout: str | None = None, out: FloatArray | None = None) -> FloatArray:
    """Mean of each channel over three spatial axes, which stay with size 1.

    Its gradient is :func:`adaptive_avg_pool3d_grad`.

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    layout : {"NCDHW", "NDHWC"}, optional
        Where x and the result have their channels. Default "NCDHW".
    out : ndarray, optional
        Array for the result, of its shape and dtype, any strides.

    Returns
    -------
    ndarray
        (N, C, 1, 1, 1), or as the layout and x have it.

    Raises
    ------
    ValueError, TypeError
        Naming the argument, what it got and what it needs.

    Examples
    --------
    >>> import numpy as np, convkern
    >>> convkern.global_avg_pool3d(np.arange(64.0).reshape(1, 1, 4, 4, 4)).item()
    31.5
    """
    result: FloatArray = adaptive("add", ("adaptive", 3, 1), x, False, layout, out)
    return result
