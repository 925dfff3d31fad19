"""Adaptive pooling: to given output sizes, whatever the input's."""

from typing import Any

import numpy.typing as npt

from .arrays import FloatArray, as_array
from .pool_call import apply
from .problem import dtype_name
from .windows import prepared

OutputSize = int | None | tuple[int | None, ...]


def adaptive(
    op: str,
    key: tuple[str, int, Any],
    x: npt.ArrayLike,
    return_indices: bool,
    layout: str | None,
    out: FloatArray | None,
) -> Any:
    kind, rank, output_size = key
    array = as_array(x, "x")
    plan = prepared(op, dtype_name(array.dtype, "x"), 0.0, False, kind, rank, array.shape, output_size, layout)
    return apply(plan, array, plan[0].result, return_indices, out)


def adaptive_max_pool1d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of windows that share out one spatial axis into so many outputs.

    Output o reads from floor(o*in/out) up to, not including, ceil((o + 1)*in/out).

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    output_size : int, None or tuple of these
        Outputs along each axis; None keeps the axis as it is.
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
    >>> convkern.adaptive_max_pool1d(np.arange(4.0).reshape(1, 1, 4), 2).ravel().max()
    np.float64(3.0)
    """
    key = ("adaptive", 1, output_size)
    return adaptive("max", key, x, return_indices, layout, out)


def adaptive_avg_pool1d(
    x: npt.ArrayLike, output_size: OutputSize, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Mean of windows that share out one spatial axis into so many outputs.

    Parameters
    ----------
    x : array_like
        (N, C, W) or (C, W); with a channels-last layout C comes last. float32 or float64, any strides.
    output_size : int, None or tuple of these
        Outputs along each axis; None keeps the axis as it is.
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
    >>> convkern.adaptive_avg_pool1d(np.ones((1, 1, 4)), 3).shape
    (1, 1, 3)
    """
    result: FloatArray = adaptive("add", ("adaptive", 1, output_size), x, False, layout, out)
    return result


def adaptive_max_pool2d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of windows that share out two spatial axes into so many outputs.

    Output o reads from floor(o*in/out) up to, not including, ceil((o + 1)*in/out).

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    output_size : int, None or tuple of these
        Outputs along each axis; None keeps the axis as it is.
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
    >>> convkern.adaptive_max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2).ravel().max()
    np.float64(15.0)
    """
    key = ("adaptive", 2, output_size)
    return adaptive("max", key, x, return_indices, layout, out)


def adaptive_avg_pool2d(
    x: npt.ArrayLike, output_size: OutputSize, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Mean of windows that share out two spatial axes into so many outputs.

    Parameters
    ----------
    x : array_like
        (N, C, H, W) or (C, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    output_size : int, None or tuple of these
        Outputs along each axis; None keeps the axis as it is.
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
    >>> convkern.adaptive_avg_pool2d(np.ones((1, 1, 4, 4)), 3).shape
    (1, 1, 3, 3)
    """
    result: FloatArray = adaptive("add", ("adaptive", 2, output_size), x, False, layout, out)
    return result


def adaptive_max_pool3d(
    x: npt.ArrayLike,
    output_size: OutputSize,
    return_indices: bool = False,
    *,
    layout: str | None = None,
    out: FloatArray | None = None,
) -> Any:
    """Maximum of windows that share out three spatial axes into so many outputs.

    Output o reads from floor(o*in/out) up to, not including, ceil((o + 1)*in/out).

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    output_size : int, None or tuple of these
        Outputs along each axis; None keeps the axis as it is.
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
    >>> convkern.adaptive_max_pool3d(np.arange(64.0).reshape(1, 1, 4, 4, 4), 2).ravel().max()
    np.float64(63.0)
    """
    key = ("adaptive", 3, output_size)
    return adaptive("max", key, x, return_indices, layout, out)


def adaptive_avg_pool3d(
    x: npt.ArrayLike, output_size: OutputSize, *, layout: str | None = None, out: FloatArray | None = None
) -> FloatArray:
    """Mean of windows that share out three spatial axes into so many outputs.

    Parameters
    ----------
    x : array_like
        (N, C, D, H, W) or (C, D, H, W); with a channels-last layout C comes last. float32 or float64, any strides.
    output_size : int, None or tuple of these
        Outputs along each axis; None keeps the axis as it is.
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
    >>> convkern.adaptive_avg_pool3d(np.ones((1, 1, 4, 4, 4)), 3).shape
    (1, 1, 3, 3, 3)
    """
    result: FloatArray = adaptive("add", ("adaptive", 3, output_size), x, False, layout, out)
    return result
